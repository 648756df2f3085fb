"""What the readers of all public data sets have in common, on tiny ones in the published layouts."""

import subprocess
from pathlib import Path

import numpy as np
import numpy.testing as npt
import pytest

from handmap.geometry.crop import crop_hand
from handmap.recording.datasets import LabeledFrame, NotedDataset, OneHanded
from handmap.recording.label_lines import BYTE_ORDER_MARK
from handmap.types.errors import DatasetError
from handmap.types.joints import HAND21
from handmap.types.values import Handedness
from tests.support.public_sets import FRAMES, SETS, KnownHand, write_centers
from training.datasets.public_set import PublicSet

SAME_MM = 0.01
SIDES_MM = {"nyu": 300.0, "icvl": 250.0, "msra": 200.0, "hands17": 240.0}
LABELED = {"nyu": 18, "icvl": 15, "msra": 21, "hands17": 21}
Opened = tuple[str, Path, list[LabeledFrame], tuple[KnownHand, ...]]


@pytest.fixture(scope="module", params=SETS)
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    write, hands, open_set = SETS[request.param]
    folder = write(tmp_path_factory.mktemp(request.param) / "set")
    which = f"{folder},subject=0" if request.param == "msra" else str(folder)
    data = open_set(which)
    assert len(data) == len(list(data))
    return request.param, folder, list(data)[:FRAMES], hands()


def test_frames_are_the_published_depth(opened: Opened) -> None:
    _, _, frames, hands = opened
    assert len(frames) == FRAMES
    for labeled, hand in zip(frames, hands, strict=True):
        depth_mm = labeled.frame.depth * labeled.frame.depth_unit_mm
        npt.assert_allclose(depth_mm, hand.z_mm, atol=0.5)
        npt.assert_array_equal(labeled.frame.depth > 0, hand.z_mm > 0)


def test_labels_are_the_true_joints(opened: Opened) -> None:
    kind, _, frames, hands = opened
    formula_mm = 4.0 if kind == "icvl" else SAME_MM  # ICVL's joints are computed from its own
    for labeled, hand in zip(frames, hands, strict=True):
        away_mm = np.linalg.norm(labeled.xyz_camera_mm - hand.joints_mm, axis=1)
        assert labeled.is_labeled.sum() == LABELED[kind]
        assert np.nanmax(away_mm) < formula_mm
        assert not (labeled.is_visible & ~labeled.is_labeled).any()
        assert labeled.is_visible.sum() >= 0.7 * labeled.is_labeled.sum()


def test_the_hand_fills_the_published_cube(opened: Opened) -> None:
    kind, _, frames, hands = opened
    for labeled, hand in zip(frames, hands, strict=True):
        assert labeled.cube is not None and labeled.cube.side_mm == SIDES_MM[kind]
        assert np.linalg.norm(labeled.cube.center_mm - hand.joints_mm.mean(axis=0)) < 40
        crop = crop_hand(np, labeled.frame, labeled.cube.center_mm, labeled.cube.side_mm)
        assert (crop.depth < 1).mean() > 0.08


def test_a_set_says_what_it_is(opened: Opened) -> None:
    kind, folder, frames, _ = opened
    data = SETS[kind][2](str(folder))
    assert isinstance(data, PublicSet) and isinstance(data, OneHanded) and isinstance(data, NotedDataset)
    assert data.handedness is (Handedness.LEFT if kind == "icvl" else Handedness.RIGHT)
    assert {labeled.handedness for labeled in frames} == {data.handedness}
    assert data.joint_names == HAND21
    told = "; ".join(data.notes)
    missing = [name for name, there in zip(HAND21, frames[0].is_labeled, strict=True) if not there]
    assert ", ".join(missing) in told and ("all 21 joints are labeled" in told) is not bool(missing)
    assert "centered on the labels" in told and "intrinsics fx" in told


def test_only_labels_made_of_others_are_in_doubt(opened: Opened) -> None:
    kind, _, frames, _ = opened
    for labeled in frames:
        if kind == "icvl":
            assert labeled.doubt_mm is not None and (labeled.doubt_mm[labeled.is_labeled] > 1).all()
        else:
            assert labeled.doubt_mm is None


def open_with_centers(kind: str, folder: Path, file: Path) -> list[LabeledFrame]:
    options = f",subject=0,centers={file}" if kind == "msra" else f",centers={file}"
    data = SETS[kind][2](f"{folder}{options}")
    assert f"centered as in {str(file)!r}" in "; ".join(data.notes)
    return list(data)


def test_centers_of_a_file_are_used_and_frames_without_one_left_out(opened: Opened, tmp_path: Path) -> None:
    kind, folder, _, hands = opened
    rounds = 17 if kind == "msra" else 1
    centers = np.stack([hand.joints_mm.mean(axis=0) + 5 for hand in hands])
    centers[1] = np.nan
    file = write_centers(tmp_path / "centers.txt", np.tile(centers, (rounds, 1)), is_y_up=kind in ("nyu", "msra"))

    frames = open_with_centers(kind, folder, file)

    assert len(frames) == (FRAMES - 1) * rounds
    for labeled, center in zip(frames, centers[[0, 2]], strict=False):
        assert labeled.cube is not None
        npt.assert_allclose(labeled.cube.center_mm, center, atol=1e-4)


def test_centers_with_y_the_other_way_are_refused(opened: Opened, tmp_path: Path) -> None:
    kind, folder, _, hands = opened
    centers = np.tile([hand.joints_mm.mean(axis=0) for hand in hands], (17 if kind == "msra" else 1, 1))
    file = write_centers(tmp_path / "c.txt", centers, is_y_up=kind in ("icvl", "hands17"))
    with pytest.raises(DatasetError, match=r"with y negated; wanted y (up|down), as .* has it: negate y in the file"):
        open_with_centers(kind, folder, file)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1 2 300\n", r"found 1 lines for \d+ frames, wanted one for each"),
        ("invalid\n" * FRAMES, "all invalid"),
        ("176.960 113.586 360.514\n" * FRAMES, "off the labels in the median, wanted at most 60"),
        ("0 0 450\n" + "0 0\n" * (FRAMES - 1), "line 2: found 2 numbers, wanted three numbers"),
        ("0 0 450\n" + "0 0 nan\n" * (FRAMES - 1), "line 2: found a number that is not finite"),
        ("0 0 450\n" + "0 0 -5\n" * (FRAMES - 1), "line 2: found the center at a depth of -5 mm"),
        (
            "0 0 450\n" + "0 0 0.45\n" * (FRAMES - 1),
            "line 2: found the center .* like meters, .*; multiply x, y and z by 1000$",
        ),
        ("0 0 450\n" + "0 1e39 450\n" * (FRAMES - 1), "line 2: found the number 1e39, .*, or write invalid in it$"),
        ("\ufeff0 0 450\n" * FRAMES, "line 1: it begins with a byte order mark"),
        ("0 0 450\n" + "0 x 5\n" * (FRAMES - 1), "line 2: found 'x' among the numbers"),
    ],
)
def test_a_center_file_of_something_else_is_refused(opened: Opened, tmp_path: Path, text: str, found: str) -> None:
    kind, folder, _, _ = opened
    file = tmp_path / "centers.txt"
    file.write_text(text * 17 if kind == "msra" and text.count("\n") == FRAMES else text)
    with pytest.raises(DatasetError, match=found) as error:
        open_with_centers(kind, folder, file)
    assert str(error.value).startswith(f"centers {str(file)!r}")


def test_a_missing_folder_is_answered_with_the_layout(opened: Opened) -> None:
    kind, folder, _, _ = opened
    with pytest.raises(DatasetError, match=r"is not a folder; name the one that holds .*(png|labels.txt|joint.txt)"):
        SETS[kind][2](f"{folder}-gone")


def test_another_folder_is_answered_with_the_layout(opened: Opened, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"cannot be read \(No such file or directory\); name a folder with "):
        SETS[opened[0]][2](str(tmp_path))


def test_an_unknown_option_is_refused_with_those_there_are(opened: Opened) -> None:
    kind, folder, _, _ = opened
    with pytest.raises(DatasetError, match=r"option 'crop' is not known; options are: .*centers=FILE"):
        SETS[kind][2](f"{folder},crop=2")


def test_an_unknown_split_is_refused(opened: Opened) -> None:
    kind, folder, _, _ = opened
    more = ",subject=1" if kind == "msra" else ""
    with pytest.raises(DatasetError, match=r"split=val.* wanted"):
        SETS[kind][2](f"{folder}{more},split=val")


@pytest.mark.parametrize(
    ("kind", "labels"),
    [("icvl", "Testing/test_seq_1.txt"), ("msra", "P0/1/joint.txt"), ("hands17", "training/Training_Annotation.txt")],
)
def test_a_byte_order_mark_is_named_and_the_command_removes_it(kind: str, labels: str, tmp_path: Path) -> None:
    folder = SETS[kind][0](tmp_path / "a set")
    path = folder / labels
    whole = path.read_bytes()
    path.write_bytes(BYTE_ORDER_MARK + whole)

    with pytest.raises(DatasetError, match=r"line 1: it begins with a byte order mark, .*; remove it: ") as error:
        SETS[kind][2](str(folder))

    subprocess.run(["sh", "-c", str(error.value).partition("remove it: ")[2]], check=True)
    assert path.read_bytes() == whole
