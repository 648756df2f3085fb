"""Depth images: only PNGs whose values are those of the file are read."""

import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.testing as npt
import pytest
from numpy.typing import NDArray
from PIL import Image

from handmap.files.images import read_depth_png, read_nyu_png, write_depth_png
from handmap.types.errors import RecordingError


def test_depth_reads_back(tmp_path: Path) -> None:
    depth = np.array([[0, 1, 65535]], np.uint16)
    write_depth_png(tmp_path / "0.png", depth)
    npt.assert_array_equal(read_depth_png(tmp_path / "0.png"), depth)


@pytest.mark.parametrize("pixels", [np.full((4, 4), 70_000, np.int32), np.full((4, 4), 700, np.uint16)])
def test_a_tiff_named_png_is_refused(tmp_path: Path, pixels: NDArray[np.int32] | NDArray[np.uint16]) -> None:
    path = tmp_path / "0.png"
    Image.fromarray(pixels).save(path, format="TIFF")
    with pytest.raises(RecordingError, match="found a TIFF file, wanted a 16-bit grayscale PNG; save the depth itself"):
        read_depth_png(path)


def test_colors_that_are_no_png_are_no_nyu_depth(tmp_path: Path) -> None:
    path = tmp_path / "0.png"
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(path, format="JPEG")
    with pytest.raises(RecordingError, match="found a JPEG file, wanted a PNG with 8-bit RGB; unpack it"):
        read_nyu_png(path, "unpack it")


def test_colors_of_16_bits_are_no_nyu_depth(tmp_path: Path) -> None:
    pixels = b"\0" + bytes(6)  # no filter, then a pixel
    chunks = ((b"IHDR", struct.pack(">2I5B", 1, 1, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(pixels)), (b"IEND", b""))
    packed = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    ]
    (tmp_path / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed))
    with pytest.raises(RecordingError, match="found a color image of 16 bits a channel, wanted a PNG with 8-bit RGB"):
        read_nyu_png(tmp_path / "0.png", "unpack it")
