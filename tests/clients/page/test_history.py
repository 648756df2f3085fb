"""The last minute in bins of half a second."""

import dataclasses

import numpy as np
import pytest

from clients.page.history import BIN_S, BINS, SPAN_S, History
from handmap.client.session import Received
from handmap.protocol.fields import DaemonState, HandFlags, MessageType
from handmap.protocol.packet import Packet, PacketHand
from handmap.types.values import Handedness

SECOND = 10**9


def received(at_ns: int, confidence: float = 0.8, lost: int = 0) -> Received:
    hand = PacketHand(
        np.zeros((21, 3), np.float32),
        np.full(21, 0.007, np.float32),
        1,
        Handedness.RIGHT,
        1.0,
        confidence,
        HandFlags.VALID,
    )
    packet = Packet(MessageType.JOINTS, DaemonState.TRACKING, 1, 0, 0, at_ns - 20_000_000, at_ns - 1_000_000, (hand,))
    return Received(packet, at_ns, False, lost, True, 0)


def test_a_steady_stream_has_its_rate_age_confidence_and_no_jitter() -> None:
    history = History()
    for number in range(600):
        history.saw(received(100 * SECOND + number * SECOND // 30))

    series = history.series(120.0)

    assert len(history.ages_s()) == BINS and history.ages_s()[-1] == -BIN_S / 2
    assert series["frames"][-30:] == pytest.approx(np.full(30, 30.0))
    assert series["age"][-30:] == pytest.approx(np.full(30, 20.0)) and series["confidence"][-1] == pytest.approx(0.8)
    assert series["error"][-1] == pytest.approx(7.0) and series["jitter"].max() < 0.001
    assert (series["frames"][: BINS - 41] == 0).all(), "before there was nothing"
    assert "lost" not in series


def test_loss_and_an_uneven_pace_are_seen_where_they_were() -> None:
    history = History()
    for number in range(100):
        late_ns = 10_000_000 if number % 2 else 0
        history.saw(received(100 * SECOND + number * 20_000_000 + late_ns, lost=5 if number == 50 else 0))

    series = history.series(102.0)

    assert series["jitter"][-1] == pytest.approx(20.0, abs=0.1)
    assert series["lost"].sum() * BIN_S == pytest.approx(5) and series["lost"][-2] > 0


def test_what_is_older_than_a_minute_is_forgotten() -> None:
    history = History()
    history.saw(received(100 * SECOND))
    history.saw_stages(100.0, {"infer": 9.0})
    assert history.series(100.0 + SPAN_S / 2)["stage infer"].max() == 9.0
    assert history.series(100.0 + SPAN_S + 1) == {}


def test_heartbeats_are_no_frames() -> None:
    history = History()
    beat = received(100 * SECOND)
    history.saw(dataclasses.replace(beat, packet=dataclasses.replace(beat.packet, message_type=MessageType.HEARTBEAT)))

    assert history.series(100.0) == {}
