"""Labels of one's own PNGs: `joints.txt` beside them makes the folder a data set like any other."""

from pathlib import Path

import numpy as np
import numpy.testing as npt
import pytest

from handmap.recording.datasets import OneHanded, open_dataset
from handmap.recording.reader import open_recording
from handmap.types.errors import DatasetError, RecordingError
from handmap.types.values import Handedness
from tests.support.labeled_pngs import LENS, dotted_hand, write_labeled_pngs

HANDS = [dotted_hand(number) for number in range(3)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_labeled_pngs(tmp_path / "own", HANDS, LENS)


def numbers(folder: Path) -> list[str]:
    return (folder / "joints.txt").read_text().splitlines()[0].split()


def test_labeled_frames_have_the_joints_of_their_line(folder: Path) -> None:
    recording = open_recording(folder)
    first, last = recording.labeled()

    assert (len(recording), recording.labeled_count()) == (3, 2)
    assert [first.frame.frame_number, last.frame.frame_number] == [0, 2]
    npt.assert_allclose(first.xyz_camera_mm, HANDS[0][1], atol=0.01)
    npt.assert_allclose(last.xyz_camera_mm[1:], HANDS[2][1][1:], atol=0.01)
    npt.assert_array_equal(last.is_labeled, np.arange(21) > 0)
    npt.assert_array_equal(last.frame.depth, HANDS[2][0])
    assert first.is_visible.all() and last.is_visible[1:].all() and not last.is_visible[0]
    assert first.handedness is Handedness.RIGHT and first.doubt_mm is None and first.cube is None


def test_the_folder_is_a_data_set_by_its_path(folder: Path) -> None:
    data = open_dataset(str(folder))
    assert len(data) == len(list(data)) == 2
    assert isinstance(data, OneHanded) and data.handedness is Handedness.RIGHT


def test_left_hands_are_stated_once_for_the_folder(folder: Path) -> None:
    with (folder / "intrinsics.yaml").open("a") as file:
        file.write("handedness: left\n")
    assert {one.handedness for one in open_recording(folder).labeled()} == {Handedness.LEFT}
    data = open_dataset(f"recording:{folder}")
    assert isinstance(data, OneHanded) and data.handedness is Handedness.LEFT


def test_doubt_may_follow_the_joints(folder: Path) -> None:
    doubts = [f"{number / 2}" for number in range(21)]
    (folder / "joints.txt").write_text(" ".join([*numbers(folder), *doubts]))
    (labeled,) = open_recording(folder).labeled()
    assert labeled.doubt_mm is not None
    npt.assert_allclose(labeled.doubt_mm, np.arange(21) / 2)


def test_a_folder_without_labels_says_how_to_write_them(folder: Path) -> None:
    (folder / "joints.txt").unlink()
    with pytest.raises(RecordingError, match=r"no joint labels, for there is no joints.txt beside the PNGs; write one"):
        open_dataset(str(folder))


def in_meters(words: list[str]) -> list[str]:
    return [str(float(word) / 1000) for word in words]


NAN3, ONES = ["nan"] * 3, ["1.0"] * 21


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda words: words[:-1], "line 2: found 62 numbers, wanted the name of an image and 63 numbers"),
        (lambda words: [*words, "1"], "line 2: found 64 numbers"),
        (lambda words: ["9.png", *words[1:]], "line 2: found '9.png', wanted one of the 3 depth images beside it"),
        (lambda words: ["0.png", *words[1:]], "line 2: found '0.png' again, wanted the one label of line 1"),
        (lambda words: ["my hand.png", *words[1:]], "line 2: found 'hand.png' among the numbers"),
        (lambda words: [words[0], *NAN3 * 21], "line 2: found no joint with a label"),
        (lambda words: [words[0], "nan", *words[2:]], "line 2: found a joint of which only a part is nan"),
        (lambda words: [words[0], "inf", *words[2:]], "line 2: found a number that is not finite"),
        (
            lambda words: [*words[:3], "-1", *words[4:]],
            "line 2: found wrist at a depth of -1 mm, which is not in front of",
        ),
        (
            lambda words: [words[0], *NAN3, *in_meters(words[4:])],
            r"found thumb_\w+ .* meters, .*; multiply x, y and z by 1000$",
        ),
        (
            lambda words: [words[0], "1e39", *words[2:]],
            "line 2: found the number 1e39, which is beyond 100000, .*or take it out",
        ),
        (lambda words: [words[0], "1_0", *words[2:]], "line 2: found '1_0' among the numbers"),
        (lambda words: [*words, *ONES[:-1], "-1"], "line 2: found -1 as the doubt of little_tip, wanted 0 or more"),
        (lambda words: [*words, *ONES[:-1], "nan"], "line 2: found nan as the doubt of little_tip"),
    ],
)
def test_a_fault_is_named_with_its_line(folder: Path, change: object, found: str) -> None:
    assert callable(change)
    words = numbers(folder)
    path = folder / "joints.txt"
    path.write_text(" ".join(words) + "\n" + " ".join(change(["1.png", *words[1:]])) + "\n")
    with pytest.raises(DatasetError, match=found) as error:
        open_dataset(str(folder))
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("encoding", "found"),
    [
        ("utf-8-sig", r"line 1: it begins with a byte order mark, .* sed -i"),
        ("utf-16", r"line 1: it is UTF-16, .* iconv"),
    ],
)
def test_a_file_in_another_encoding_is_named(folder: Path, encoding: str, found: str) -> None:
    path = folder / "joints.txt"
    path.write_text(path.read_text(), encoding=encoding)
    with pytest.raises(DatasetError, match=found):
        open_dataset(str(folder))


def test_an_empty_label_file_is_refused(folder: Path) -> None:
    (folder / "joints.txt").write_text("\n")
    with pytest.raises(DatasetError, match=r"joints.txt': found no line; write a line for each labeled image"):
        open_dataset(str(folder))


@pytest.mark.parametrize("unit", ["0", "-1", "nan", "inf", "1001", "one"])
def test_a_unit_that_no_camera_has_is_refused(folder: Path, unit: str) -> None:
    with pytest.raises(DatasetError, match=f"found depth_unit_mm={unit}, wanted"):
        open_dataset(f"recording:{folder},depth_unit_mm={unit}")
