"""The reader of HANDS17: HandMap's split of the training frames, and faults of its labels."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from handmap.files.images import write_picture
from handmap.types.errors import DatasetError
from tests.support.public_sets import write_hands17
from training.datasets.hands17 import IMAGES, JOINTS, LABELS, open_hands17


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_hands17(tmp_path / "hands17")


def copy_frame(folder: Path, line: str, numbers: range) -> list[str]:
    """The lines of copies of a frame with these numbers."""
    name = line.split()[0]
    names = [f"image_D{number:08d}.png" for number in numbers]
    for one in names:
        shutil.copy(folder / IMAGES / name, folder / IMAGES / one)
    return [line.replace(name, one) for one in names]


def test_its_joints_are_in_the_challenge_order() -> None:
    assert JOINTS[:6] == ("wrist", "thumb_cmc", "index_mcp", "middle_mcp", "ring_mcp", "little_mcp")
    assert JOINTS[6:12] == ("thumb_mcp", "thumb_ip", "thumb_tip", "index_pip", "index_dip", "index_tip")
    assert JOINTS[18:] == ("little_pip", "little_dip", "little_tip")


def test_the_last_tenth_is_kept_apart(folder: Path) -> None:
    first, second_line, _ = (folder / LABELS).read_text().splitlines(keepends=True)
    copies = copy_frame(folder, first, range(101, 119))
    (folder / LABELS).write_text("".join([first, *copies, second_line]))
    sizes = {split: len(open_hands17(f"{folder},split={split}")) for split in ("train", "first90", "last10")}
    _, last = open_hands17(f"{folder},split=last10")
    second = list(open_hands17(f"{folder},split=train"))[-1]

    assert sizes == {"train": 20, "first90": 18, "last10": 2}
    assert (last.frame.depth == second.frame.depth).all() and (last.xyz_camera_mm == second.xyz_camera_mm).all()


def test_the_test_frames_have_no_labels(folder: Path) -> None:
    with pytest.raises(
        DatasetError, match="the labels of the test frames are not public; wanted train, first90 or last10"
    ):
        open_hands17(f"{folder},split=test")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (slice(0, 63), "line 7: found 62 numbers, wanted an image and 63 numbers"),
        (slice(1, 64), "line 7: found 62 numbers"),
    ],
)
def test_a_short_line_is_named(folder: Path, words: slice, found: str) -> None:
    line, last, _ = (folder / LABELS).read_text().splitlines()
    copies = copy_frame(folder, f"{line}\n", range(101, 107))
    (folder / LABELS).write_text("".join(copies) + "\t".join(last.split()[words]) + "\n")
    data = open_hands17(str(folder))
    assert len(data) == 7
    with pytest.raises(DatasetError, match=found):
        list(data)


@pytest.mark.parametrize(
    ("place", "value", "found"),
    [
        (3, "-400", "line 1: found wrist at a depth of -400 mm, .* wanted z in mm, away from the camera"),
        (1, "1e39", "line 1: found the number 1e39, which is beyond 100000"),
        (1, "-1e30", "line 1: found the number -1e30"),
        (1, "1_0", "line 1: found '1_0' among the numbers"),
        (1, "\u0661\u0660", "line 1: found '\u0661\u0660' among the numbers"),
        (63, "3.5", "line 1: found little_tip at a depth of 3.5 mm, which is nearer than a depth camera sees"),
    ],
)
def test_a_value_that_no_hand_has_is_refused(folder: Path, place: int, value: str, found: str) -> None:
    words = (folder / LABELS).read_text().splitlines()[0].split()
    words[place] = value
    (folder / LABELS).write_text("\t".join(words))
    with pytest.raises(DatasetError, match=f"{found}.*; unpack the set again, correct the line, or take it out"):
        list(open_hands17(str(folder)))


def test_an_image_that_is_labeled_twice_is_refused(folder: Path) -> None:
    lines = (folder / LABELS).read_text().splitlines(keepends=True)
    (folder / LABELS).write_text("".join([*lines, lines[1]]))
    with pytest.raises(
        DatasetError, match=r"line 4: found 'image_D00000002.png' again, wanted the one label of line 2;"
    ):
        open_hands17(str(folder))


def test_an_image_in_color_is_refused_with_advice_that_the_set_has(folder: Path) -> None:
    write_picture(folder / IMAGES / "image_D00000001.png", np.zeros((480, 640, 3), np.uint8))
    with pytest.raises(
        DatasetError, match=r"found a color image, wanted a 16-bit grayscale PNG; unpack the set again$"
    ):
        next(iter(open_hands17(str(folder))))
