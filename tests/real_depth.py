"""Real depth frames for checks: three lie in the repository, HANDMAP_REAL_DEPTH names a folder of further ones.

`python -m tests.real_depth OUT.png` draws what the tracker makes of each, `python -m tests.real_depth OUT.png --without-hand`
what it publishes of each once its hand is taken out, and counts it; `python -m tests.real_depth --noise` prints how many hands
are found again in noise and with holes (tests/noisy_depth.py says how much of them).
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from handmap.bundle.manifest import read_bundle
from handmap.engines.factory import EngineConfig, open_engines
from handmap.system.timing import StageClock
from handmap.tracking.tracker import TrackerState, track_hands
from handmap.tracking.tracker_settings import TrackingConfig, tracker_settings
from handmap.types.arrays import Float32
from handmap.types.intrinsics import Intrinsics, unproject
from handmap.types.values import DepthFrame, HandPose
from tests.depth_sheet import Panel, draw_sheet
from tests.emptied_depth import Shown, emptied, replaced_by_behind, show
from tests.noisy_depth import DISTURBANCES, FRAMES, Disturbed, Found

ROOT = Path(__file__).resolve().parent.parent
OWN = ROOT / "tests" / "data" / "real_depth"
FURTHER = os.environ.get("HANDMAP_REAL_DEPTH")
FOLDERS = (OWN, Path(FURTHER)) if FURTHER else (OWN,)
BUNDLE = ROOT / "models" / "handmap-hand21"
SR305 = Intrinsics(640, 480, 476.007, 476.007, 313.683, 242.755)
NYU = Intrinsics(640, 480, 588.036865, 587.075073, 320.0, 240.0)
HANDS17 = Intrinsics(640, 480, 475.065948, 475.065857, 315.944855, 245.287079)

# Middle of the hand in the camera frame, mm: where an earlier network centered the proposal that by eye is the hand, so good to
# about 30 mm, and no independent label.
HAND_CENTERS_MM = {
    "sr305/230536_110": (-20, -15, 509),
    "sr305/230536_130": (-11, 8, 496),
    "sr305/230536_150": (-1, 19, 491),
    "sr305/230536_170": (-73, 31, 541),
    "sr305/230536_30": (-49, 107, 602),
    "sr305/230536_50": (-59, 53, 580),
    "sr305/230536_70": (-54, 0, 570),
    "sr305/230536_90": (13, -40, 566),
    "sr305/231615_0": (-53, 77, 610),
    "sr305/231615_160": (14, 49, 586),
    "sr305/231615_200": (26, 34, 618),
    "sr305/231615_40": (6, 72, 567),
    "sr305/231615_80": (12, 62, 584),
    "nyu/depth_1_0000001": (-126, 15, 747),
    "hands17/image_D00000030": (-12, -75, 595),
}
NYU_FRAME = "nyu/depth_1_0000001"
# The ten of the NYU set's usual fourteen joints that hand21 has too, in the order of the file; the other four (the
# thumb's root, two at the wrist, the palm) are defined elsewhere.
NYU_JOINTS = (
    *("little_tip", "little_pip", "ring_tip", "ring_pip", "middle_tip", "middle_pip"),
    *("index_tip", "index_pip", "thumb_tip", "thumb_ip"),
)
RIGHT = TrackingConfig(handedness="right")  # all of these frames show one
DEFAULTS = {  # of the daemon, and of its demo on a laptop
    "TrackingConfig()": TrackingConfig(),
    "configs/laptop_demo.yaml": TrackingConfig(handedness="any", max_hands=2),
}
EMPTYING = {"no depth": emptied, "depth behind": replaced_by_behind}


def real_frames() -> Iterator[tuple[str, DepthFrame]]:
    """Name and frame of every real depth image there is, once."""
    for name, path in _images("sr305"):
        yield name, DepthFrame(np.array(Image.open(path)).astype(np.uint16), 0.125, SR305, 0, 0)
    for name, path in _images("nyu"):
        pixels = np.array(Image.open(path)).astype(np.uint16)
        yield name, DepthFrame(pixels[..., 1] * 256 + pixels[..., 2], 1.0, NYU, 0, 0)
    for name, path in _images("hands17"):
        yield name, DepthFrame(np.array(Image.open(path)).astype(np.uint16), 1.0, HANDS17, 0, 0)


def _images(camera: str) -> list[tuple[str, Path]]:
    """Name and path of a camera's images in all folders."""
    found = {f"{camera}/{path.stem}": path for folder in FOLDERS for path in (folder / camera).glob("*.png")}
    return sorted(found.items())


def finger_tips() -> dict[str, dict[str, tuple[float, float]]]:
    """Finger tips (u, v) by frame and finger, marked by eye to about 3 px."""
    marks: dict[str, dict[str, tuple[float, float]]] = {}
    for folder in FOLDERS:
        marks |= json.loads((folder / "sr305" / "fingertips.json").read_text())["frames"]
    return marks


def nyu_joints_mm() -> Float32:
    """The labeled positions (10, 3) of NYU_JOINTS in the NYU frame, camera frame, mm."""
    path = FOLDERS[-1] / "nyu" / "depth_1_0000001.uvd.txt"
    labels: Float32 = np.loadtxt(path, dtype=np.float32).reshape(-1, 3)[: len(NYU_JOINTS)]
    joints: Float32 = unproject(np, labels[:, :2], labels[:, 2], NYU).astype(np.float32)
    return joints


def poses_of(frames: list[DepthFrame], bundle_path: Path = BUNDLE) -> list[HandPose | None]:
    """The pose in each frame, each followed alone."""
    bundle = read_bundle(bundle_path)
    settings = tracker_settings(bundle, RIGHT)
    with open_engines(bundle, EngineConfig(threads=2)) as engines:
        answers = [track_hands(frame, TrackerState(), engines, settings, StageClock())[0] for frame in frames]
    return [poses[0] if poses else None for poses in answers]


def shown_without_hand(bundle_path: Path, config: TrackingConfig) -> dict[tuple[str, str], tuple[DepthFrame, Shown]]:
    """By way of emptying and name: each real frame without its hand, and what is published of it."""
    bundle = read_bundle(bundle_path)
    settings = tracker_settings(bundle, config)
    shown = {}
    with open_engines(bundle, batch=config.max_hands) as engines:
        for way, without_hand in EMPTYING.items():
            for name, frame in real_frames():
                empty = without_hand(frame, HAND_CENTERS_MM[name])
                shown[way, name] = empty, show(empty, engines, settings)
    return shown


def draw(path: Path, bundle_path: Path = BUNDLE) -> None:
    """A contact sheet of all frames with their skeletons."""
    named = list(real_frames())
    poses = poses_of([frame for _, frame in named], bundle_path)
    panels = []
    for (name, frame), pose in zip(named, poses, strict=True):
        if pose is None:
            panels.append(Panel(f"{name}: no hand", frame, ()))
        else:
            title = f"{name}: expected error {pose.expected_error_mm.mean():.0f} mm"
            panels.append(Panel(title, frame, (pose,), pose.xyz_camera_mm.mean(axis=0)))
    draw_sheet(path, panels)


def count_without_hand(path: Path | None, bundle_path: Path) -> None:
    """Prints how many frames without their hand publish one, by the daemon's defaults; draws them where a path is given."""
    panels: list[Panel] = []
    for title, config in DEFAULTS.items():
        shown = shown_without_hand(bundle_path, config)
        groups = {way: [one for (its_way, _), (_, one) in shown.items() if its_way == way] for way in EMPTYING}
        groups["either"] = [one for _, one in shown.values()]
        for way, ones in groups.items():
            last, ever = sum(bool(one.last) for one in ones), sum(one.is_any_published for one in ones)
            counts = f"a hand in the last presentation {last}, in any {ever} of {len(ones)}"
            sys.stdout.write(f"{title}, hand replaced by {way}: {counts}\n")
        for (way, name), (frame, one) in shown.items():
            if one.is_any_published:
                sys.stdout.write(f"  {name}, {way}: {_said(one)}\n")
            panels.append(Panel(f"{name}, {way}: {len(one.last)} hands, {title}", frame, one.last))
    if path is not None:
        draw_sheet(path, panels)


def noise_table(bundle_path: Path, config: TrackingConfig = RIGHT) -> dict[tuple[str, int], list[Found]]:
    """By kind of disturbance and seed: what is found of the SR305 frames' hands."""
    bundle = read_bundle(bundle_path)
    settings = tracker_settings(bundle, config)
    frames = [(name, frame) for name, frame in real_frames() if name.startswith("sr305")]
    with open_engines(bundle) as engines:
        search = Disturbed(engines, settings)
        return {
            (kind, seed): [
                found
                for name, frame in frames
                if (found := search.find_again(frame, HAND_CENTERS_MM[name], disturb, seed)) is not None
            ]
            for kind, disturb in DISTURBANCES.items()
            for seed in range(3)
        }


def print_noise(bundle_path: Path, config: TrackingConfig) -> None:
    """Prints a line for each kind of disturbance and seed."""
    for (kind, seed), ones in noise_table(bundle_path, config).items():
        again, kept = sum(one.is_found for one in ones), sum(one.kept for one in ones) / (len(ones) * FRAMES)
        away_mm = np.median([one.joints_mm for one in ones])
        sys.stdout.write(
            f"{kind}, seed {seed}: {again} of {len(ones)} found again, kept over {FRAMES} frames {kept:.1%}, joints {away_mm:.1f} mm "
            "off in the median\n"
        )


def _said(shown: Shown) -> str:
    """The hands of each presentation, and of the first that has one how sure and where, mm."""
    counts = ", ".join(str(len(poses)) for poses in shown.poses)
    pose = next(poses[0] for poses in shown.poses if poses)
    x, y, z = pose.xyz_camera_mm.mean(axis=0)
    return f"hands {counts}; the first at ({x:.0f}, {y:.0f}, {z:.0f}), confidence {pose.confidence:.2f}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.real_depth", description=__doc__)
    parser.add_argument("out", type=Path, nargs="?", metavar="OUT.png", help="sheet to draw")
    parser.add_argument("bundle", type=Path, nargs="?", default=None, metavar="BUNDLE", help="bundle to run")
    parser.add_argument("--bundle", type=Path, default=BUNDLE, dest="named_bundle", help="the same")
    parser.add_argument("--noise", action="store_true", help="disturb the frames, count the hands that are found again")
    parser.add_argument("--without-hand", action="store_true", help="take the hands out, count what is published")
    arguments = parser.parse_args()
    if arguments.out is None and not arguments.without_hand and not arguments.noise:
        parser.error("the sheet to draw is missing; name it: python -m tests.real_depth OUT.png")
    if not FOLDERS[-1].is_dir():
        parser.error(f"no folder {FURTHER!r}; name one of real depth frames in HANDMAP_REAL_DEPTH, or none")
    return arguments


def _run(arguments: argparse.Namespace) -> None:
    bundle = arguments.bundle or arguments.named_bundle
    if arguments.noise:
        for config in (RIGHT, TrackingConfig()):
            sys.stdout.write(f"handedness: {config.handedness or 'left out'}\n")
            print_noise(bundle, config)
    elif arguments.without_hand:
        count_without_hand(arguments.out, bundle)
    else:
        draw(arguments.out, bundle)


if __name__ == "__main__":
    _run(_arguments())
