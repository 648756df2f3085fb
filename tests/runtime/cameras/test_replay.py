"""The replay camera keeps its pace, its spacing and its numbers."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from handmap.recording.datasets import LabeledFrame
from handmap.recording.reader import open_recording
from handmap.types.errors import RecordingError
from handmap.types.values import DepthFrame, TimestampSource
from runtime.cameras.replay import FlatOut, Lockstep, RecordedPace, ReplayCamera, ReplayConfig, shifted
from tests.support.tiny_bundle import blob_frame


class Memory:
    """A recording in memory."""

    path = Path("memory")
    depth_unit_mm = 1.0
    fps = 30.0
    cut = ""
    intrinsics = blob_frame(0, False).intrinsics

    def __init__(self, times_ns: list[int]) -> None:
        self._times_ns = times_ns

    def __len__(self) -> int:
        return len(self._times_ns)

    def __iter__(self) -> Iterator[DepthFrame]:
        for number, capture_ns in enumerate(self._times_ns):
            yield DepthFrame(blob_frame(0, False).depth, 1.0, self.intrinsics, number, capture_ns)

    def endless(self) -> Iterator[DepthFrame]:
        while True:
            yield from self

    def labeled_count(self) -> int:
        return 0

    def labeled(self) -> Iterator[LabeledFrame]:
        raise RecordingError("no labels")


def test_spacing_is_kept_and_the_loop_has_no_gap() -> None:
    frames = shifted(Memory([100, 30_000_100, 70_000_100]), True, start_ns=0)

    found = [next(frames) for _ in range(5)]

    assert [frame.capture_ns for frame in found] == [0, 30_000_000, 70_000_000, 103_333_333, 133_333_333]
    assert [frame.frame_number for frame in found] == [0, 1, 2, 3, 4]
    assert all(frame.timestamp_source is TimestampSource.RECORDING for frame in found)


def test_a_pause_or_a_step_back_in_the_recording_becomes_one_period() -> None:
    frames = list(shifted(Memory([0, 5_100_000_000, 5]), False, start_ns=0))

    assert [frame.capture_ns for frame in frames] == [0, 33_333_333, 66_666_666]


def test_one_frame_over_and_over_is_a_stream() -> None:
    frames = shifted(Memory([7]), True, start_ns=0)

    assert [next(frames).capture_ns for _ in range(3)] == [0, 33_333_333, 66_666_666]


def test_recorded_pace_gives_frames_when_they_are_due() -> None:
    camera = ReplayCamera(Memory([0, 50_000_000, 100_000_000]), RecordedPace(), False)
    late_ms = []

    while not camera.has_ended:
        frame = camera.wait_frame(0.2)
        if frame is not None:
            late_ms.append((time.monotonic_ns() - frame.capture_ns) / 1e6)

    assert len(late_ms) == 3
    assert all(0 <= late < 30 for late in late_ms)


def test_recorded_pace_does_not_wait_longer_than_asked() -> None:
    camera = ReplayCamera(Memory([0, 3_000_000_000]), RecordedPace(), False)
    assert camera.wait_frame(0.2) is not None

    start_s = time.monotonic()
    frame = camera.wait_frame(0.05)

    assert frame is None and not camera.has_ended
    assert time.monotonic() - start_s < 2  # the frame is due after 3


def test_flat_out_gives_the_next_frame_when_the_last_was_taken() -> None:
    pace = FlatOut()
    camera = ReplayCamera(Memory([0, 10**9, 2 * 10**9]), pace, False)

    assert camera.wait_frame(0.01) is not None
    assert camera.wait_frame(0.01) is None
    pace.taken()
    assert camera.wait_frame(0.01) is not None


def test_lockstep_gives_the_next_frame_when_the_last_was_published() -> None:
    pace = Lockstep()
    camera = ReplayCamera(Memory([0, 10**9]), pace, False)

    assert camera.wait_frame(0.01) is not None
    pace.taken()
    assert camera.wait_frame(0.01) is None
    pace.published()
    assert camera.wait_frame(0.01) is not None
    pace.published()
    assert camera.wait_frame(0.01) is None and camera.has_ended


@pytest.mark.parametrize("kind", ["flat_out", "lockstep"])
def test_a_reopened_replay_does_not_wait_for_earlier_frames(
    recording: Path, kind: Literal["flat_out", "lockstep"]
) -> None:
    source = ReplayConfig(recording, pace=kind).source()
    first = source.open()
    assert first.wait_frame(0.01) is not None
    first.close()

    second = source.open()

    assert second.wait_frame(0.01) is not None
    second.close()


def test_recording_on_disk_is_replayed_without_loss(recording: Path) -> None:
    source = ReplayConfig(recording, pace="flat_out", loop=False).source()
    camera = source.open()
    count = 0

    for wanted in open_recording(recording):
        frame = camera.wait_frame(0.1)
        assert frame is not None and np.array_equal(frame.depth, wanted.depth)
        source.pace.taken()
        count += 1

    assert camera.wait_frame(0.1) is None and camera.has_ended and count == 30


def test_a_closed_camera_closes_its_recording(recording: Path) -> None:
    camera = ReplayConfig(recording, pace="flat_out", loop=True).source().open()

    assert camera.wait_frame(0.1) is not None and open_below(recording)
    camera.close()
    assert not open_below(recording)


def open_below(folder: Path) -> list[Path]:
    """Files of this process that lie in the folder."""
    files = [link.resolve() for link in Path("/proc/self/fd").iterdir()]
    return [file for file in files if file.is_relative_to(folder.resolve())]


def test_missing_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="nothing is there"):
        ReplayConfig(tmp_path / "absent").source().open()
