"""What a snapshot of the flight recorder is made of; flight_file.py writes and reads it, with libraries that a running daemon can do without."""

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from handmap.types.values import DepthFrame

FORMAT: Final = 1


class About(msgspec.Struct, frozen=True):
    """What a snapshot says of itself: why it was written and by what, and what its packets depend on beyond its frames.

    tracker has the configuration's sections that decide about joints, times are CLOCK_MONOTONIC ns.
    """

    format: int
    version: str
    trigger: str
    reason: str
    time_ns: int
    frames: int
    skipped: int
    bundle: str
    precision: str
    tracker: dict[str, Any]


@dataclass(frozen=True)
class FlightFrame:
    """A frame that the tracker has seen, and the tracker's encoded state before it; none if that is what the frame before left.

    packets are the datagrams published for it, at publish_ns, CLOCK_MONOTONIC.
    """

    frame: DepthFrame
    state: bytes
    packets: tuple[bytes, ...]
    publish_ns: int


class LogLine(msgspec.Struct, frozen=True):
    """A line of the daemon's log; level as Python numbers them."""

    time_ns: int
    level: int
    name: str
    text: str


class ConfigText(msgspec.Struct, frozen=True):
    """The configuration from this time on, as JSON without secrets."""

    time_ns: int
    text: str
