"""The reader of the NYU set: its views, its two cube sides, its joints, and faults of its files."""

import os
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from handmap.files.images import write_depth_png
from handmap.types.errors import DatasetError
from handmap.types.joints import HAND21
from tests.real_depth import NYU_JOINTS
from tests.support.public_sets import FRAMES, nyu_hands, write_nyu, write_nyu_png
from training.datasets.nyu import FACTS, JOINTS, NyuFrames, open_nyu

# The fourteen of published results, by their ids among the 36.
EVALUATED = (0, 3, 6, 9, 12, 15, 18, 21, 24, 25, 27, 30, 31, 32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_nyu(tmp_path / "nyu")


def test_the_ten_joints_of_published_results_that_are_ours_have_their_names() -> None:
    places = {HAND21.index(name): place for name, parts in FACTS.hand21.items() for place in parts}
    found = [HAND21[ours] for place in EVALUATED[:10] for ours, theirs in places.items() if theirs == place]
    assert tuple(found) == NYU_JOINTS
    assert not set(EVALUATED[10:]) & set(places.values())
    assert (len(JOINTS), JOINTS[0], JOINTS[24], JOINTS[35]) == (36, "F1_KNU3_A", "TH_KNU3_A", "PALM_6")
    assert FACTS.missing == ("wrist", "thumb_cmc", "thumb_mcp")


def test_each_split_and_view_has_its_own_images(folder: Path) -> None:
    far = np.full((480, 640), 2001, np.uint16)
    write_nyu_png(folder / "train" / "depth_3_0000002.png", far)

    frames = list(open_nyu(f"{folder},split=train,view=3"))

    assert [bool((labeled.frame.depth == 2001).all()) for labeled in frames] == [False, True, False]
    assert not any((labeled.frame.depth == 2001).any() for labeled in open_nyu(f"{folder},split=train"))
    assert not frames[1].is_visible.any() or frames[1].frame.depth.min() > 0


def test_the_second_person_of_the_test_split_has_a_smaller_cube(tmp_path: Path) -> None:
    joints = np.zeros((8252, 36, 3))
    sides = {
        is_test: [NyuFrames(tmp_path, is_test, 1, joints)[index].cube_mm for index in (0, 2439, 2440, 8251)]
        for is_test in (True, False)
    }
    assert sides == {True: [300, 300, 250, 250], False: [300, 300, 300, 300]}


def test_a_missing_image_is_named_when_its_frame_comes(folder: Path) -> None:
    gone = folder / "test" / "depth_1_0000002.png"
    gone.unlink()
    frames = iter(open_nyu(str(folder)))
    next(frames)
    with pytest.raises(DatasetError, match=r"frame 2 of '.*test/joint_data.mat': its image .* is not there") as error:
        next(frames)
    assert str(gone) in str(error.value)


@pytest.mark.parametrize(
    ("write", "found"),
    [
        (lambda path: write_depth_png(path, np.zeros((480, 640), np.uint16)),
         "found a 16-bit grayscale image, wanted a PNG with 8-bit RGB; unpack the set again"),
        (lambda path: write_nyu_png(path, np.zeros((240, 320), np.uint16)), r"has the size \(240, 320\), wanted \(480, 640\)"),
        (lambda path: path.write_bytes(path.read_bytes()[:5000]), "truncated or damaged"),
        (lambda path: path.write_bytes(b""), "not a readable image"),
    ],
)  # fmt: skip
def test_an_image_of_another_kind_is_refused_with_its_frame(folder: Path, write: object, found: str) -> None:
    assert callable(write)
    write(folder / "test" / "depth_1_0000001.png")
    with pytest.raises(DatasetError, match=f"frame 1 of .*joint_data.mat'.*{found}"):
        next(iter(open_nyu(str(folder))))


def test_a_truncated_label_file_is_refused(folder: Path) -> None:
    path = folder / "test" / "joint_data.mat"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DatasetError, match=r"joint_data.mat' cannot be read as a MATLAB file .*; unpack the set again"):
        open_nyu(str(folder))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"joint_uvd": np.zeros((3, 2, 36, 3))}, "no joint_xyz"),
        (
            {"joint_xyz": np.zeros((3, 2, 14, 3))},
            r"joint_xyz of shape \(3, 2, 14, 3\), wanted floating-point numbers of shape",
        ),
        ({"joint_xyz": np.zeros((2, 36, 3))}, r"joint_xyz of shape \(2, 36, 3\)"),
        ({"joint_xyz": np.zeros((3, 0, 36, 3))}, r"joint_xyz of shape \(3, 0, 36, 3\)"),
        ({"joint_xyz": "text"}, r"joint_xyz of shape \(1,\)"),
    ],
)
def test_labels_of_something_else_are_refused(folder: Path, content: dict[str, object], found: str) -> None:
    savemat(folder / "test" / "joint_data.mat", content)
    with pytest.raises(DatasetError, match=found):
        open_nyu(str(folder))


def test_labels_of_another_number_type_are_refused(folder: Path) -> None:
    savemat(folder / "test" / "joint_data.mat", {"joint_xyz": np.full((3, FRAMES, 36, 3), 700)})
    with pytest.raises(DatasetError, match=r"found joint_xyz of type int64, wanted floating-point numbers"):
        open_nyu(str(folder))


@pytest.mark.parametrize(
    ("where", "value", "found"),
    [
        ((1, 4, 2), np.inf, r"found F1_KNU1_A at \(0, 0, inf\)"),
        ((1, 4, 1), 1e39, r"found F1_KNU1_A at \(0, 1e\+39, 700\)"),
        ((1, 4, 0), np.nan, r"found F1_KNU1_A at \(nan, 0, 700\)"),
        ((1, 4, 2), -700.0, "found F1_KNU1_A at a depth of -700 mm, which is not in front of the camera"),
        ((1, 4), 0.0, "found F1_KNU1_A at a depth of 0 mm"),
        ((1,), np.nan, "found no joint with a label"),
        ((1, slice(None), 2), 0.7, "found F1_KNU3_A at a depth of 0.7 mm .* meters, .*; multiply joint_xyz by 1000"),
    ],
)
def test_joints_that_no_hand_has_are_refused_with_their_frame(
    folder: Path, where: tuple[int | slice, ...], value: float, found: str
) -> None:
    joints = np.tile(np.array([0.0, 0.0, 700.0]), (3, FRAMES, 36, 1))
    joints[(0, *where)] = value
    savemat(folder / "test" / "joint_data.mat", {"joint_xyz": joints})
    with pytest.raises(DatasetError, match=f"joint_data.mat', frame 2: {found}"):
        open_nyu(str(folder))
    assert len(open_nyu(f"{folder},view=2")) == FRAMES


@pytest.mark.parametrize("option", ["view=0", "view=4", "split=both", "view=1,view=2", "centers="])
def test_a_wrong_option_is_refused(folder: Path, option: str) -> None:
    with pytest.raises(DatasetError, match=r"wanted|given twice|is empty"):
        open_nyu(f"{folder},{option}")


def test_labels_are_read_without_images(folder: Path) -> None:
    for image in folder.rglob("*.png"):
        os.remove(image)
    assert len(open_nyu(f"{folder},split=train")) == FRAMES == len(nyu_hands())
