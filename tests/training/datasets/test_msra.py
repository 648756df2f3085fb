"""The reader of MSRA15: leaving one subject out, faulty frames, its depth files and the count before its labels."""

import struct
from pathlib import Path

import numpy as np
import numpy.testing as npt
import pytest

from handmap.recording.datasets import NotedDataset
from handmap.types.errors import DatasetError, RecordingError
from tests.support.public_sets import write_msra
from training.datasets.msra import CUBES_MM, FAULTY, GESTURES, UNIT_MM, open_msra, read_bin

WHOLE = struct.pack("<6i", 320, 240, 10, 20, 13, 22)
LABELS = Path("P2", "TIP", "joint.txt")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_msra(tmp_path_factory.mktemp("msra"), frames=2)


def test_a_subject_is_left_out_of_training_and_alone_in_the_test(whole: Path) -> None:
    sides = {
        which: {labeled.cube.side_mm for labeled in open_msra(f"{whole}{which}") if labeled.cube is not None}
        for which in (",subject=8", ",subject=8,split=test", ",subject=8,split=train")
    }
    assert sides[",subject=8"] == sides[",subject=8,split=test"] == {CUBES_MM[8]}
    assert sides[",subject=8,split=train"] == set(CUBES_MM[:8])
    assert len(open_msra(f"{whole},subject=8,split=train")) == 8 * len(GESTURES) * 2
    assert len(open_msra(str(whole))) == 9 * len(GESTURES) * 2


def test_a_split_needs_a_subject(whole: Path) -> None:
    with pytest.raises(DatasetError, match="split=test leaves one subject out; say which, with subject=0 to subject=8"):
        open_msra(f"{whole},split=test")
    with pytest.raises(DatasetError, match="subject=9, wanted 0 to 8"):
        open_msra(f"{whole},subject=9")


def test_frames_with_wrong_labels_are_left_out(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "msra"
    folder.symlink_to(whole)
    own = tmp_path / "own"
    for gesture in GESTURES:
        (own / "P2" / gesture).mkdir(parents=True)
        (own / "P2" / gesture / "joint.txt").write_text((whole / "P2" / gesture / "joint.txt").read_text())
    line = (own / LABELS).read_text().splitlines()[1]
    (own / LABELS).write_text("176\n" + f"{line}\n" * 176)

    data = open_msra(f"{own},subject=2")

    assert len(data) == 16 * 2 + 176 - 3
    assert isinstance(data, NotedDataset)
    assert "3 frames left out whose labels are known to be wrong" in data.notes
    assert sum(len(frames) for frames in FAULTY.values()) == 22


def test_the_count_must_be_that_of_the_lines(tmp_path: Path) -> None:
    folder = write_msra(tmp_path / "msra", frames=2)
    (folder / LABELS).write_text((folder / LABELS).read_text().replace("2\n", "3\n", 1))
    with pytest.raises(
        DatasetError, match=r"TIP/joint.txt', line 1: found '3', wanted the number of the lines that follow, 2"
    ):
        open_msra(str(folder))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda words: words[:-1], "line 2: found 62 numbers, wanted 63 numbers"),
        (
            lambda words: [*words[:2], "300", *words[3:]],
            "line 2: found wrist at a depth of -300 mm, .* z in mm, negative in",
        ),
        (lambda words: ["1e39", *words[1:]], "line 2: found the number 1e39"),
        (lambda words: [str(float(word) / 1000) for word in words], "meters, .*; multiply x, y and z by 1000$"),
    ],
)
def test_a_fault_is_named_with_its_line(tmp_path: Path, change: object, found: str) -> None:
    assert callable(change)
    folder = write_msra(tmp_path / "msra", frames=1)
    first = folder / "P0" / "1" / "joint.txt"
    first.write_text("1\n" + " ".join(change(first.read_text().split()[1:])) + "\n")
    with pytest.raises(DatasetError, match=found) as error:
        next(iter(open_msra(str(folder))))
    assert str(first) in str(error.value)
    assert "take it out" not in str(error.value)  # the frames after it would get its neighbors' images


def test_a_missing_image_is_not_answered_by_taking_its_label_out(tmp_path: Path) -> None:
    folder = write_msra(tmp_path / "msra", frames=1)
    (folder / "P0" / "1" / "000000_depth.bin").unlink()
    with pytest.raises(DatasetError, match=r"000000_depth.bin' is not there; unpack the set again$"):
        next(iter(open_msra(str(folder))))


def test_depth_is_pasted_where_the_header_says(tmp_path: Path) -> None:
    part = np.array([[300.0, 301.03125, 302.0], [0.0, 4095.9, 0.01]], "<f4")
    (tmp_path / "a.bin").write_bytes(WHOLE + part.tobytes())

    depth = read_bin(tmp_path / "a.bin")

    assert depth.shape == (240, 320) and depth.dtype == np.uint16
    npt.assert_allclose(depth[20:22, 10:13] * UNIT_MM, part, atol=UNIT_MM / 2)
    assert np.count_nonzero(depth) == 4


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (WHOLE[:20], "found 20 bytes, wanted a header of 24"),
        (WHOLE + bytes(23), "found 47 bytes, wanted 48 for the part of 3x2"),
        (WHOLE + bytes(25), "found 49 bytes, wanted 48"),
        (struct.pack("<6i", 320, 240, 10, 20, 10, 22), r"the part \(10, 20, 10, 22\).* does not fit"),
        (struct.pack("<6i", 320, 240, 10, 20, 321, 22), "of an image of 320x240, which does not fit"),
        (struct.pack("<6i", 10**9, 10**9, 0, 0, 10**9, 10**9), "does not fit"),
        (WHOLE + np.full(6, np.nan, "<f4").tobytes(), "not between 0 and 4096 mm"),
        (WHOLE + np.full(6, -1, "<f4").tobytes(), "not between 0 and 4096 mm"),
        (WHOLE + np.full(6, 5000, "<f4").tobytes(), "not between 0 and 4096 mm"),
    ],
)
def test_a_faulty_depth_file_is_refused(tmp_path: Path, content: bytes, found: str) -> None:
    (tmp_path / "a.bin").write_bytes(content)
    with pytest.raises(RecordingError, match=found):
        read_bin(tmp_path / "a.bin")
