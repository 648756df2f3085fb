"""A hand is held when it is lost, let go of, and taken up again without a jump; a lost hand never moves anything."""

import numpy as np
import pytest

from handmap.client.hand_state import HandState, HandTiming, HeldHand, Phase
from handmap.client.session import Received
from handmap.protocol.fields import DaemonState, HandFlags, MessageType
from handmap.protocol.packet import Packet, PacketHand
from handmap.types.errors import ConfigError
from handmap.types.values import Handedness

MS = 1_000_000
TIMING = HandTiming(stale_s=0.1, hold_s=0.2, relax_s=0.5, engage_s=0.25)


def hand_at(
    x_m: float, track_id: int = 1, side: Handedness = Handedness.RIGHT, is_valid: bool = True, confidence: float = 1.0
) -> PacketHand:
    joints = np.full((21, 3), 0.4, np.float32)
    joints[:, 0] = x_m
    flags = HandFlags.VALID if is_valid else HandFlags.NONE
    return PacketHand(joints, np.full(21, 0.01, np.float32), track_id, side, 1.0, confidence, flags)


def packet(
    at_ms: float, *hands: PacketHand, state: DaemonState | None = None, stream_id: int = 7, is_heartbeat: bool = False
) -> Received:
    state = state or (DaemonState.TRACKING if hands else DaemonState.NO_HAND)
    kind = MessageType.HEARTBEAT if is_heartbeat else MessageType.JOINTS
    return Received(Packet(kind, state, stream_id, 0, 0, 0, 0, hands), round(at_ms * MS), False, 0, True)


def followed(until_ms: int, x_m: float = 0.1) -> HandState:
    """A hand that has been heard of every 10 ms."""
    state = HandState(Handedness.RIGHT, TIMING)
    for at_ms in range(0, until_ms + 1, 10):
        state.see(packet(at_ms, hand_at(x_m)))
    return state


def at(state: HandState, at_ms: float) -> HeldHand:
    held = state.at(round(at_ms * MS))
    assert held is not None
    return held


def test_nothing_is_there_before_a_hand_is() -> None:
    state = HandState(timing=TIMING)
    assert state.at(0) is None

    state.see(packet(5))

    assert state.at(10 * MS) is None


def test_a_hand_is_taken_up_little_by_little() -> None:
    state = HandState(timing=TIMING)
    engagements = []
    for at_ms in range(0, 400, 50):
        state.see(packet(at_ms, hand_at(0.1)))
        engagements.append(at(state, at_ms).engagement)

    assert engagements == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1, 1, 1])


@pytest.mark.parametrize("how", ["silence", "no hand", "not valid", "other side", "no camera", "stopping heartbeat"])
def test_a_lost_hand_is_held_then_let_go_and_never_moves(how: str) -> None:
    state = followed(500)
    lost_ms = 600 if how == "silence" else 510
    for at_ms in range(510, 1600, 10):
        if how == "no hand":
            state.see(packet(at_ms))
        elif how == "not valid":
            state.see(packet(at_ms, hand_at(0.9, is_valid=False)))
        elif how == "other side":
            state.see(packet(at_ms, hand_at(0.9, 2, Handedness.LEFT)))
        elif how == "no camera":
            state.see(packet(at_ms, state=DaemonState.NO_CAMERA))
        elif how == "stopping heartbeat":
            state.see(packet(at_ms, state=DaemonState.STOPPING, is_heartbeat=True))
        held = state.at(at_ms * MS)
        if at_ms < lost_ms:
            assert held is not None and held.phase is Phase.LIVE
        elif at_ms < lost_ms + 200:
            assert held is not None and held.phase is Phase.HELD and held.engagement == 1
        elif at_ms < lost_ms + 690:
            assert held is not None and held.phase is Phase.RELAXING
            assert held.engagement == pytest.approx(1 - (at_ms - lost_ms - 200) / 500, abs=1e-6)
        elif at_ms > lost_ms + 710:
            assert held is None
        if held is not None:
            assert held.xyz_m[0, 0] == pytest.approx(0.1)
            assert held.age_s == pytest.approx((at_ms - 500) / 1e3)


def test_a_hand_that_flickers_stays_the_same() -> None:
    state = followed(500)
    before = at(state, 500)

    state.see(packet(510))
    state.see(packet(600, hand_at(0.12)))

    back = at(state, 600)
    assert (back.phase, back.epoch, back.engagement) == (Phase.LIVE, before.epoch, 1)
    assert back.xyz_m[0, 0] == pytest.approx(0.12)


def test_a_hand_that_is_taken_up_again_is_approached_from_where_it_was_held() -> None:
    state = followed(500)
    state.see(packet(510))
    let_go = at(state, 960)
    assert let_go.phase is Phase.RELAXING and let_go.engagement == pytest.approx(0.5)

    places, engagements, epochs = [], [], set()
    for at_ms in range(960, 1300, 10):
        state.see(packet(at_ms, hand_at(0.5, track_id=2)))
        held = at(state, at_ms)
        places.append(float(held.xyz_m[0, 0]))
        engagements.append(held.engagement)
        epochs.add(held.epoch)

    assert epochs == {let_go.epoch + 1}
    assert places[0] == pytest.approx(0.1) and places[-1] == pytest.approx(0.5)
    assert max(np.diff(places)) == pytest.approx(0.4 * 10 / 250, rel=1e-3)
    assert engagements[0] == pytest.approx(0.5) and engagements[-1] == 1
    assert min(np.diff(engagements)) >= 0


@pytest.mark.parametrize("stream_id", [7, 8])
def test_another_track_or_a_restart_starts_filters_anew(stream_id: int) -> None:
    state = followed(500)
    before = at(state, 500)

    state.see(packet(510, hand_at(0.3, track_id=1 if stream_id == 8 else 5), stream_id=stream_id))

    after = at(state, 510)
    assert after.epoch == before.epoch + 1
    assert after.xyz_m[0, 0] == pytest.approx(0.1)


def test_of_two_hands_the_one_that_is_followed_is_kept() -> None:
    state = HandState(timing=TIMING)
    state.see(packet(0, hand_at(0.1, 1, confidence=0.6), hand_at(0.2, 2, Handedness.LEFT, confidence=0.9)))
    first = at(state, 0).hand.track_id
    state.see(packet(10, hand_at(0.1, 1, confidence=1.0), hand_at(0.2, 2, Handedness.LEFT, confidence=0.5)))

    assert (first, at(state, 10).hand.track_id) == (2, 2)


def test_a_clock_that_goes_backward_changes_nothing() -> None:
    state = followed(500)
    state.see(packet(510))
    later = at(state, 800)

    assert at(state, 700) == later


def test_a_heartbeat_of_a_working_daemon_is_no_news() -> None:
    state = followed(500)

    state.see(packet(550, state=DaemonState.TRACKING, is_heartbeat=True))

    assert at(state, 560).phase is Phase.LIVE
    assert at(state, 620).phase is Phase.HELD


@pytest.mark.parametrize("name", ["stale_s", "hold_s", "relax_s", "engage_s"])
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_times_are_checked(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=name):
        HandTiming(**{name: value})


def test_with_times_of_zero_everything_is_at_once() -> None:
    state = HandState(timing=HandTiming(0, 0, 0, 0))
    state.see(packet(0, hand_at(0.1)))
    state.see(packet(1, hand_at(0.1)))

    assert state.at(2 * MS) is None
