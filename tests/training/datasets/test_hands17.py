"""The reader of HANDS17: HandMap's split of the training frames, and faults of its labels."""

from pathlib import Path

import pytest

from handmap.types.errors import DatasetError
from tests.support.public_sets import write_hands17
from training.datasets.hands17 import JOINTS, LABELS, open_hands17


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_hands17(tmp_path / "hands17")


def test_its_joints_are_in_the_challenge_order() -> None:
    assert JOINTS[:6] == ("wrist", "thumb_cmc", "index_mcp", "middle_mcp", "ring_mcp", "little_mcp")
    assert JOINTS[6:12] == ("thumb_mcp", "thumb_ip", "thumb_tip", "index_pip", "index_dip", "index_tip")
    assert JOINTS[18:] == ("little_pip", "little_dip", "little_tip")


def test_the_last_tenth_is_kept_apart(folder: Path) -> None:
    lines = (folder / LABELS).read_text().splitlines(keepends=True)
    (folder / LABELS).write_text("".join(lines[0] for _ in range(19)) + lines[1])
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
    line = (folder / LABELS).read_text().splitlines()[0]
    (folder / LABELS).write_text(f"{line}\n" * 6 + "\t".join(line.split()[words]) + "\n")
    data = open_hands17(str(folder))
    assert len(data) == 7
    with pytest.raises(DatasetError, match=found):
        list(data)


def test_a_joint_behind_the_camera_is_refused(folder: Path) -> None:
    words = (folder / LABELS).read_text().splitlines()[0].split()
    words[3] = "-400"
    (folder / LABELS).write_text("\t".join(words))
    with pytest.raises(DatasetError, match="line 1: found a joint behind the camera"):
        list(open_hands17(str(folder)))
