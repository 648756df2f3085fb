"""A configured side that the evidence contradicts is said once an episode."""

import logging
from pathlib import Path

import numpy as np
import pytest

from handmap.tracking.track import Track
from handmap.types.values import Handedness
from runtime.daemon import Daemon
from runtime.retry import StopFlag
from runtime.settings import read_settings
from runtime.side_watch import SideWatch
from runtime.snapshot import take_snapshot
from runtime.status import format_status
from tests.support.processes import ROOT
from tests.support.tiny_bundle import write_config

FPS = 30


def track(right_logit: float) -> Track:
    return Track(1, np.zeros(3, np.float32), np.zeros(3, np.float32), 0, 1, right_logit)


def watch_for(watch: SideWatch, seconds: float, configured: Handedness, *logits: float, start_s: float = 0) -> None:
    for number in range(round(seconds * FPS) + 1):
        watch.see(configured, [track(logit) for logit in logits], round((start_s + number / FPS) * 1e9))


@pytest.mark.parametrize(
    ("configured", "logit", "seen"), [(Handedness.RIGHT, -9, "left"), (Handedness.LEFT, 9, "right")]
)
def test_a_contradiction_of_seconds_is_warned_of_once(
    configured: Handedness, logit: float, seen: str, caplog: pytest.LogCaptureFixture
) -> None:
    watch = SideWatch()
    watch_for(watch, 1.5, configured, logit)
    assert watch.warning == ""

    watch_for(watch, 5, configured, logit, start_s=1.5)

    assert f"the model sees a {seen} hand" in watch.warning
    assert f"tracking.handedness is {configured.name.lower()}" in watch.warning
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_a_second_episode_is_warned_of_again(caplog: pytest.LogCaptureFixture) -> None:
    watch = SideWatch()
    watch_for(watch, 3, Handedness.RIGHT, -9)
    watch_for(watch, 0.5, Handedness.RIGHT, 9, start_s=3)
    assert watch.warning == ""

    watch_for(watch, 3, Handedness.RIGHT, -9, start_s=4)

    assert len(caplog.records) == 2


@pytest.mark.parametrize(
    ("configured", "logits"),
    [(Handedness.RIGHT, (9.0,)), (Handedness.RIGHT, (-1.0,)), (Handedness.UNKNOWN, (-9.0,)), (Handedness.RIGHT, ())],
)
def test_without_a_contradiction_nothing_is_said(configured: Handedness, logits: tuple[float, ...]) -> None:
    watch = SideWatch()

    watch_for(watch, 5, configured, *logits)

    assert watch.warning == ""


def test_the_daemon_warns_of_a_right_hand_where_a_left_one_is_configured(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = write_config(
        tmp_path / "c.yaml", ROOT / "models/handmap-hand21", ROOT / "models/demo_recording", 9, "lockstep", False
    )
    config.write_text(config.read_text() + "tracking: {handedness: left}\n")
    daemon = Daemon(read_settings(config), StopFlag())

    daemon.run()

    warnings = [record.getMessage() for record in caplog.records if "tracking.handedness" in record.getMessage()]
    assert len(warnings) == 1
    assert "handedness=left seen=right" in warnings[0]
    facts = take_snapshot(daemon._monitor.facts)
    assert "the model sees a right hand" in facts.warning
    assert f"warning   {facts.warning}" in format_status(facts)
