"""What may happen to a receiver, drawn at random, and what Python's receiver makes of it, as the check programs print it."""

import functools
import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from handmap.client.clock_offset import ClockOffset, Exchange, Offset
from handmap.client.hand_state import HandState, HandTiming, HeldHand, Phase
from handmap.client.session import Session
from handmap.protocol.control import ControlMessage, decode_control, encode_control
from handmap.protocol.fields import ControlType, DaemonState, HandFlags, MessageType
from handmap.protocol.packet import Packet, PacketHand, encode
from handmap.types.values import Handedness
from tests.handmap.protocol.test_packet import KEYS

MS: Final = 1_000_000
FROM: Final = ("127.0.0.1", 5655)
STREAMS: Final = (7, 8, 9, 10, 11, 2**32 - 1)
TIMINGS: Final = (
    HandTiming(),
    HandTiming(0.1, 0.2, 0.5, 0.25),
    HandTiming(0.0, 0.0, 0.0, 0.0),
    HandTiming(0.03, 0, 0.1, 0),
)


@dataclass(frozen=True)
class Event:
    """`p` a packet, `c` a PONG, `a` a look at the hands, `v` the proof of a stream, whose id stands in place of the time."""

    kind: str
    now_ns: int
    data: bytes = b""


@functools.cache
def draw_events(seed: int, has_key: bool, count: int = 1500) -> tuple[Event, ...]:
    """Packets as a network delivers them: lost, late, twice, of daemons that start again, with hands that come and go."""
    chosen = random.Random(seed)
    now_ns, stream_id, sequence, frame = 0, 7, 2**32 - 200, 0
    events = [Event("v", 7)] if has_key and seed % 2 else []
    tracks = [1, 2]
    while len(events) < count:
        now_ns += chosen.choice((0, 5, 16, 16, 33, 33, 33, 60, 300, -5)) * MS + chosen.randrange(MS)
        if chosen.random() < 0.02:
            now_ns += chosen.randrange(3000) * MS
        if chosen.random() < 0.3:
            events.append(Event("a", now_ns))
            continue
        if chosen.random() < 0.1:
            ahead_ns = 10**15 if len(events) < count // 2 else -5 * 10**12  # the sender's machine starts again
            events.append(Event("c", now_ns, _draw_pong(chosen, now_ns, ahead_ns)))
            continue
        if chosen.random() < 0.03:
            tracks[chosen.randrange(2)] += 2
        if chosen.random() < 0.02:
            stream_id, sequence = chosen.choice(STREAMS), chosen.choice((0, sequence, chosen.randrange(2**32)))
        if has_key and chosen.random() < 0.1:
            events.append(Event("v", chosen.choice((stream_id, stream_id, *STREAMS))))
        if chosen.random() < 0.02:  # far enough for a receiver to ignore it until the run is long
            sequence += chosen.choice((2000, -50, -3000, 2**31, 10**9))
        frame += 1
        hands = _draw_hands(chosen, tracks)
        parts = [hands] if chosen.random() < 0.9 else [hands, _draw_hands(chosen, [5, 6]), hands[:1]]
        kind = MessageType.HEARTBEAT if len(parts) == 1 and chosen.random() < 0.1 else MessageType.JOINTS
        state = DaemonState.TRACKING if chosen.random() < 0.9 else chosen.choice(list(DaemonState))
        for part, of_part in enumerate(parts):
            sequence += chosen.choice((1, 1, 1, 1, 1, 1, 1, 2, 30))
            if chosen.random() < 0.05:
                continue  # lost
            late = chosen.choice((0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 40, 1100)) if len(parts) == 1 else 0
            sent = () if kind is MessageType.HEARTBEAT else tuple(of_part)
            packet = Packet(
                kind, state, stream_id, sequence - late, frame, 0, 0, sent, part=part, part_count=len(parts)
            )
            events.append(Event("p", now_ns, encode(packet, KEYS if has_key else None)))
    return tuple(events)


def write_events(path: Path, events: Sequence[Event]) -> None:
    """The file that check programs follow."""
    path.write_bytes(
        b"".join(
            event.kind.encode() + struct.pack("<qH", event.now_ns, len(event.data)) + event.data for event in events
        )
    )


def arguments_of(timing: HandTiming, has_key: bool) -> list[str]:
    """Those of a check program, after the file."""
    return [str(int(has_key)), *(repr(float(value)) for value in vars(timing).values())]


@functools.cache
def lines_of_events(events: tuple[Event, ...], timing: HandTiming, has_key: bool) -> list[str]:
    """What check programs print of it."""
    session = Session(KEYS, FROM) if has_key else Session()
    states = [HandState(handedness, timing) for handedness in Handedness]
    clock = ClockOffset()
    lines = []
    for event in events:
        if event.kind == "v":
            session.peers[0].stream_id = event.now_ns
        elif event.kind == "a":
            hands = [_held_words(state.at(event.now_ns)) for state in states]
            lines.append(" ".join(["hands", *hands, _offset_words(clock.at(event.now_ns))]))
        elif event.kind == "c":
            pong = decode_control(event.data)
            clock.add(Exchange(pong.client_ns, pong.received_ns, pong.sent_ns, event.now_ns))
        else:
            received = session.handle(event.data, FROM, event.now_ns)
            if received is not None:
                for state in states:
                    state.see(received)
            counts = session.counts
            assert counts.refused == 0, counts.refusal
            numbers = (counts.received, counts.lost, counts.late, counts.repeated, counts.restarts)
            lines.append(
                " ".join(["counts", *(str(number) for number in (*numbers, counts.unproven, counts.incomplete))])
            )
    return lines


def assert_same_lines(printed: Sequence[str], expected: Sequence[str]) -> None:
    """The same words, and numbers with a decimal point to within 1e-6."""
    assert len(printed) == len(expected)
    for number, (line, wanted) in enumerate(zip(printed, expected, strict=True)):
        words, wanted_words = line.split(), wanted.split()
        assert len(words) == len(wanted_words), f"event {number}: {line} instead of {wanted}"
        for word, wanted_word in zip(words, wanted_words, strict=True):
            is_close = "." in wanted_word and abs(float(word) - float(wanted_word)) < 1e-6
            assert is_close or word == wanted_word, f"event {number}: {line} instead of {wanted}"


def _draw_hands(chosen: random.Random, tracks: Sequence[int]) -> list[PacketHand]:
    hands = []
    for track_id, side in zip(tracks, (Handedness.LEFT, Handedness.RIGHT), strict=True):
        if chosen.random() < 0.15:
            continue
        xyz_m = np.array([chosen.uniform(-1, 1) for _ in range(63)], np.float32).reshape(21, 3)
        flags = HandFlags.VALID if chosen.random() < 0.95 else HandFlags.TRACKED
        side = side if chosen.random() < 0.97 else Handedness.UNKNOWN
        confidence = chosen.choice((0.25, 0.5, 0.75))
        hands.append(PacketHand(xyz_m, np.zeros(21, np.float32), track_id, side, 1.0, confidence, flags))
    chosen.shuffle(hands)
    return hands


def _draw_pong(chosen: random.Random, now_ns: int, ahead_ns: int) -> bytes:
    there_ns, back_ns = chosen.randrange(20 * MS), chosen.randrange(20 * MS)
    received_ns = now_ns - back_ns - MS + ahead_ns
    pong = ControlMessage(
        ControlType.PONG,
        1,
        client_ns=now_ns - back_ns - MS - there_ns,
        received_ns=received_ns,
        sent_ns=received_ns + MS,
    )
    return encode_control(pong)


def _offset_words(offset: Offset | None) -> str:
    return "unknown" if offset is None else f"{offset.offset_ns / 1e9:.9f} {offset.error_ns / 1e9:.9f}"


def _held_words(held: HeldHand | None) -> str:
    if held is None:
        return "none"
    joints = (held.xyz_m[0, 0], held.xyz_m[7, 1], held.xyz_m[20, 2])
    start = f"{list(Phase).index(held.phase)} {held.engagement:.9f} {held.age_s:.9f} {held.epoch} {held.hand.track_id}"
    return " ".join([start, *(f"{value:.9f}" for value in joints)])
