"""Draws docs/pictures/fitted_hands.png: the fitted hand over the repository's real depth frames.

`python -m docs.pictures.fitted_hands` (a few seconds; needs matplotlib). Each frame is shown five times, as a daemon would see it.
"""

from pathlib import Path

from handmap.bundle.manifest import read_bundle
from handmap.engines.factory import open_engines
from handmap.metrics.pose_error import present
from handmap.tracking.tracker_settings import TrackingConfig, tracker_settings
from tests.real_depth import BUNDLE, real_frames
from training.evaluation.fitted_sheet import Tile, draw_fitted_sheet

PICTURE = Path(__file__).with_name("fitted_hands.png")
FRAMES = ("sr305/230536_110", "sr305/230536_30", "sr305/231615_200")
PRESENTATIONS = 5


def main() -> None:
    """Draws the picture."""
    bundle = read_bundle(BUNDLE)
    settings = tracker_settings(bundle, TrackingConfig("right"))
    tiles = []
    with open_engines(bundle) as engines:
        for name, frame in real_frames():
            if name in FRAMES:
                poses, state = present(frame, engines, settings, PRESENTATIONS)
                tiles.append(Tile(name, frame, poses, state.fitted.bodies))
    draw_fitted_sheet(PICTURE, tiles, columns=len(FRAMES))


if __name__ == "__main__":
    main()
