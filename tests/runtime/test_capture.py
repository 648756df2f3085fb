"""The capture thread keeps only the newest frame and carries the camera's errors over."""

import threading
import time

import pytest

from handmap.errors import CameraLost
from handmap.values import DepthFrame
from runtime.capture import Capture
from tests.support.tiny_bundle import blob_frame


class ListCamera:
    """Gives its frames at once, then fails if it was given an error, or ends."""

    name = "list"

    def __init__(self, frames: list[DepthFrame], error: Exception | None = None) -> None:
        self._frames = list(frames)
        self._error = error
        self.has_ended = False
        self.is_closed = False
        self.calls: list[str] = []
        self.done = threading.Event()

    def wait_frame(self, timeout_s: float) -> DepthFrame | None:
        if self._frames:
            return self._frames.pop(0)
        self.done.set()
        if self._error is not None:
            raise self._error
        self.has_ended = True
        return None

    def taken(self) -> None:
        self.calls.append("taken")

    def published(self) -> None:
        self.calls.append("published")

    def close(self) -> None:
        self.is_closed = True


def frames(count: int) -> list[DepthFrame]:
    return [blob_frame(number, has_hand=False) for number in range(count)]


def test_only_the_newest_frame_is_kept_and_the_others_are_counted() -> None:
    camera = ListCamera(frames(5))

    with Capture(camera) as capture:
        camera.done.wait(2)
        newest = capture.wait_newest(1)
        assert newest is not None and newest.frame_number == 4
        assert capture.dropped == 4
        assert capture.wait_newest(0.01) is None and capture.has_ended
        capture.published()

    assert camera.is_closed and camera.calls == ["taken", "published"]


def test_the_last_frame_comes_before_the_end() -> None:
    camera = ListCamera(frames(1))

    with Capture(camera) as capture:
        camera.done.wait(2)
        assert not capture.has_ended
        assert capture.wait_newest(1) is not None
        assert capture.has_ended


def test_the_camera_s_error_comes_out_after_its_last_frame() -> None:
    camera = ListCamera(frames(1), CameraLost("unplugged"))

    with Capture(camera) as capture:
        camera.done.wait(2)
        assert capture.wait_newest(1) is not None
        with pytest.raises(CameraLost, match="unplugged"):
            capture.wait_newest(1)


def test_the_end_wakes_whoever_waits() -> None:
    camera = ListCamera([])

    start_s = time.monotonic()
    with Capture(camera) as capture:
        assert capture.wait_newest(5) is None

    assert time.monotonic() - start_s < 2
