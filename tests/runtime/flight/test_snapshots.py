"""Snapshots on disk: whole or absent, within their budget, and refused by replay if they cannot be resumed."""

import logging
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from handmap.files.folders import folder_bytes
from handmap.recording.bag import Bag
from handmap.recording.flight_file import FlightFile, FlightWriter
from handmap.recording.reader import open_recording
from handmap.recording.stated import NOTHING_STATED
from handmap.tracking.state_codec import STATE_VERSION
from handmap.tracking.tracker import TrackerState
from handmap.types.errors import RecordingError
from runtime.cameras.replay import FlatOut, ReplayConfig, open_replay
from runtime.flight.model import Model, note_other_model
from runtime.flight.ring import Ring
from runtime.flight.snapshots import sweep_snapshots, write_snapshot
from tests.support.flights import FRAME_NS, contents_of, filled_ring, seen
from tests.support.processes import ROOT

PLENTY = 1 << 30


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Every write beyond this size of a file fails, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def hidden(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name.startswith("."))


def test_what_was_kept_is_what_is_read(tmp_path: Path) -> None:
    ring = filled_ring(12)
    path = write_snapshot(tmp_path, PLENTY, contents_of(ring))
    flight = FlightFile(Bag(path, NOTHING_STATED))
    frames = list(flight)
    expected = [seen(number, TrackerState(), TrackerState()) for number in range(12)]

    assert [one.frame.frame_number for one in frames] == list(range(12))
    assert [one.frame.capture_ns for one in frames] == [one.frame.capture_ns for one in expected]
    assert [one.packets for one in frames] == [one.packets for one in expected]
    assert [bool(one.state) for one in frames] == [True] + [False] * 11
    for one, other in zip(frames, expected, strict=True):
        np.testing.assert_array_equal(one.frame.depth, other.frame.depth)
        assert one.frame.intrinsics == other.frame.intrinsics


def test_other_programs_read_it_as_a_bag_with_depth(tmp_path: Path) -> None:
    path = write_snapshot(tmp_path, PLENTY, contents_of(filled_ring(12)))
    recording = open_recording(next(path.glob("*.mcap")))

    assert (len(recording), recording.depth_unit_mm, round(recording.fps)) == (12, 1.0, 30)


def test_the_ring_keeps_within_time_and_memory() -> None:
    ring = filled_ring(60, seconds=1.0)
    assert (
        0.7 <= ring.span_s <= 1.0 and ring.frames()[0].state and ring.bytes == sum(one.bytes for one in ring.frames())
    )

    small = Ring(10.0, ring.bytes // 4)
    filled_ring(60, ring=small)
    assert 2 <= len(small) < len(ring) and small.bytes <= small.max_bytes


def test_the_state_is_written_again_where_it_does_not_follow_from_the_frame_before() -> None:
    ring, states = Ring(10.0, 64 << 20), [TrackerState() for _ in range(6)]
    ring.keep(seen(0, states[0], states[1]))
    ring.keep(seen(1, states[1], states[2]))
    ring.keep(seen(3, states[3], states[4]))  # frame 2 was skipped
    ring.keep(seen(4, states[4], states[4]))  # its work failed
    ring.keep(seen(5, states[4], states[5]))

    assert [one.is_continued for one in ring.frames()] == [False, True, False, True, False]


def test_another_resolution_begins_anew() -> None:
    ring = filled_ring(5)
    frame = ring.frames()[0].unpacked(True).frame
    half = replace(
        frame, depth=frame.depth[::2, ::2],
        intrinsics=replace(frame.intrinsics, width_px=frame.intrinsics.width_px // 2, height_px=frame.intrinsics.height_px // 2),
    )  # fmt: skip
    ring.keep(replace(seen(6, TrackerState(), TrackerState()), frame=replace(half, capture_ns=2 * 10**12)))

    assert len(ring) == 1


def test_the_oldest_make_room_and_what_is_not_ours_stays(tmp_path: Path) -> None:
    ring = filled_ring(10)
    first = write_snapshot(tmp_path, PLENTY, contents_of(ring))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("x" * 50_000)
    budget = 2 * folder_bytes(first) + 2000
    paths = [first]
    for _ in range(3):
        time.sleep(0.02)
        paths.append(write_snapshot(tmp_path, budget, contents_of(ring)))

    assert visible(tmp_path) == sorted([*paths[-2:], tmp_path / "mine"])
    assert hidden(tmp_path) == []


def test_one_that_is_larger_than_the_budget_is_refused_and_gone(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="budget_mb"):
        write_snapshot(tmp_path, 1000, contents_of(filled_ring(10)))

    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    with files_of_at_most(3000), pytest.raises(RecordingError, match="cannot be written"):
        write_snapshot(tmp_path, PLENTY, contents_of(filled_ring(10)))

    assert list(tmp_path.iterdir()) == []


def test_killed_at_any_moment_only_whole_ones_are_seen_and_the_rest_is_cleared_away(tmp_path: Path) -> None:
    rng, kills = random.Random(5), 0
    while kills < 5 or (not hidden(tmp_path) and kills < 60):
        kills += 1
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.flights", str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(rng.random() * 0.2)
        process.kill()
        process.wait()
        process.stdout.close()
    left = hidden(tmp_path)
    sweep_snapshots(tmp_path)

    assert left, "never killed while writing"
    assert hidden(tmp_path) == []
    for path in visible(tmp_path):
        assert len(list(FlightFile(Bag(path, NOTHING_STATED)))) == 20


def with_state(tmp_path: Path, state: bytes) -> Path:
    contents = contents_of(filled_ring(4))
    path = tmp_path / "flight"
    with FlightWriter(path, contents.frames[0].unpacked(True).frame, 0) as writer:
        writer.write_about(contents.about)
        for kept in contents.frames:
            writer.write_flight(replace(kept.unpacked(False), state=state))
    return path


@pytest.mark.parametrize(
    ("state", "said"),
    [(msgspec.msgpack.encode([STATE_VERSION + 1, {}]), "found version"), (b"junk", "damaged")],
)
def test_a_state_that_cannot_be_resumed_is_refused_unless_it_is_not_wanted(
    tmp_path: Path, state: bytes, said: str
) -> None:
    path = with_state(tmp_path, state)
    with pytest.raises(RecordingError, match=said):
        ReplayConfig(path).check()
    ReplayConfig(path, resume=False).check()
    camera = open_replay(ReplayConfig(path, resume=False, loop=False), FlatOut())
    frame = camera.wait_frame(1.0)
    camera.close()

    assert frame is not None


def test_another_format_is_refused(tmp_path: Path) -> None:
    contents = contents_of(filled_ring(4))
    path = write_snapshot(tmp_path, PLENTY, replace(contents, about=msgspec.structs.replace(contents.about, format=9)))

    with pytest.raises(RecordingError, match="format 9"):
        ReplayConfig(path).check()


def test_each_round_of_a_loop_begins_in_the_recorded_state_and_goes_on_in_time(tmp_path: Path) -> None:
    path = write_snapshot(tmp_path, PLENTY, contents_of(filled_ring(4)))
    camera = open_replay(ReplayConfig(path), FlatOut())
    frames, states = [], []
    for _ in range(8):
        frame = camera.wait_frame(1.0)
        assert frame is not None
        camera._pace.taken()
        frames.append(frame)
        states.append(camera.state_before(frame) is not None)  # type: ignore[attr-defined]  # it replays a snapshot
    camera.close()

    assert states == [True, False, False, False] * 2
    assert [frame.frame_number % 15 for frame in frames] == [0, 1, 2, 3] * 2
    gaps = np.diff([frame.capture_ns for frame in frames])
    assert (np.abs(gaps - FRAME_NS) < 10).all()


def test_another_model_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_snapshot(tmp_path, PLENTY, contents_of(filled_ring(4), bundle="aa"))
    camera = open_replay(ReplayConfig(path), FlatOut())
    with caplog.at_level(logging.WARNING):
        note_other_model(camera, Model("bb", "fp16", {"tracking": {}, "skeleton": None, "smoothing": None}))  # type: ignore[arg-type]  # it replays a snapshot
    camera.close()

    assert "bundle bb instead of aa, precision fp16 instead of fp32, another section tracking" in caplog.text
