"""The capture thread keeps only the newest frame and carries the camera's errors over."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from handmap.recording.cameras import Camera
from handmap.types.errors import CameraLost
from handmap.types.values import DepthFrame
from runtime.cameras.late import LateCamera
from runtime.capture import STALE_S, Capture
from runtime.state import Counts
from tests.support.tiny_bundle import CAMERA, blob_frame


class ListCamera:
    """Gives its frames at once, then fails if it was given an error, or ends."""

    name = "list"

    def __init__(self, frames: list[DepthFrame], error: Exception | None = None) -> None:
        self._frames = list(frames)
        self._error = error
        self.has_ended = False
        self.is_closed = False
        self.done = threading.Event()

    def wait_frame(self, timeout_s: float) -> DepthFrame | None:
        if self._frames:
            return self._frames.pop(0)
        self.done.set()
        if self._error is not None:
            raise self._error
        self.has_ended = True
        return None

    def close(self) -> None:
        self.is_closed = True


class HeardPace:
    """Records its notifications."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def taken(self) -> None:
        self.calls.append("taken")

    def published(self) -> None:
        self.calls.append("published")


def frames(count: int) -> list[DepthFrame]:
    return [blob_frame(number, has_hand=False) for number in range(count)]


def test_only_the_newest_frame_is_kept_and_the_others_are_counted() -> None:
    camera, pace = ListCamera(frames(5)), HeardPace()

    with Capture(camera, pace=pace) as capture:
        camera.done.wait(30)
        newest = capture.wait_newest(30)
        assert newest is not None and newest.frame_number == 4
        assert capture.dropped == 4
        assert capture.wait_newest(0.01) is None and capture.has_ended
        capture.published()

    assert camera.is_closed and pace.calls == ["taken", "published"]


def test_the_last_frame_comes_before_the_end() -> None:
    camera = ListCamera(frames(1))

    with Capture(camera) as capture:
        camera.done.wait(30)
        assert not capture.has_ended
        assert capture.wait_newest(30) is not None
        assert capture.has_ended


def test_the_cameras_error_is_raised_after_its_last_frame() -> None:
    camera = ListCamera(frames(1), CameraLost("unplugged"))

    with Capture(camera) as capture:
        camera.done.wait(30)
        assert capture.wait_newest(30) is not None
        with pytest.raises(CameraLost, match="unplugged"):
            capture.wait_newest(30)


def test_the_end_of_the_stream_wakes_the_waiter() -> None:
    camera = ListCamera([])

    start_s = time.monotonic()
    with Capture(camera) as capture:
        assert capture.wait_newest(5) is None

    assert time.monotonic() - start_s < 2


class SlowCamera(ListCamera):
    """Takes a moment before it answers, so the consumer is waiting by then."""

    def wait_frame(self, timeout_s: float) -> DepthFrame | None:
        time.sleep(0.1)
        return super().wait_frame(timeout_s)


class QuietCamera(SlowCamera):
    """Goes silent after its frames without ending: nothing else wakes the consumer."""

    def wait_frame(self, timeout_s: float) -> DepthFrame | None:
        frame = super().wait_frame(timeout_s)
        self.has_ended = False
        return frame


def test_a_frame_wakes_the_waiter() -> None:
    with Capture(QuietCamera(frames(1))) as capture:
        start_s = time.monotonic()
        frame = capture.wait_newest(5)
        waited_s = time.monotonic() - start_s

    assert frame is not None
    assert waited_s < 4


def test_a_failure_wakes_the_waiter() -> None:
    with Capture(SlowCamera([], CameraLost("unplugged"))) as capture:
        start_s = time.monotonic()
        with pytest.raises(CameraLost, match="unplugged"):
            capture.wait_newest(20)
        waited_s = time.monotonic() - start_s

    assert waited_s < 10


def aged(number: int, age_s: float) -> DepthFrame:
    return replace(blob_frame(number, has_hand=False), capture_ns=time.monotonic_ns() - round(age_s * 1e9))


def taken_of(given: list[DepthFrame]) -> tuple[DepthFrame | None, Counts]:
    """What is given out of a live camera's frames, and what was counted."""
    camera, counts = ListCamera(given), Counts()
    with Capture(camera, counts, is_real_time=True) as capture:
        camera.done.wait(30)
        return capture.wait_newest(30), counts


def test_stale_frames_are_refused_and_counted() -> None:
    good = aged(0, 0.02)

    taken, counts = taken_of(
        [good, aged(1, 2.0), aged(2, -1.0), replace(aged(3, 0), capture_ns=good.capture_ns - 1000)]
    )

    assert taken is good
    assert (counts.stale, counts.repeated, counts.dropped) == (3, 0, 0)


def test_a_frame_that_repeats_the_time_of_the_last_is_refused_and_counted() -> None:
    good = aged(0, 0.02)

    taken, counts = taken_of([good, good, good])

    assert taken is good
    assert (counts.stale, counts.repeated, counts.dropped) == (0, 2, 0)


def test_a_replay_without_real_time_can_have_any_timestamps() -> None:
    camera, counts = ListCamera([aged(0, 100), aged(1, 200)]), Counts()

    with Capture(camera, counts) as capture:
        camera.done.wait(30)
        taken = capture.wait_newest(30)

    assert taken is not None and taken.frame_number == 1
    assert (counts.stale, counts.repeated, counts.dropped) == (0, 0, 1)


class BurstCamera(ListCamera):
    """Gives its frames a few milliseconds apart, as a bus does that was blocked."""

    def wait_frame(self, timeout_s: float) -> DepthFrame | None:
        time.sleep(0.005)
        return super().wait_frame(timeout_s)


def test_late_frames_are_skipped_for_those_that_follow_at_once() -> None:
    counts = Counts()

    with Capture(BurstCamera([aged(number, 0.4 - 0.04 * number) for number in range(9)]), counts, True) as capture:
        taken = capture.wait_newest(30)

    assert taken is not None and taken.frame_number >= 6  # the first that is younger than 0.1 s, or nearly so
    assert counts.skipped + counts.dropped >= 6


def test_a_frame_that_became_stale_while_it_waited_is_not_given_out() -> None:
    camera, counts = ListCamera([aged(0, 0.1)]), Counts()

    with Capture(camera, counts, is_real_time=True) as capture:
        camera.done.wait(30)
        time.sleep(STALE_S)
        taken = capture.wait_newest(0.1)
        is_refusing = capture.is_refusing

    assert taken is None and is_refusing
    assert (counts.outdated, counts.stale) == (1, 0)


@pytest.mark.parametrize(
    ("age_s", "is_real_time", "expected"), [(2.9, True, False), (3.1, True, True), (9, False, False)]
)
def test_a_frame_can_become_too_old_to_publish(age_s: float, is_real_time: bool, expected: bool) -> None:
    counts = Counts()

    assert Capture(ListCamera([]), counts, is_real_time).is_outdated(aged(0, age_s)) is expected
    assert counts.outdated == expected


@pytest.mark.parametrize(("worked_s", "expected"), [(0.5, True), (5.0, False)])
def test_work_does_not_make_a_frame_too_old_to_publish(
    monkeypatch: pytest.MonkeyPatch, worked_s: float, expected: bool
) -> None:
    capture = Capture(ListCamera([]), Counts(), is_real_time=True)
    done_s = time.thread_time() + worked_s
    monkeypatch.setattr("runtime.capture.time.thread_time", lambda: done_s)

    assert capture.is_outdated(aged(0, 6.0)) is expected


class SteadyCamera(ListCamera):
    """A frame every 20 ms."""

    def wait_frame(self, timeout_s: float) -> DepthFrame | None:
        time.sleep(0.02)
        return aged(0, 0)


def test_frames_are_given_out_as_they_come_and_not_when_the_wait_is_over() -> None:
    with Capture(SteadyCamera([]), is_real_time=True) as capture:
        assert capture.wait_newest(5) is not None
        start_s = time.monotonic()
        for _ in range(25):
            assert capture.wait_newest(30) is not None
        waited_s = time.monotonic() - start_s

    assert waited_s < 5  # half a second; a wait to its end for each would take 25 s


def test_a_frame_with_another_shape_is_a_camera_failure() -> None:
    small = DepthFrame(np.zeros((2, 4), np.uint16), 1.0, replace(CAMERA, width_px=4, height_px=2), 1, 0)

    with Capture(ListCamera([blob_frame(0), small])) as capture:
        assert capture.wait_newest(30) is not None
        with pytest.raises(CameraLost, match=r"shape \(2, 4\) after frames of \(480, 640\)"):
            capture.wait_newest(30)


def test_a_failure_to_open_the_camera_is_raised_by_the_capture() -> None:
    def absent() -> Camera:
        raise CameraLost("not on the bus")

    with Capture(LateCamera(absent, lambda camera: None)) as capture, pytest.raises(CameraLost, match="not on the bus"):
        capture.wait_newest(30)
