"""A heartbeat says what the daemon does, and that its loop stands still when it does."""

import logging
import time

import pytest

from handmap.protocol.fields import DaemonState
from handmap.system.notify import Notifier
from runtime.heartbeat import STALLED_BEATS, Heartbeat
from runtime.publish import open_publisher
from runtime.publish_config import PublishConfig, TargetConfig
from runtime.state import STALLED, DaemonStatus
from tests.support.processes import listening, port_of, receive

BEAT_S = 0.05


def test_a_loop_that_stands_still_is_degraded_until_it_advances(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    status = DaemonStatus(Notifier(None))
    status.enter(DaemonState.TRACKING)
    with listening() as sink:
        publisher = open_publisher(PublishConfig((TargetConfig("127.0.0.1", port_of(sink)),)))
        with Heartbeat(publisher, status, Notifier(None), BEAT_S):
            told = [receive(sink).state for _ in range(STALLED_BEATS + 2)]
            reported = status.reported
            status.advance()
            end_s = time.monotonic() + 30
            while receive(sink).state is not DaemonState.TRACKING and time.monotonic() < end_s:
                status.advance()
            publisher.close()

    assert told[:STALLED_BEATS] == [DaemonState.TRACKING] * STALLED_BEATS
    assert told[-1] is DaemonState.DEGRADED
    assert reported == (DaemonState.DEGRADED, STALLED)
    assert "main_loop=stalled" in caplog.text and "main_loop=running" in caplog.text


def test_a_daemon_that_stops_is_not_stalled_while_it_writes_its_last_snapshot(caplog: pytest.LogCaptureFixture) -> None:
    status = DaemonStatus(Notifier(None))
    status.enter(DaemonState.STOPPING)
    with listening() as sink:
        publisher = open_publisher(PublishConfig((TargetConfig("127.0.0.1", port_of(sink)),)))
        with Heartbeat(publisher, status, Notifier(None), BEAT_S):
            told = [receive(sink).state for _ in range(STALLED_BEATS + 3)]
        publisher.close()

    assert set(told) == {DaemonState.STOPPING} and "stalled" not in caplog.text


@pytest.mark.parametrize("state", [DaemonState.STARTING, DaemonState.NO_CAMERA, DaemonState.STOPPING])
def test_states_that_promise_no_work_stay_as_they_are(state: DaemonState) -> None:
    status = DaemonStatus(Notifier(None))
    status.enter(state, "why")
    status.is_stalled = True

    assert status.reported[0] is state


@pytest.mark.parametrize(
    ("state", "level"),
    [(DaemonState.NO_CAMERA, "WARNING"), (DaemonState.DEGRADED, "WARNING"), (DaemonState.TRACKING, "INFO")],
)
def test_a_state_that_a_person_should_look_at_is_a_warning(
    caplog: pytest.LogCaptureFixture, state: DaemonState, level: str
) -> None:
    caplog.set_level(logging.INFO)

    DaemonStatus(Notifier(None)).enter(state, "unplugged")

    assert [record.levelname for record in caplog.records] == [level]
