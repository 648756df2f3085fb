"""The MSRA15 hand gesture data set: `msra:/path[,subject=0..8][,split=train|test][,centers=FILE]`, in its published layout.

Sun et al., Cascaded Hand Pose Regression, CVPR 2015. Results are published as the mean over nine trainings that each leave one
subject out: with subject=3, split=test is that subject and split=train all others.
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from handmap.files.reading import read_bytes
from handmap.recording.datasets import Dataset, split_options
from handmap.recording.label_lines import LabelLine, LineLayout, parse_line, read_lines, refuse_depths
from handmap.types.arrays import Uint16
from handmap.types.errors import DatasetError, RecordingError
from handmap.types.intrinsics import Intrinsics
from handmap.types.values import Handedness

from .centers import place_cubes
from .public_set import PublicSet, SetFacts, SetFrame, joint_notes, open_folder
from .published import PUBLISHED_SETS

GESTURES: Final = ("1", "2", "3", "4", "5", "6", "7", "8", "9", "I", "IP", "L", "MP", "RP", "T", "TIP", "Y")
CUBES_MM: Final = (200.0, 200.0, 200.0, 180.0, 180.0, 180.0, 170.0, 160.0, 150.0)  # by subject, as DeepPrior++ has them
SUBJECTS: Final = range(len(CUBES_MM))
LABELS: Final = "joint.txt"
LAYOUT: Final = LineLayout(
    (63,),
    "63 numbers, x y z in mm of 21 joints",
    "unpack the set again, or correct the line, but leave it in its place, which is the number of its image",
    is_named=False,
    depth="z in mm, negative in front of the camera",
)
OPTIONS: Final = {"subject": "0 to 8", "split": "train or test (with subject)", "centers": "FILE of published centers"}
HEADER: Final = struct.Struct("<6i")  # width, height, left, top, right, bottom
UNIT_MM: Final = (
    1 / 16
)  # its depth is float32 in mm; steps of 1/16 mm are far below the sensor's noise, and reach to 4 m
MAX_BYTES: Final = 1 << 20

# Frames whose labels are known to be wrong, by number of their file (found by the authors of DeepPrior++).
FAULTY: Final = {
    ("P2", "TIP"): {172, 173, 174},
    ("P2", "MP"): {173, 174, 175, *range(345, 355), 356, 359, 360},
    ("P3", "T"): {120, 489},
    ("P8", "4"): {168},
}
JOINTS: Final = PUBLISHED_SETS["msra"].joint_names

FACTS: Final = SetFacts(
    title="MSRA15",
    intrinsics=Intrinsics(320, 240, 241.42, 241.42, 160.0, 120.0),
    handedness=Handedness.RIGHT,
    joints=JOINTS,
    hand21={name: {place: 1.0} for place, name in enumerate(JOINTS)},
    doubt_mm={},
    is_y_up=True,
    layout=f"P0 to P8, each with the folders {GESTURES[0]} to {GESTURES[-1]}, each with 000000_depth.bin and so on and {LABELS}",
    depth_unit_mm=UNIT_MM,
)


@dataclass(frozen=True)
class MsraFrames:
    """All frames of some subjects, faulty ones too: each with its folder, its subject and its line."""

    frames: tuple[tuple[Path, int, int, LabelLine], ...]

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> SetFrame:
        folder, subject, number, line = self.frames[index]
        path = folder / LABELS
        _, values = parse_line(path, line, LAYOUT)
        joints = values.reshape(-1, 3) * (1.0, -1.0, -1.0)  # y up and z negative in the file
        refuse_depths(path, line, LAYOUT, joints[:, 2], JOINTS)
        image = folder / f"{number:06d}_depth.bin"
        return SetFrame(image, joints, CUBES_MM[subject], f"line {line.number} of {str(path)!r}")

    def is_faulty(self, index: int) -> bool:
        """Whether the label of a frame is known to be wrong."""
        folder, subject, number, _ = self.frames[index]
        return number in FAULTY.get((f"P{subject}", folder.name), ())


def open_msra(which: str) -> Dataset:
    """The data set `msra:which`; without options all nine subjects.

    Raises DatasetError if the folder, the labels or an option are not as published.
    """
    name = f"msra:{which}"
    path, options = split_options(which, OPTIONS, name)
    folder = open_folder(name, path, FACTS)
    chosen = _subjects(name, options)
    frames = MsraFrames(tuple(frame for subject in chosen for frame in _frames_of(folder, subject)))
    kept = [index for index in range(len(frames)) if not frames.is_faulty(index)]
    notes = (*joint_notes(FACTS), f"subjects {', '.join(map(str, chosen))}")
    if len(kept) < len(frames):
        notes = (*notes, f"{len(frames) - len(kept)} frames left out whose labels are known to be wrong")
    sides = f"{', '.join(f'{CUBES_MM[subject]:.0f}' for subject in chosen)} mm by subject"
    return place_cubes(PublicSet(name, FACTS, frames, read_bin, kept, notes), sides, options.get("centers"))


def read_bin(path: Path) -> Uint16:
    """Depth (240, 320) in steps of UNIT_MM of a `_depth.bin`, which holds the part of the image around the hand.

    Raises RecordingError if it is not one.
    """
    try:
        content = read_bytes(path, MAX_BYTES)
    except OSError as error:
        raise RecordingError(f"image {str(path)!r} cannot be read ({error.strerror}); unpack the set again") from error
    if len(content) < HEADER.size:
        raise RecordingError(
            f"image {str(path)!r}: found {len(content)} bytes, wanted a header of {HEADER.size} and depth; unpack the set again"
        )
    width, height, left, top, right, bottom = HEADER.unpack_from(content)
    if not (0 <= left < right <= width and 0 <= top < bottom <= height and width * height <= MAX_BYTES):
        raise RecordingError(
            f"image {str(path)!r}: its header has the part {left, top, right, bottom} (left, top, right, bottom) of an image of "
            f"{width}x{height}, which does not fit; unpack the set again"
        )
    wanted = HEADER.size + 4 * (right - left) * (bottom - top)
    if len(content) != wanted:
        raise RecordingError(
            f"image {str(path)!r}: found {len(content)} bytes, wanted {wanted} for the part of {right - left}x{bottom - top} in "
            "its header; unpack the set again"
        )
    part = np.frombuffer(content, "<f4", offset=HEADER.size).reshape(bottom - top, right - left)
    if not (np.isfinite(part).all() and part.min() >= 0 and part.max() <= 65535 * UNIT_MM):
        raise RecordingError(
            f"image {str(path)!r}: found depth that is not between 0 and {65535 * UNIT_MM:.0f} mm; unpack the set again"
        )
    depth: Uint16 = np.zeros((height, width), np.uint16)
    depth[top:bottom, left:right] = np.rint(part / UNIT_MM).astype(np.uint16)
    return depth


def _subjects(name: str, options: dict[str, str]) -> tuple[int, ...]:
    """The subjects that an option chooses."""
    subject, split = options.get("subject"), options.get("split")
    if subject is None:
        if split is not None:
            raise DatasetError(
                f"data set {name!r}: split={split} leaves one subject out; say which, with subject=0 to subject=8"
            )
        return tuple(SUBJECTS)
    if subject not in {str(number) for number in SUBJECTS}:
        raise DatasetError(f"data set {name!r}: subject={subject}, wanted 0 to 8")
    if split not in (None, "train", "test"):
        raise DatasetError(f"data set {name!r}: split={split}, wanted train or test")
    one = int(subject)
    return tuple(number for number in SUBJECTS if number != one) if split == "train" else (one,)


def _frames_of(folder: Path, subject: int) -> list[tuple[Path, int, int, LabelLine]]:
    """The frames of a subject, by gesture; the first line of each file of labels is their number."""
    frames = []
    for gesture in GESTURES:
        place = folder / f"P{subject}" / gesture
        first, *lines = read_lines(place / LABELS, LAYOUT, f"name a folder with {FACTS.layout}")
        if first.text.strip() != str(len(lines)).encode():
            stated = first.text.strip()[:20].decode("utf-8", errors="replace")
            raise DatasetError(
                f"labels {str(place / LABELS)!r}, line {first.number}: found {stated!r}, wanted the number of the lines that "
                f"follow, {len(lines)}; unpack the set again"
            )
        frames += [(place, subject, number, line) for number, line in enumerate(lines)]
    return frames
