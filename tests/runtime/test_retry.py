"""Retries, notifying systemd, the heartbeat, and the log of rates."""

import socket
import time
from pathlib import Path

import pytest

from handmap.protocol.fields import DaemonState
from handmap.system.notify import Notifier, open_notifier
from handmap.types.errors import CameraLost
from runtime import retry
from runtime.heartbeat import Heartbeat
from runtime.publish import open_publisher
from runtime.publish_config import PublishConfig, TargetConfig
from runtime.retry import Backoff, StopFlag
from runtime.state import DaemonStatus
from tests.support.processes import drain, listening, port_of


def test_pauses_grow_to_one_second_and_the_same_sentence_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    backoff = Backoff()

    assert [backoff.fail(CameraLost("no camera")) for _ in range(4)] == [0.5, 1.0, 1.0, 1.0]
    assert len(caplog.records) == 1

    backoff.fail(CameraLost("another one"))
    assert len(caplog.records) == 2


def test_pause_is_short_again_after_a_healthy_time(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    backoff = Backoff()
    assert [backoff.fail(CameraLost("no camera")) for _ in range(2)] == [0.5, 1.0]

    monkeypatch.setattr(retry, "HEALTHY_S", -1.0)

    assert [backoff.fail(CameraLost("no camera")) for _ in range(2)] == [0.5, 0.5]
    assert len(caplog.records) == 3


def test_only_the_time_of_the_last_attempt_counts_as_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "HEALTHY_S", 0.05)
    backoff = Backoff()
    backoff.fail(CameraLost("no camera"))
    time.sleep(0.06)

    backoff.begin()

    assert backoff.fail(CameraLost("no camera")) == 1.0


def test_stop_ends_a_wait_soon() -> None:
    stop = StopFlag()
    beats = []

    def beat() -> None:
        beats.append(1)
        if len(beats) == 2:
            stop.set()

    start_s = time.monotonic()
    stop.wait(10, beat)

    assert time.monotonic() - start_s < 5  # of 10


@pytest.mark.parametrize("is_abstract", [False, True])
def test_systemd_is_sent_ready_once_then_the_states(tmp_path: Path, is_abstract: bool) -> None:
    name = f"@handmap-test-{time.monotonic_ns()}" if is_abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0" + name[1:] if is_abstract else name)
        systemd.settimeout(2)
        status = DaemonStatus(open_notifier({"NOTIFY_SOCKET": name}))

        for state in (DaemonState.NO_CAMERA, DaemonState.NO_CAMERA, DaemonState.TRACKING, DaemonState.STOPPING):
            status.enter(state, "why" if state is DaemonState.NO_CAMERA else "")

        heard = [systemd.recv(1000).decode() for _ in range(3)]
    assert heard == ["STATUS=NO_CAMERA: why\nREADY=1", "STATUS=TRACKING", "STATUS=STOPPING\nSTOPPING=1"]


def test_a_missing_systemd_is_not_an_error() -> None:
    Notifier(None).send("READY=1")
    Notifier("/nonexistent/socket").send("READY=1")


def test_heartbeat_continues_and_the_watchdog_is_fed_only_by_progress(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd, listening() as sink:
        systemd.bind(str(tmp_path / "notify"))
        notifier = Notifier(str(tmp_path / "notify"))
        status = DaemonStatus(notifier)
        publisher = open_publisher(PublishConfig((TargetConfig("127.0.0.1", port_of(sink)),)))

        with Heartbeat(publisher, status, notifier, period_s=0.02):
            time.sleep(0.15)
            status.advance()
            time.sleep(0.15)
        publisher.close()

        systemd.setblocking(False)
        assert [systemd.recv(100) for _ in range(2)] == [b"WATCHDOG=1"] * 2
        with pytest.raises(BlockingIOError):
            systemd.recv(100)
        assert len(drain(sink)) >= 8
