import dataclasses
import socket
import time

from clients.hand_watch import HandWatch, Moment, SeenHand, moments_of, pass_on
from handmap.client.receiver import open_receiver
from handmap.client.session import Received
from handmap.protocol.fields import DaemonState, HandFlags, MessageType
from handmap.protocol.packet import Packet, PacketHand, encode
from handmap.types.values import Handedness
from tests.support.wire_hands import LEFT, RIGHT, golden_row, wire_hand

MS = 1_000_000


def received(now_ns: int, *hands: PacketHand, is_same_machine: bool = True) -> Received:
    packet = Packet(MessageType.JOINTS, DaemonState.TRACKING, 1, 1, 1, now_ns - 20 * MS, now_ns - 5 * MS, hands)
    return Received(packet, now_ns, False, 0, is_same_machine)


def shown(moment: Moment, side: Handedness) -> SeenHand:
    found = moment.hands[side]
    assert found is not None
    return found


def hand_of(side: str) -> PacketHand:
    return wire_hand(golden_row("natural", "back", side))


def test_each_side_is_followed_for_itself() -> None:
    watch = HandWatch()
    left, right = hand_of("left"), hand_of("right")

    both = watch.see(received(1000 * MS, left, right))
    one = watch.see(received(1033 * MS, right))

    assert shown(both, LEFT).hand is left and shown(both, LEFT).is_live
    assert shown(both, RIGHT).sample_ns == 980 * MS
    held = shown(one, LEFT)
    assert held.hand is left and not held.is_live and held.sample_ns == 980 * MS
    assert shown(one, RIGHT).is_live


def test_a_hand_is_held_for_a_quarter_of_a_second_and_then_lost() -> None:
    watch = HandWatch()
    watch.see(received(1000 * MS, hand_of("left")))
    watch.see(received(1010 * MS))

    before, after = watch.at(1250 * MS), watch.at(1270 * MS)

    assert not shown(before, LEFT).is_live and not before.is_new
    assert after.hands[LEFT] is None


def test_packets_that_were_received_before_give_the_same_moments_as_live_ones() -> None:
    packets = [received(1000 * MS, hand_of("left")), received(5000 * MS, hand_of("left"))]

    moments = list(moments_of(packets))

    assert moments[0].is_new and moments[-1].is_new and not any(moment.is_new for moment in moments[1:-1])
    lost = [moment for moment in moments if moment.hands[LEFT] is None]
    assert len(lost) == 1  # it is said once that the hand is lost
    assert 1340 * MS < lost[0].now_ns < 1400 * MS  # after 0.1 s without news and 0.25 s more
    assert [moment.now_ns for moment in moments] == sorted(moment.now_ns for moment in moments)


def test_hands_that_are_guessed_or_of_no_side_are_not_passed_on() -> None:
    guessed = dataclasses.replace(hand_of("left"), flags=HandFlags.TRACKED)
    unknown = dataclasses.replace(hand_of("right"), handedness=Handedness.UNKNOWN)

    moment = HandWatch().see(received(1000 * MS, guessed, unknown))

    assert moment.hands == {LEFT: None, RIGHT: None}


def test_an_extrapolated_hand_is_of_the_time_it_was_published_at() -> None:
    moved = dataclasses.replace(hand_of("left"), flags=HandFlags.VALID | HandFlags.EXTRAPOLATED)

    moment = HandWatch().see(received(1000 * MS, moved))

    assert shown(moment, LEFT).sample_ns == 995 * MS


def test_times_of_another_machine_are_brought_to_this_ones_clock() -> None:
    theirs = dataclasses.replace(received(0, hand_of("left"), is_same_machine=False), received_ns=7000 * MS)

    seen = shown(HandWatch().see(theirs), LEFT)

    assert seen.sample_ns == 6985 * MS  # it arrived at 7000 ms and had taken 15 ms
    assert seen.sender_ns == -20 * MS
    known = dataclasses.replace(theirs, clock_offset_ns=-6990 * MS)
    assert shown(HandWatch().see(known), LEFT).sample_ns == 6970 * MS


def test_hands_are_repeated_while_nothing_arrives_and_missing_skeletons_are_warned_of_once() -> None:
    receiver = open_receiver("127.0.0.1", 0)
    moments: list[Moment] = []
    warnings: list[str] = []
    now_ns = time.monotonic_ns()
    bare = wire_hand(golden_row("natural", "back", "left"), has_skeleton=False)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        for sequence in range(2):
            packet = dataclasses.replace(received(now_ns, bare).packet, sequence=sequence)
            out.sendto(encode(packet), ("127.0.0.1", receiver.port))
    try:
        pass_on(receiver, moments.append, warnings.append, "is it running?", 1.7)
    finally:
        receiver.close()

    assert [moment.is_new for moment in moments[:2]] == [True, True]
    assert len(moments) >= 5 and not any(moment.is_new for moment in moments[2:])
    assert all(moment.hands[LEFT] is not None for moment in moments[:5]) and moments[-1].hands[LEFT] is None
    assert len(warnings) == 2 and "publish.skeleton: true" in warnings[0] and "silence" in warnings[1]
