"""Recordings with flipped bits: nothing but a RecordingError is raised, and what has checksums never reads differently."""

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rosbags.rosbag2 import StoragePlugin

from handmap.files.images import write_depth_png
from handmap.recording.reader import open_recording
from handmap.recording.writer import RecordingWriter
from handmap.types.errors import ConfigError, RecordingError
from handmap.types.intrinsics import Intrinsics
from handmap.types.values import DepthFrame
from tests.support.bags import PERIOD_NS, START_NS, depth_of, frames, write_bag

LENS = Intrinsics(64, 48, 60.0, 60.0, 31.5, 23.5)
COUNT = 6


def write_ours(path: Path) -> Path:
    with RecordingWriter(path, LENS, 0.5) as writer:
        for number in range(COUNT):
            writer.write(DepthFrame(depth_of(number), 0.5, LENS, number, START_NS + number * PERIOD_NS))
    return path


def write_theirs(path: Path) -> Path:
    return write_bag(path, frames()[: 2 * COUNT])


def write_sqlite(path: Path) -> Path:
    return write_bag(path, frames()[: 2 * COUNT], StoragePlugin.SQLITE3)


def write_pngs(path: Path) -> Path:
    path.mkdir()
    for number in range(COUNT):
        write_depth_png(path / f"{number}.png", depth_of(number))
    (path / "intrinsics.yaml").write_text("fx_px: 60.0\nfy_px: 60.0\ncx_px: 31.5\ncy_px: 23.5\n")
    return path


KINDS: dict[str, Callable[[Path], Path]] = {
    "ours": write_ours, "theirs": write_theirs, "sqlite": write_sqlite, "pngs": write_pngs,
}  # fmt: skip


@cache
def original(kind: str) -> tuple[Path, tuple[str, ...]]:
    """A recording of this kind, made once, and the names of its files."""
    folder = Path(mkdtemp()) / "whole"
    KINDS[kind](folder)
    return folder, tuple(sorted(file.name for file in folder.iterdir()))


def content(path: Path) -> list[tuple[bytes, int, Intrinsics, float]]:
    return [(f.depth.tobytes(), f.capture_ns, f.intrinsics, f.depth_unit_mm) for f in open_recording(path)]


def flipped(kind: str, data: st.DataObject, folder: Path) -> Path:
    """A copy with one to four bits of one of its files flipped."""
    whole, names = original(kind)
    copy = folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(whole, copy)
    file = copy / data.draw(st.sampled_from(names))
    values = bytearray(file.read_bytes())
    for bit in data.draw(st.lists(st.integers(0, 8 * len(values) - 1), min_size=1, max_size=4, unique=True)):
        values[bit // 8] ^= 1 << (bit % 8)
    file.write_bytes(values)
    return copy


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=125, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_flipped_bits_raise_nothing_but_a_sentence(kind: str, data: st.DataObject, tmp_path: Path) -> None:
    copy = flipped(kind, data, tmp_path)

    try:
        found = content(copy)
    except RecordingError as error:
        assert "\n" not in str(error)
    except ConfigError:
        assert kind == "pngs"  # its intrinsics.yaml, all of whose faults are listed
    else:
        assert kind != "ours" or found == content(original(kind)[0])


def test_most_flips_in_our_recordings_are_found(tmp_path: Path) -> None:
    path = write_ours(tmp_path / "r")
    file = path / "r.mcap"
    whole, found = file.read_bytes(), 0

    for bit in np.random.default_rng(0).integers(0, len(whole) * 8, 60):
        values = bytearray(whole)
        values[bit // 8] ^= 1 << (bit % 8)
        file.write_bytes(values)
        try:
            content(path)
        except RecordingError:
            found += 1

    assert found > 30
