"""What a bag's file is, whatever its format: topics, and the messages of some of them as bytes.

Definitions of message types are never parsed: what is read is of standard types, so a topic that nobody can parse harms
nothing. mcap_file.py, sqlite_file.py and ros1_file.py read the formats; bag_files.py opens them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

STEP_BACK_NS: Final = 10**9  # messages written out of order are closer together; beyond it the clock was set back


@dataclass(frozen=True)
class Topic:
    """A topic of a bag: type as `package/msg/Name`, encoding of its messages (`cdr`, `ros1`, ...), number of messages."""

    name: str
    msgtype: str
    encoding: str
    count: int


class Message(NamedTuple):
    """One message, not decoded, and when it was recorded."""

    topic: str
    msgtype: str
    encoding: str
    log_ns: int
    data: bytes


class BagFile(Protocol):
    """An open file of a bag."""

    @property
    def topics(self) -> tuple[Topic, ...]: ...
    def messages(self, topics: frozenset[str]) -> Iterator[Message]:
        """The messages of these topics in the order they were recorded in."""
        ...

    def close(self) -> None: ...


def full_type(name: str) -> str:
    """`package/msg/Name` for a type that ROS 1 calls `package/Name`."""
    parts = name.split("/")
    return f"{parts[0]}/msg/{parts[1]}" if len(parts) == 2 else name


def recorded_order(log_ns: Sequence[int]) -> list[int]:
    """Positions in the order of recording, given log times in the order of writing.

    Recorders that compress in parallel write neighbors out of order, which the log times put right; a larger step back is
    the clock being set, which must not swap the parts before and after it.
    """
    order: list[int] = []
    part: list[int] = []
    newest_ns = None
    for place, now_ns in enumerate(log_ns):
        if newest_ns is not None and now_ns < newest_ns - STEP_BACK_NS:
            order += sorted(part, key=log_ns.__getitem__)
            part, newest_ns = [], None
        part.append(place)
        newest_ns = now_ns if newest_ns is None else max(newest_ns, now_ns)
    return order + sorted(part, key=log_ns.__getitem__)
