"""Reads result and label files in the field's text format: a test frame a line, `u v d` of each joint; pixels, pixels, mm.

What does not fit is refused with the file, the line and what to do; nothing is skipped or guessed.
"""

from array import array
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np

from handmap.files.reading import LFS_MAGIC, read_bytes
from handmap.recording.label_lines import BYTE_ORDER_MARK, parse_number
from handmap.recording.label_values import MAX_VALUE
from handmap.types.arrays import Float64
from handmap.types.errors import DatasetError, FileError

from ..datasets.published import PUBLISHED_SETS, PublishedSet

MAX_FILE_BYTES: Final = 256 << 20  # five times the largest of these sets with ten digits a number
MAX_LINE_BYTES: Final = 1 << 14
MAX_OUTSIDE: Final = (
    1 / 3
)  # of the joints; result files in use have none outside the image, points in mm have 60 to 96 %
MIN_MEDIAN_MM: Final = 10.0  # of the depths; smaller ones are meters
TEXT: Final = frozenset(range(32, 127)) | frozenset(b"\t\r\n\v\f")
REMOVE_FIRST: Final = "remove the first column: awk '{$1 = \"\"; print}' FILE > NEW"
DESCRIBED: Final = "docs/evaluation.md"


def read_result_file(path: Path, dataset: PublishedSet) -> Float64:
    """The joints (N, J, 3) of a file as u and v in pixels and depth in mm; row n is line n + 1.

    Raises DatasetError.
    """
    values, blank_line = array("d"), 0
    for line_number, line in enumerate(BytesIO(_read_text(path)), 1):
        if not line.strip():
            blank_line = blank_line or line_number
            continue
        if blank_line:
            raise _fault(path, blank_line, "is blank", dataset, "remove it, or give the joints of the frame")
        values.extend(_parse_line(path, line_number, line, dataset))
    if not values:
        raise DatasetError(
            f"file {str(path)!r} has no frames; wanted a line of {_columns(dataset)} numbers for each test frame of "
            f"{dataset.name}; give a file as {DESCRIBED} describes it"
        )
    joints = np.array(values).reshape(-1, len(dataset.joint_names), 3)
    _refuse_impossible(path, joints, dataset)
    _refuse_other_units(path, joints, dataset)
    return joints


def _read_text(path: Path) -> bytes:
    try:
        content = read_bytes(path, MAX_FILE_BYTES)
    except FileError as error:
        raise DatasetError(
            f"file {str(path)!r} cannot be read ({error.strerror}); give a text file as {DESCRIBED} describes it"
        ) from error
    if content.startswith(LFS_MAGIC):
        raise DatasetError(f"file {str(path)!r} is only a Git LFS pointer; fetch it with: git lfs pull")
    return content


def _parse_line(path: Path, line_number: int, line: bytes, dataset: PublishedSet) -> list[float]:
    """The numbers of a line; Python's own reader takes 1_000 for one, too, which is refused."""
    words = line.split() if len(line) <= MAX_LINE_BYTES else []
    if len(words) == _columns(dataset) and b"_" not in line:
        try:
            return [float(word) for word in words]
        except ValueError:
            pass
    found, fix = _explain(line, words, _columns(dataset))
    raise _fault(path, line_number, found, dataset, fix)


def _explain(line: bytes, words: list[bytes], columns: int) -> tuple[str, str]:
    """What is wrong with a line that does not fit, and what to do about it."""
    if line.startswith(BYTE_ORDER_MARK):
        return "begins with a byte order mark", "remove it: sed -i '1s/^\\xEF\\xBB\\xBF//' FILE"
    strange = next((byte for byte in line if byte not in TEXT), None)
    if strange is not None:
        return f"is not text (it has a byte 0x{strange:02x})", "give a text file, unpacked"
    if b"\r" in line.rstrip():
        return "has a CR without LF", "end lines in LF or CRLF: tr '\\r' '\\n' < FILE > NEW"
    if len(line) > MAX_LINE_BYTES:
        return f"is {len(line)} bytes long", "write one frame a line"
    if b"," in line or b";" in line:
        return "has commas or semicolons", "separate numbers by blanks: tr ',;' '  ' < FILE > NEW"
    wrong = next((word for word in words if parse_number(word.decode("ascii")) is None), None)
    if wrong is not None and wrong is words[0] and len(words) == columns + 1:
        return f"begins with the name {_shown(wrong)}", REMOVE_FIRST
    if wrong is not None:
        return f"has {_shown(wrong)}, which is no number", "correct it"
    return f"has {len(words)} numbers", _advise_columns(len(words), columns)


def _advise_columns(found: int, columns: int) -> str:
    others = [name for name, other in PUBLISHED_SETS.items() if _columns(other) == found]
    if others:
        return f"for a file of {PUBLISHED_SETS[others[0]].name} use --dataset {others[0]}"
    if found == columns + 1:
        return f"if the first is a frame number, {REMOVE_FIRST}"
    return f"write the joints that {DESCRIBED} lists, in its order"


def _refuse_impossible(path: Path, joints: Float64, dataset: PublishedSet) -> None:
    """Raises DatasetError at the first value that is NaN, infinite or huge, or depth that is not above 0."""
    is_wrong = ~(np.abs(joints) <= MAX_VALUE)  # NaN too
    is_wrong[..., 2] |= joints[..., 2] <= 0
    if not is_wrong.any():
        return
    frame, joint, axis = np.argwhere(is_wrong)[0]
    found = f"has {'uvd'[axis]} = {joints[frame, joint, axis]:g} for {dataset.joint_names[joint]}"
    fix = "give finite pixels and a depth above 0 for every joint of every frame, the best guess where there is none"
    raise _fault(path, int(frame) + 1, found, dataset, fix)


def _refuse_other_units(path: Path, joints: Float64, dataset: PublishedSet) -> None:
    """Raises DatasetError where the values as a whole are no pixels or no millimeters."""
    camera = dataset.evaluator_intrinsics
    u, v = joints[..., 0], joints[..., 1]
    is_outside = (u < 0) | (u >= camera.width_px) | (v < 0) | (v >= camera.height_px)
    if is_outside.mean() > MAX_OUTSIDE:
        frame, joint = np.argwhere(is_outside)[0]
        found = (
            f"has {dataset.joint_names[joint]} at u, v = {u[frame, joint]:g}, {v[frame, joint]:g}, and of all joints "
            f"{is_outside.mean():.0%} are outside the image of {camera.width_px} x {camera.height_px} pixels"
        )
        fix = (
            f"if these are x y z in mm, with y down, write u = {camera.cx_px:g} + {camera.fx_px:g} x / z, "
            f"v = {camera.cy_px:g} + {camera.fy_px:g} y / z and d = z"
        )
        raise _fault(path, int(frame) + 1, found, dataset, fix)
    middle = float(np.median(joints[..., 2]))
    if middle < MIN_MEDIAN_MM:
        frame, joint = np.argwhere(joints[..., 2] < MIN_MEDIAN_MM)[0]
        found = (
            f"has d = {joints[frame, joint, 2]:g} for {dataset.joint_names[joint]}, and the median of all is {middle:g}"
        )
        raise _fault(path, int(frame) + 1, found, dataset, "if these are meters, multiply d by 1000")


def _fault(path: Path, line_number: int, found: str, dataset: PublishedSet, fix: str) -> DatasetError:
    return DatasetError(
        f"file {str(path)!r}, line {line_number}: it {found}; wanted {_columns(dataset)} numbers, u v d of each of "
        f"{dataset.name}'s {len(dataset.joint_names)} joints in pixels, pixels and mm; {fix}"
    )


def _columns(dataset: PublishedSet) -> int:
    return 3 * len(dataset.joint_names)


def _shown(word: bytes) -> str:
    text = word.decode("ascii")
    return repr(text if len(text) <= 40 else f"{text[:37]}...")
