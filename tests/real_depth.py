"""Real depth frames for checks, where a folder of them lies beside the checkout; they never enter the repository.

`python -m tests.real_depth OUT.png` draws what the tracker makes of each.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from handmap.bundle import read_bundle
from handmap.engines import EngineConfig, open_engines
from handmap.follow import TrackingConfig, follow, follow_settings
from handmap.intrinsics import Intrinsics, project
from handmap.joints import BONES
from handmap.timing import StageClock
from handmap.track import NO_TRACKS
from handmap.values import DepthFrame, HandPose

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT.parent / "shared" / "data" / "real-depth"
BUNDLE = ROOT / "models" / "handmap-hand21"
SR305 = Intrinsics(640, 480, 476.007, 476.007, 313.683, 242.755)
NYU = Intrinsics(640, 480, 588.036865, 587.075073, 320.0, 240.0)
HANDS17 = Intrinsics(640, 480, 475.065948, 475.065857, 315.944855, 245.287079)


def real_frames() -> Iterator[tuple[str, DepthFrame]]:
    """Name and frame of every real depth image there is."""
    for path in sorted((FOLDER / "sr305").glob("*.png")):
        yield f"sr305/{path.stem}", DepthFrame(np.array(Image.open(path)).astype(np.uint16), 0.125, SR305, 0, 0)
    for path in sorted((FOLDER / "nyu").glob("*.png")):
        pixels = np.array(Image.open(path)).astype(np.uint16)
        yield f"nyu/{path.stem}", DepthFrame(pixels[..., 1] * 256 + pixels[..., 2], 1.0, NYU, 0, 0)
    for path in sorted((FOLDER / "hands17").glob("*.png")):
        yield f"hands17/{path.stem}", DepthFrame(np.array(Image.open(path)).astype(np.uint16), 1.0, HANDS17, 0, 0)


def finger_tips() -> dict[str, dict[str, tuple[float, float]]]:
    """Finger tips (u, v) by frame and finger, marked by eye to about 3 px."""
    marks: dict[str, dict[str, tuple[float, float]]] = json.loads((FOLDER / "sr305" / "fingertips.json").read_text())
    return marks


def poses_of(frames: list[DepthFrame], bundle_path: Path = BUNDLE) -> list[HandPose | None]:
    """The pose in each frame, each followed alone."""
    bundle = read_bundle(bundle_path)
    engines = open_engines(bundle, EngineConfig(threads=2), batch=1)
    settings = follow_settings(bundle, TrackingConfig())
    answers = [follow(frame, NO_TRACKS, engines, settings, StageClock())[0] for frame in frames]
    engines.close()
    return [poses[0] if poses else None for poses in answers]


def draw(path: Path, bundle_path: Path = BUNDLE) -> None:
    """A contact sheet of all frames with their skeletons."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    named = list(real_frames())
    poses = poses_of([frame for _, frame in named], bundle_path)
    figure, axes = pyplot.subplots(3, 5, figsize=(25, 13))
    for axis in axes.ravel():
        axis.axis("off")
    for axis, (name, frame), pose in zip(axes.ravel(), named, poses, strict=False):
        depth_mm = frame.depth * frame.depth_unit_mm
        axis.imshow(np.where((depth_mm > 0) & (depth_mm < 1200), depth_mm, np.nan), cmap="gray")
        error = "no hand" if pose is None else f"expected error {pose.expected_error_mm.mean():.0f} mm"
        axis.set_title(f"{name}: {error}", fontsize=9)
        if pose is None:
            continue
        uv = project(np, pose.xyz_camera_mm, frame.intrinsics)
        for parent, child in BONES:
            finger = (child - 1) // 4
            axis.plot(*uv[[parent, child]].T, color=f"C{finger}", linewidth=2)
        axis.set_xlim(uv[:, 0].mean() - 170, uv[:, 0].mean() + 170)
        axis.set_ylim(uv[:, 1].mean() + 130, uv[:, 1].mean() - 130)
    figure.tight_layout()
    figure.savefig(path, dpi=55)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else BUNDLE)
