"""Labeled frames as samples of the palm network: whole pictures, reduced as the runtime reduces them."""

from pathlib import Path
from typing import Final

import numpy as np

from handmap.recording.datasets import LabeledFrame, label_center
from handmap.system.progress import track_progress
from handmap.tracking.palm_detector import INPUT_COLUMNS, INPUT_ROWS, encode_depth
from handmap.types.arrays import Float32
from handmap.types.values import Handedness

from ..synthesis.palm_scene import count_seen
from .disk_array import create_array
from .labeled_cache import frames_of, nothing_left, open_hand21, open_kept
from .palm_samples import MAX_HANDS, PalmSamples, place_in_picture

DOUBT_MM: Final = 20.0  # of the labels of a hand, at most: a cell of the network's answer at arm's length
FORMAT: Final = "palms 1"  # of the files below; part of their folder's name


def open_labeled_palms(data: str, folder: Path) -> PalmSamples:
    """The hands of the data set or labeled recording named `data`, kept in `folder`, each with the whole picture it is in.

    Frames whose hand has no label, or labels in much doubt, are left out.
    Raises DatasetError if none is left, if its joints are not hand21, or if it cannot be written.
    """
    pictures, hands, *others = open_kept(data, folder, PalmSamples._fields, FORMAT, _write)
    return PalmSamples(pictures[: len(hands)], hands, *others)


def _write(data: str, folder: Path) -> None:
    dataset = open_hand21(data)
    # Written as it is read: all pictures may be more than fits into memory. Room for those that are left out stays empty.
    shape = (max(len(dataset), 1), INPUT_ROWS, INPUT_COLUMNS)
    pictures = create_array(folder / "pictures.npy", np.float16, shape)
    hands: list[Float32] = []
    is_right: list[list[bool]] = []
    seen_joints: list[list[int]] = []
    with track_progress("reduce pictures", len(dataset), "frames") as advance:
        for number, labeled in enumerate(frames_of(data, dataset)):
            if _is_sure(labeled):
                view = encode_depth(np, labeled.frame)
                pictures[len(hands)] = view.depth_small
                hands.append(place_in_picture(label_center(labeled.xyz_camera_mm)[None], view.intrinsics))
                is_right.append([labeled.handedness is Handedness.RIGHT] + [False] * (MAX_HANDS - 1))
                seen_joints.append([_count_seen(labeled)] + [0] * (MAX_HANDS - 1))
            advance(number + 1, "")
    if not hands:
        raise nothing_left(data, len(dataset), f"a hand whose labels are sure to {DOUBT_MM:g} mm")
    pictures.flush()
    np.save(folder / "hands.npy", np.array(hands))
    np.save(folder / "is_right.npy", np.array(is_right))
    np.save(folder / "seen_joints.npy", np.array(seen_joints, np.int8))


def _is_sure(labeled: LabeledFrame) -> bool:
    if not labeled.is_labeled.any():
        return False
    return labeled.doubt_mm is None or float(np.nanmedian(labeled.doubt_mm[labeled.is_labeled])) <= DOUBT_MM


def _count_seen(labeled: LabeledFrame) -> int:
    """How many labeled joints the camera sees; where it measured nothing, nothing hides them."""
    frame = labeled.frame
    z_mm = np.where(frame.depth == 0, np.inf, frame.depth * frame.depth_unit_mm).astype(np.float32)
    return count_seen(z_mm, labeled.xyz_camera_mm[labeled.is_labeled], frame.intrinsics)
