"""One reader for every file: what is no regular file, too long, or damaged is refused within bounds, by a sentence."""

import errno
import io
import os
import socket
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from handmap.files.arrays import NotArrays, read_arrays
from handmap.files.reading import (
    MAX_JSON_BYTES,
    MAX_MODEL_BYTES,
    NotJson,
    decode_json,
    encode_json,
    read_bytes,
    read_json,
)
from handmap.types.errors import Fatal, FileError
from tests.support.bounded import within


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    with within(20):
        yield


class Facts(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    count: int = 0


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def link_to_itself(path: Path) -> None:
    path.symlink_to(path)


def link_to_zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (make_fifo, "named pipe"),
        (Path.mkdir, "a folder"),
        (make_socket, "cannot be read"),
        (link_to_zeros, "a device"),
        (link_to_itself, "symbolic links"),
        (lambda path: None, "No such file"),
    ],
)
def test_what_is_no_file_is_refused_and_not_waited_for(make: object, said: str, tmp_path: Path) -> None:
    make(tmp_path / "f")  # type: ignore[operator]  # one of the functions above

    with pytest.raises(FileError, match=said) as refused:
        read_bytes(tmp_path / "f", 100)

    assert isinstance(refused.value, Fatal) and isinstance(refused.value, OSError)
    assert "\n" not in str(refused.value)


def test_a_name_with_a_nul_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="NUL"):
        read_bytes(tmp_path / "a\0b", 100)


def test_a_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 101)

    assert read_bytes(tmp_path / "f", 101) == b"x" * 101
    with pytest.raises(FileError, match="longer than 100 bytes"):
        read_bytes(tmp_path / "f", 100)


def test_a_huge_file_is_not_read_before_it_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "f").open("wb") as file:
        file.truncate(1 << 40)  # sparse: a TB that takes no space

    with pytest.raises(FileError, match="longer"):
        read_json(tmp_path / "f", Facts)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b'{"name": "\xff"}', b'{"name": 1}', b'{"nome": "x"}', b'{"name": "x", "count": ' + b"9" * 5000 + b"}",
        b'{"name": "x", "count": 1e999}', b"[" * 100_000, b"\x00" * 10, b'{"name": "\xed\xa0\x80"}',
    ],
    ids=str,
)  # fmt: skip
def test_what_is_not_the_json_is_one_kind_of_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(content)

    with pytest.raises(NotJson):
        read_json(tmp_path / "f", Facts)
    with pytest.raises(NotJson):
        decode_json(content, Facts)


def test_every_flipped_bit_of_a_json_is_an_error_or_another_value(tmp_path: Path) -> None:
    content = encode_json(Facts("wrist", 21))

    for bit in range(len(content) * 8):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            decode_json(bytes(flipped), Facts)
        except NotJson:
            continue


def test_json_is_written_the_same_whatever_the_order() -> None:
    assert encode_json({"b": 1, "a": 2}) == encode_json({"a": 2, "b": 1})
    assert len(encode_json({})) < MAX_JSON_BYTES


def npz(**arrays: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # NumPy's stub takes the last keyword for all
    return buffer.getvalue()


def test_arrays_are_read_by_name() -> None:
    found = read_arrays(npz(a=np.arange(3), b=np.zeros(2)), ("a",), 10_000)

    np.testing.assert_array_equal(found["a"], np.arange(3))


def test_a_zip_bomb_is_refused_before_it_unpacks() -> None:
    bomb = npz(a=np.zeros(200_000_000, np.uint8))

    assert len(bomb) < 300_000
    with pytest.raises(NotArrays, match="unpacks to 200 MB"):
        read_arrays(bomb, ("a",), 100_000_000)


def with_header(header: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"", b"PK", npz(b=np.zeros(1)), npz(a=np.zeros(100))[:-40], npz(a=np.array([None], dtype=object)),
        with_header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (4000000000000,), }\n"),
        with_header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }\n"), with_header(b"not a dict\n"),
    ],
    ids=range(8),
)  # fmt: skip
def test_damaged_and_made_up_arrays_are_one_kind_of_error(content: bytes) -> None:
    with pytest.raises(NotArrays):
        read_arrays(content, ("a",), 1_000_000)


def test_a_file_error_serves_as_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError) as refused:  # that it is one is what is tested
        read_bytes(tmp_path / "none", 1)

    assert (refused.value.errno, refused.value.strerror) == (errno.ENOENT, "No such file or directory")
    assert refused.value.filename == str(tmp_path / "none")


def test_reading_takes_no_more_memory_than_the_file_has(tmp_path: Path) -> None:
    path = tmp_path / "small"
    path.write_bytes(b"x" * 1000)

    tracemalloc.start()
    try:
        content = read_bytes(path, MAX_MODEL_BYTES)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert content == b"x" * 1000
    assert peak_bytes < 4 << 20
