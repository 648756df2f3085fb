"""The order of packets within a stream: what was lost, what to ignore, and when to start over; rule 4 of docs/protocol.md."""

from dataclasses import dataclass, replace
from typing import Final

U32: Final = 1 << 32
MAX_LOST_PER_S: Final = 1000  # several times the packets that a daemon sends in a second
RESYNC_PACKETS: Final = 10
RESYNC_NS: Final = 10**9
WINDOW: Final = 1024  # packets behind the newest of which it is known whether they came
ALL_SEEN: Final = (1 << WINDOW) - 1  # of what came before the first packet nothing is missed


@dataclass(frozen=True)
class StreamOrder:
    """Where a stream has got to: its newest packet and when it came, and the run of packets ignored since.

    Bit k of `seen` says whether the packet k before the newest has come.
    """

    sequence: int
    received_ns: int
    ignored: int = 0
    ignored_sequence: int = 0  # of the last one in that run
    seen: int = ALL_SEEN


@dataclass(frozen=True)
class Verdict:
    """What to do with a packet; lost counts packets missing before it, and is -1 for one that was missing and comes late."""

    is_accepted: bool
    lost: int
    order: StreamOrder
    is_repeated: bool = False


def judge(order: StreamOrder, sequence: int, now_ns: int) -> Verdict:
    """Whether the packet with this number is the next to use, at now_ns on the clock of `order.received_ns`."""
    step = (sequence - order.sequence) % U32
    waited_ns = now_ns - order.received_ns
    if step == 0:
        return Verdict(False, 0, order, is_repeated=True)
    if step <= _longest_jump(waited_ns):
        return _next(order, sequence, now_ns)
    is_next = order.ignored > 0 and 0 < (sequence - order.ignored_sequence) % U32 <= MAX_LOST_PER_S
    ignored = order.ignored + 1 if is_next else 1
    if waited_ns > RESYNC_NS or ignored >= RESYNC_PACKETS:
        return Verdict(True, 0, StreamOrder(sequence, now_ns))
    return _behind(replace(order, ignored=ignored, ignored_sequence=sequence), sequence)


def judge_authentic(order: StreamOrder, sequence: int, now_ns: int) -> Verdict:
    """The same for a stream whose packets are authentic: whatever is ahead is next, and what is behind never is, as it may be replayed."""
    if 0 < (sequence - order.sequence) % U32 < U32 // 2:
        return _next(order, sequence, now_ns)
    return _behind(order, sequence)


def _next(order: StreamOrder, sequence: int, now_ns: int) -> Verdict:
    step = (sequence - order.sequence) % U32
    seen = (order.seen << step | 1) & ALL_SEEN if step < WINDOW else 1
    return Verdict(True, step - 1, StreamOrder(sequence, now_ns, seen=seen))


def _behind(order: StreamOrder, sequence: int) -> Verdict:
    """One that was overtaken, or a repetition, or a stray."""
    bit = 1 << back if (back := (order.sequence - sequence) % U32) < WINDOW else 0
    if order.seen & bit:
        return Verdict(False, 0, order, is_repeated=True)
    return Verdict(False, -(bit > 0), replace(order, seen=order.seen | bit))


def _longest_jump(waited_ns: int) -> int:
    return MAX_LOST_PER_S + MAX_LOST_PER_S * waited_ns // 10**9
