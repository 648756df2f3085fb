"""Tiny data sets in the published layouts of NYU, ICVL, MSRA15 and HANDS17, and of one's own, of synthetic hands whose joints are known."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.io import savemat

from handmap.files.images import write_depth_png
from handmap.types.arrays import Float32, Float64, Uint16
from handmap.types.intrinsics import Intrinsics, project
from handmap.types.joints import FINGERS, HAND21
from tests.support.labeled_pngs import write_labeled_pngs
from training.datasets import hands17, icvl, msra, nyu
from training.datasets.public_set import SetFacts
from training.hand.hand_model import load_hand_asset, shape_hand, train_coefficients
from training.hand.poses import counting, curled, open_hand, sample_kind
from training.hand.rotations import turn_x, turn_y
from training.synthesis.scene import PixelWindow, Scene, render_scene, skin_of

FRAMES = 3
KINDS = (open_hand, counting, curled)


@dataclass(frozen=True)
class KnownHand:
    """Depth (H, W) in mm, 0 where nothing is, and the true joints (21, 3) in the camera frame."""

    z_mm: Float32
    joints_mm: Float64

    @property
    def depth(self) -> Uint16:
        """The depth in whole mm."""
        return np.rint(self.z_mm).astype(np.uint16)


@cache
def known_hands(lens: Intrinsics, distance_mm: float, is_left: bool = False) -> tuple[KnownHand, ...]:
    """FRAMES hands before a camera, fingers up, each in another pose."""
    asset, random = load_hand_asset(), np.random.default_rng(18)
    mirrored = Intrinsics(
        lens.width_px, lens.height_px, lens.fx_px, lens.fy_px, lens.width_px - 1 - lens.cx_px, lens.cy_px
    )
    hands = []
    for number in range(FRAMES):
        shape = shape_hand(asset, 0.5 * train_coefficients(asset, random))
        _, hand = sample_kind(asset, shape.anchors_mm, KINDS[number % len(KINDS)], random)
        rotation = turn_x(0.1 * number) @ turn_y(0.2 - 0.15 * number)
        place = np.array([25.0 - 20 * number, 160.0, distance_mm + 15 * number])
        joints = hand.joints_mm @ rotation.T + place
        scene = Scene(
            mirrored if is_left else lens, skin_of(asset, shape, hand, rotation, joints[0]), joints, None, None
        )
        z_mm, _ = render_scene(asset, scene, PixelWindow(0, 0, lens.width_px, lens.height_px))
        z_mm = np.where((z_mm > 0) & (z_mm < 5000), z_mm, np.float32(0)).astype(np.float32)
        if is_left:
            z_mm, joints = z_mm[:, ::-1].copy(), joints * (-1, 1, 1)
        hands.append(KnownHand(z_mm, joints))
    return tuple(hands)


def own_joints(facts: SetFacts, joints_mm: Float64) -> Float64:
    """The joints (J, 3) of a set that has ours among its own; any others lie in the middle of the palm."""
    own: Float64 = np.tile(joints_mm[[0, 5, 17]].mean(axis=0), (len(facts.joints), 1))
    for name, parts in facts.hand21.items():
        (place,) = parts
        own[place] = joints_mm[HAND21.index(name)]
    return own


def icvl_joints(joints_mm: Float64) -> Float64:
    """ICVL's joints (16, 3): the palm and the centers of the phalanges."""
    bones = [(4 * finger + 1 + bone, 4 * finger + 2 + bone) for finger in range(len(FINGERS)) for bone in range(3)]
    palm = joints_mm[[0, 5, 9, 13, 17]].mean(axis=0)
    return np.stack([palm, *(joints_mm[list(ends)].mean(axis=0) for ends in bones)])


def nyu_hands() -> tuple[KnownHand, ...]:
    """The hands of `write_nyu`."""
    return known_hands(nyu.FACTS.intrinsics, 700.0)


def write_nyu(folder: Path) -> Path:
    """train/ and test/, all three views alike."""
    hands = nyu_hands()
    own = np.stack([own_joints(nyu.FACTS, hand.joints_mm) for hand in hands]) * (1, -1, 1)
    for split in ("train", "test"):
        (folder / split).mkdir(parents=True)
        savemat(folder / split / "joint_data.mat", {"joint_xyz": np.tile(own, (3, 1, 1, 1))}, do_compression=True)
        for number, hand in enumerate(hands, 1):
            for view in (1, 2, 3):
                write_nyu_png(folder / split / f"depth_{view}_{number:07d}.png", hand.depth)
    return folder


def write_nyu_png(path: Path, depth: Uint16) -> None:
    """Depth in mm as the NYU set has it, in green and blue."""
    color = np.stack([np.zeros_like(depth), depth >> 8, depth & 255], axis=-1).astype(np.uint8)
    Image.fromarray(color).save(path)


def icvl_hands() -> tuple[KnownHand, ...]:
    """The hands of `write_icvl`."""
    return known_hands(icvl.FACTS.intrinsics, 380.0, is_left=True)


def write_icvl(folder: Path) -> Path:
    """Training/ with all frames, Testing/ with the first in one file and the others in another; a blank line in each."""
    lines = []
    for number, hand in enumerate(icvl_hands()):
        own = icvl_joints(hand.joints_mm)
        uvd = np.column_stack([project(np, own, icvl.FACTS.intrinsics), own[:, 2]])
        name = f"201403121135/image_{number:04d}.png"
        lines.append(f"{name} {' '.join(f'{value:.3f}' for value in uvd.ravel())} \n")
        for part in ("Training", "Testing"):
            image = folder / part / "Depth" / name
            image.parent.mkdir(parents=True, exist_ok=True)
            write_depth_png(image, hand.depth)
    (folder / "Training" / "labels.txt").write_text("".join(lines) + "\n")
    (folder / "Testing" / "test_seq_1.txt").write_text(lines[0] + "\n")
    (folder / "Testing" / "test_seq_2.txt").write_text("\n".join(lines[1:]))
    return folder


def msra_hands() -> tuple[KnownHand, ...]:
    """The hands of `write_msra`, the same for each subject and gesture."""
    return known_hands(msra.FACTS.intrinsics, 350.0)


def write_msra(folder: Path, frames: int = FRAMES) -> Path:
    """P0 to P8 with all gestures; the first `frames` hands again and again."""
    hands = msra_hands()
    images = [_msra_bin(hand.z_mm) for hand in hands]
    own = [own_joints(msra.FACTS, hand.joints_mm) * (1, -1, -1) for hand in hands]
    lines = [" ".join(f"{value:.6f}" for value in joints.ravel()) for joints in own]
    for subject in range(9):
        for gesture in msra.GESTURES:
            place = folder / f"P{subject}" / gesture
            place.mkdir(parents=True)
            for number in range(frames):
                (place / f"{number:06d}_depth.bin").write_bytes(images[number % FRAMES])
            told = "\n".join(lines[number % FRAMES] for number in range(frames))
            (place / "joint.txt").write_text(f"{frames}\n{told}\n")
    return folder


def _msra_bin(z_mm: Float32) -> bytes:
    rows, columns = np.nonzero(z_mm)
    top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    header = struct.pack("<6i", z_mm.shape[1], z_mm.shape[0], left, top, right, bottom)
    return header + z_mm[top:bottom, left:right].astype("<f4").tobytes()


def hands17_hands() -> tuple[KnownHand, ...]:
    """The hands of `write_hands17`."""
    return known_hands(hands17.FACTS.intrinsics, 500.0)


def write_hands17(folder: Path) -> Path:
    """training/ with its images and labels."""
    (folder / hands17.IMAGES).mkdir(parents=True)
    lines = []
    for number, hand in enumerate(hands17_hands(), 1):
        name = f"image_D{number:08d}.png"
        write_depth_png(folder / hands17.IMAGES / name, hand.depth)
        own = own_joints(hands17.FACTS, hand.joints_mm)
        lines.append("\t".join([name, *(f"{value:.4f}" for value in own.ravel())]) + "\n")
    (folder / hands17.LABELS).write_text("".join(lines))
    return folder


def write_own(folder: Path) -> Path:
    """A folder of labeled PNGs with the hands of `write_hands17`."""
    hands = [(hand.depth, hand.joints_mm) for hand in hands17_hands()]
    return write_labeled_pngs(folder, hands, hands17.FACTS.intrinsics)


def write_centers(path: Path, centers_mm: Float64, is_y_up: bool) -> Path:
    """Centers (N, 3) in the camera frame, NaN for a frame without, in the published format."""
    rows = centers_mm * (1, -1 if is_y_up else 1, 1)
    path.write_text(
        "".join(
            "invalid\n" if np.isnan(row).any() else " ".join(f"{value:.6f}" for value in row) + "\n" for row in rows
        )
    )
    return path


SETS: dict[str, tuple[Callable[[Path], Path], Callable[[], tuple[KnownHand, ...]], Callable[[str], Any]]] = {
    "nyu": (write_nyu, nyu_hands, nyu.open_nyu),
    "icvl": (write_icvl, icvl_hands, icvl.open_icvl),
    "msra": (write_msra, msra_hands, msra.open_msra),
    "hands17": (write_hands17, hands17_hands, hands17.open_hands17),
}
