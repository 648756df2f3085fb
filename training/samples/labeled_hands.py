"""Labeled frames of data sets and recordings as training samples: canvases cut out once about each hand and kept on disk.

A labeled frame becomes what a rendered hand is: a canvas, a mask of the hand, 21 joints, and how much each label counts. Which of
them a step uses is in `source_mix`.
"""

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from handmap.geometry.crop import EMPTY as NO_POINT
from handmap.geometry.crop import orthographic_raw
from handmap.recording.datasets import LabeledFrame
from handmap.system.progress import track_progress
from handmap.types.arrays import Bool, Float32
from handmap.types.values import DepthFrame, Handedness

from ..synthesis.canvas import CANVAS_MM, CANVAS_PX, CANVAS_UNIT_MM, EMPTY
from .disk_array import create_array
from .flesh import mask_of_hand
from .labeled_cache import frames_of, nothing_left, open_hand21, open_kept
from .sample_cache import RenderedHands

TRUSTED_MM: Final = 5.0  # a label with this standard deviation counts half; the knee of the pose loss
ARRAYS: Final = ("canvas", "is_hand", "joints_mm", "weight")
FORMAT: Final = "2"  # of the files below; part of their folder's name


class LabeledHands(NamedTuple):
    """N hands on disk: canvas (N or more, 160, 160) int16, mask of one bit a pixel, joints_mm (N, 21, 3) about the canvas center,
    NaN without a label, and weight (N, 21) in [0, 1] of each joint in the losses."""

    canvas: NDArray[np.int16]
    is_hand: NDArray[np.uint8]
    joints_mm: Float32
    weight: Float32

    def __len__(self) -> int:
        return len(self.joints_mm)

    def read(self, rows: NDArray[np.int64]) -> RenderedHands:
        """Copies of some of them."""
        mask = np.unpackbits(self.is_hand[rows], axis=-1).view(np.bool_)
        return RenderedHands(self.canvas[rows], mask, self.joints_mm[rows], self.weight[rows])


def open_labeled_hands(data: str, folder: Path) -> LabeledHands:
    """The hands of the data set or labeled recording named `data`, cut out into `folder` unless they are there already.

    Left hands are mirrored. Frames whose hand has no label are left out.
    Raises DatasetError if none is left, if its joints are not hand21, or if it cannot be written.
    """
    return LabeledHands(*open_kept(data, folder, ARRAYS, FORMAT, _write))


def _write(data: str, folder: Path) -> None:
    dataset = open_hand21(data)
    # Written as it is read: all canvases may be more than fits into memory. Room for frames without a label stays empty.
    shape = (max(len(dataset), 1), CANVAS_PX, CANVAS_PX)
    canvas = create_array(folder / "canvas.npy", np.int16, shape)
    masks: list[NDArray[np.uint8]] = []
    joints: list[Float32] = []
    weights: list[Float32] = []
    with track_progress("cut out hands", len(dataset), "frames") as advance:
        for number, labeled in enumerate(frames_of(data, dataset)):
            if labeled.is_labeled.any():
                hand = cut_out(labeled)
                canvas[len(masks)] = hand.canvas
                masks.append(np.packbits(hand.is_hand, axis=-1))
                joints.append(hand.joints_mm)
                weights.append(hand.weight)
            advance(number + 1, "")
    if not masks:
        raise nothing_left(data, len(dataset), "a labeled joint")
    canvas.flush()
    for name, values in zip(ARRAYS[1:], (masks, joints, weights), strict=True):
        np.save(folder / f"{name}.npy", np.asarray(values))


class CutOut(NamedTuple):
    """One hand: canvas (160, 160) int16, is_hand likewise bool, joints_mm (21, 3) about the canvas center, weight (21,)."""

    canvas: NDArray[np.int16]
    is_hand: Bool
    joints_mm: Float32
    weight: Float32


def cut_out(labeled: LabeledFrame) -> CutOut:
    """The canvas about a labeled hand, cut out as the runtime cuts its crops, in the form of a rendered hand's; a left hand is
    mirrored.

    As hand count the pixels near the labeled bones.
    """
    joints_mm = (labeled.xyz_camera_mm - labeled.center_mm).astype(np.float32)
    canvas = _canvas(labeled.frame, labeled.center_mm)
    is_hand = mask_of_hand(canvas, joints_mm)
    weight = _weigh(labeled.is_labeled, labeled.doubt_mm)
    if labeled.handedness is Handedness.LEFT:
        canvas, is_hand, joints_mm = canvas[:, ::-1], is_hand[:, ::-1], joints_mm * np.array([-1, 1, 1], np.float32)
    return CutOut(canvas, is_hand, joints_mm, weight)


def _canvas(frame: DepthFrame, center_mm: Float32) -> NDArray[np.int16]:
    raw = orthographic_raw(np, frame, center_mm, CANVAS_MM, CANVAS_PX)
    behind_mm = raw.astype(np.float64) * frame.depth_unit_mm - center_mm[2]
    units = np.rint(behind_mm / CANVAS_UNIT_MM)
    canvas: NDArray[np.int16] = np.where(raw == NO_POINT, EMPTY, units).astype(np.int16)
    return canvas


def _weigh(is_labeled: Bool, doubt_mm: Float32 | None) -> Float32:
    """How much each joint (21,) counts: 0 without a label, less the more its label is in doubt."""
    variance = 0.0 if doubt_mm is None else np.square(np.nan_to_num(doubt_mm, nan=np.inf))
    trust = TRUSTED_MM**2 / (TRUSTED_MM**2 + variance)
    weight: Float32 = np.where(is_labeled, trust, 0.0).astype(np.float32)
    return weight
