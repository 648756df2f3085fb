"""`handmap record` in this process: what a camera that stops giving frames costs."""

from pathlib import Path

import pytest

from handmap.recording.cameras import OwnPace
from handmap.recording.reader import open_recording
from handmap.types.errors import CameraLost
from handmap.types.values import DepthFrame
from runtime import record
from runtime.retry import StopFlag
from tests.support.tiny_bundle import blob_frame


class StalledCamera:
    """Gives its frames, then none, and says that it has not ended."""

    name = "stalled"
    has_ended = False

    def __init__(self, count: int) -> None:
        self._frames = [blob_frame(number) for number in range(count)]

    def wait_frame(self, timeout_s: float) -> DepthFrame | None:
        return self._frames.pop(0) if self._frames else None

    def close(self) -> None:
        pass


@pytest.mark.parametrize("count", [0, 5])
def test_a_camera_that_stops_giving_frames_ends_the_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(record, "STALLED_S", 0.2)

    with pytest.raises(CameraLost, match=r"gave no frame for 0\.2 s"):
        record.record_frames(StalledCamera(count), OwnPace(), tmp_path / "r", 9.0, StopFlag())

    assert (tmp_path / "r").exists() == (count > 0)
    if count:
        assert len(list(open_recording(tmp_path / "r"))) == count
