"""Result files in the field's text format: read as they are, or refused by file and line, with advice that works."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from handmap.types.errors import DatasetError
from training.datasets.published import PUBLISHED_SETS
from training.evaluation.result_file import MAX_FILE_BYTES, read_result_file

from .result_files import joints_of, lines_of, write_joints

NYU = PUBLISHED_SETS["nyu"]
GOOD = lines_of(joints_of("nyu", 5))


def changed(line_number: int, change: Callable[[str], str]) -> bytes:
    """A file of five frames with one line changed."""
    lines = list(GOOD)
    lines[line_number - 1] = change(lines[line_number - 1])
    return "".join(f"{line}\n" for line in lines).encode()


def with_word(word: str, place: int) -> Callable[[str], str]:
    return lambda line: " ".join([*line.split()[:place], word, *line.split()[place + 1 :]])


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(GOOD), "\n".join(GOOD) + "\n", "\n".join(GOOD) + "\n\n \n", "\r\n".join(GOOD) + "\r\n",
        "\n".join(f" {line.replace(' ', chr(9))}  " for line in GOOD),
    ],
    ids=["no end of the last line", "plain", "blank lines at the end", "CRLF", "tabs, blanks around"],
)  # fmt: skip
def test_every_usual_way_of_writing_numbers_is_read(text: str, tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_bytes(text.encode())

    joints = read_result_file(tmp_path / "p.txt", NYU)

    assert np.array_equal(joints, joints_of("nyu", 5))


@pytest.mark.parametrize(
    ("content", "line_number", "found", "fix"),
    [
        (changed(3, lambda line: line.rsplit(" ", 1)[0]), 3, "has 41 numbers", "write the joints that docs/evaluation.md lists"),
        (changed(2, lambda line: f"7 {line}"), 2, "has 43 numbers", "if the first is a frame number, remove the first column"),
        ("\n".join(lines_of(joints_of("icvl", 2))).encode(), 1, "has 48 numbers", "for a file of ICVL use --dataset icvl"),
        ("\n".join(lines_of(joints_of("msra", 2))).encode(), 1, "has 63 numbers", "for a file of MSRA15 use --dataset msra"),
        (changed(4, with_word("12.3.4", 5)), 4, "has '12.3.4', which is no number", "correct it"),
        (changed(4, with_word("1_000", 5)), 4, "has '1_000', which is no number", "correct it"),
        (changed(1, lambda line: f"# {line}"), 1, "begins with the name '#'", "remove the first column"),
        (changed(1, lambda line: f"test/depth_1_0000001.png {line}"), 1, "begins with the name 'test/depth_1", "remove the first column"),
        (changed(5, with_word("nan", 3)), 5, "has u = nan for little_pip", "the best guess where there is none"),
        (changed(5, with_word("-inf", 4)), 5, "has v = -inf for little_pip", "give finite pixels"),
        (changed(2, with_word("1e300", 40)), 2, "has v = 1e+300 for palm", "give finite pixels"),
        (changed(2, with_word("0", 41)), 2, "has d = 0 for palm", "a depth above 0"),
        (changed(2, with_word("-500", 41)), 2, "has d = -500 for palm", "a depth above 0"),
        (changed(3, lambda line: ""), 3, "is blank", "remove it, or give the joints"),
        (changed(3, lambda line: " \t"), 3, "is blank", "remove it, or give the joints"),
        (changed(1, lambda line: line.replace(" ", ", ")), 1, "has commas", "tr ',;'"),
        (changed(1, lambda line: line.replace(" ", ";")), 1, "has commas or semicolons", "tr ',;'"),
        (b"\xef\xbb\xbf" + changed(1, str), 1, "begins with a byte order mark", "sed -i"),
        ("\n".join(GOOD).encode("utf-16"), 1, "is not text (it has a byte 0xff)", "give a text file, unpacked"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(200)), 1, "is not text (it has a byte 0x89)", "give a text file, unpacked"),
        ("\r".join(GOOD).encode(), 1, "has a CR without LF", "tr '\\r' '\\n'"),
        (b"1 " * 20_000, 1, "is 40000 bytes long", "write one frame a line"),
    ],
)  # fmt: skip
def test_a_line_that_does_not_fit_is_refused_by_number(
    content: bytes, line_number: int, found: str, fix: str, tmp_path: Path
) -> None:
    path = tmp_path / "p.txt"
    path.write_bytes(content)

    with pytest.raises(DatasetError) as refusal:
        read_result_file(path, NYU)

    sentence = str(refusal.value)
    assert sentence.startswith(f"file {str(path)!r}, line {line_number}: it {found}"), sentence
    assert "wanted 42 numbers" in sentence and fix in sentence and "\n" not in sentence


@pytest.mark.parametrize(
    "content",
    [changed(2, str).replace(b" ", b","), "\r".join(GOOD).encode(), b"\xef\xbb\xbf" + changed(1, str),
     "\n".join(f"{place} {line}" for place, line in enumerate(GOOD)).encode(), "\n".join(f"a.png\t{line}" for line in GOOD).encode()],
    ids=["commas", "CR", "byte order mark", "frame numbers", "names"],
)  # fmt: skip
def test_the_advised_command_leads_to_a_file_that_is_read(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "FILE").write_bytes(content)
    with pytest.raises(DatasetError) as refusal:
        read_result_file(tmp_path / "FILE", NYU)

    command = next(part for part in (": tr", ": sed", ": awk") if part in str(refusal.value))
    subprocess.run(["bash", "-c", command[2:] + str(refusal.value).partition(command)[2]], cwd=tmp_path, check=True)

    fixed = tmp_path / ("NEW" if (tmp_path / "NEW").exists() else "FILE")
    assert np.array_equal(read_result_file(fixed, NYU), joints_of("nyu", 5))


@pytest.mark.parametrize("dataset", PUBLISHED_SETS)
def test_points_in_mm_are_refused_with_the_projection_that_is_missing(dataset: str, tmp_path: Path) -> None:
    published = PUBLISHED_SETS[dataset]
    camera = published.evaluator_intrinsics
    joints = joints_of(dataset, 30)
    xyz_mm = joints.copy()
    xyz_mm[..., 0] = (joints[..., 0] - camera.cx_px) / camera.fx_px * joints[..., 2]
    xyz_mm[..., 1] = (joints[..., 1] - camera.cy_px) / camera.fy_px * joints[..., 2]

    with pytest.raises(DatasetError) as refusal:
        read_result_file(write_joints(tmp_path / "xyz.txt", xyz_mm), published)

    sentence = str(refusal.value)
    assert (
        "line 1: it has " in sentence and f"are outside the image of {camera.width_px} x {camera.height_px}" in sentence
    )
    # Followed to the letter:
    formula = sentence.partition("write u = ")[2].removesuffix(" and d = z").replace(" x ", "*x").replace(" y ", "*y")
    u, v = (
        eval(part, {"x": xyz_mm[..., 0], "y": xyz_mm[..., 1], "z": xyz_mm[..., 2]}) for part in formula.split(", v = ")
    )
    assert np.allclose(u, joints[..., 0], atol=1e-9) and np.allclose(v, joints[..., 1], atol=1e-9)


def test_depths_in_meters_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetError, match=r"line 1: it has d = 0\.\d+ for little_tip, and the median .* multiply d by 1000"
    ):
        read_result_file(write_joints(tmp_path / "m.txt", joints_of("nyu", 3) * [1, 1, 0.001]), NYU)


def test_a_few_joints_outside_the_image_are_nothing_special(tmp_path: Path) -> None:
    joints = joints_of("nyu", 1)
    joints[0, :4, 0] = -3

    assert np.array_equal(read_result_file(write_joints(tmp_path / "p.txt", joints), NYU), joints)


@pytest.mark.parametrize("content", [b"", b"\n\n", b" "])
def test_a_file_without_frames_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_bytes(content)

    with pytest.raises(DatasetError, match="has no frames; wanted a line of 42 numbers"):
        read_result_file(tmp_path / "p.txt", NYU)


def test_what_cannot_be_read_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "pointer.txt").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with (tmp_path / "huge.txt").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    started_s = time.process_time()

    for name, found in (
        ("missing.txt", "No such file"), (".", "it is a folder"), ("huge.txt", "it is longer than"), ("pointer.txt", "git lfs pull"),
    ):  # fmt: skip
        with pytest.raises(DatasetError, match=found):
            read_result_file(tmp_path / name, NYU)

    assert time.process_time() - started_s < 2  # s


def test_the_largest_set_is_read_in_seconds(tmp_path: Path) -> None:
    msra = PUBLISHED_SETS["msra"]
    path = write_joints(tmp_path / "p.txt", joints_of("msra", 7000))
    started_s = time.process_time()

    joints = read_result_file(path, msra)

    assert len(joints) == 7000
    assert (time.process_time() - started_s) * msra.test_frames / 7000 < 20  # s of 76,375 frames; 2 on an idle core
