"""The ring: the newest frames, compressed, with what the daemon made of each, within a bound of time and one of memory.

Its first frame always has the tracker's state.
"""

from collections import deque
from dataclasses import dataclass

from handmap.recording.depth_codec import pack_depth, unpack_depth
from handmap.recording.flight_records import FlightFrame
from handmap.tracking.state_codec import encode_state
from handmap.tracking.tracker import TrackerState
from handmap.types.intrinsics import Intrinsics
from handmap.types.values import DepthFrame, TimestampSource

STATE_FRAMES = 8  # so often the state is kept: after many lost hands it takes more than the depth
OVERHEAD_BYTES = 1024  # of a frame's objects, beside its bytes


@dataclass(frozen=True)
class Seen:
    """A frame that the main loop worked on, with the tracker's states before and after; the same one if the work failed."""

    frame: DepthFrame
    before: TrackerState
    after: TrackerState
    packets: tuple[bytes, ...]
    publish_ns: int


@dataclass(frozen=True)
class KeptFrame:
    """The same, compressed. is_continued says that the state before it is what the frame kept before it left; most such have none."""

    depth: bytes
    depth_unit_mm: float
    intrinsics: Intrinsics
    frame_number: int
    capture_ns: int
    timestamp_source: TimestampSource
    state: bytes
    is_continued: bool
    packets: tuple[bytes, ...]
    publish_ns: int

    @property
    def bytes(self) -> int:
        """The memory that it takes, nearly."""
        return len(self.depth) + len(self.state) + sum(map(len, self.packets)) + OVERHEAD_BYTES

    def unpacked(self, is_first: bool) -> FlightFrame:
        """As it is written; the first one has the tracker's state in any case."""
        depth = unpack_depth(self.depth, (self.intrinsics.height_px, self.intrinsics.width_px))
        frame = DepthFrame(
            depth, self.depth_unit_mm, self.intrinsics, self.frame_number, self.capture_ns, self.timestamp_source
        )
        return FlightFrame(
            frame, b"" if self.is_continued and not is_first else self.state, self.packets, self.publish_ns
        )


class Ring:
    """Belongs to the recorder's thread; `frames` and the sums can be read by any."""

    def __init__(self, seconds: float, max_bytes: int) -> None:
        self.seconds = seconds
        self.max_bytes = max_bytes
        self.bytes = 0
        self._kept: deque[KeptFrame] = deque()
        self._left: TrackerState | None = None  # by the frame kept last
        self._since_state = 0  # frames

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def span_s(self) -> float:
        """From the oldest frame to the newest."""
        try:
            return (self._kept[-1].capture_ns - self._kept[0].capture_ns) / 1e9
        except IndexError:  # emptied by its own thread meanwhile
            return 0.0

    def frames(self) -> tuple[KeptFrame, ...]:
        """All, the oldest first."""
        return tuple(self._kept.copy())

    def keep(self, seen: Seen) -> None:
        """Compresses a frame and adds it; the oldest ones make room. A camera of another resolution or unit begins anew."""
        frame = seen.frame
        if self._kept and not _is_alike(self._kept[-1], frame):
            self.clear()
        is_continued = seen.before is self._left
        self._since_state = self._since_state + 1 if is_continued else 0
        has_state = self._since_state % STATE_FRAMES == 0
        kept = KeptFrame(
            pack_depth(frame.depth), frame.depth_unit_mm, frame.intrinsics, frame.frame_number, frame.capture_ns,
            frame.timestamp_source, encode_state(seen.before) if has_state else b"", is_continued, seen.packets, seen.publish_ns,
        )  # fmt: skip
        # Replayed, a frame that failed here works out, so the next one cannot begin with what that leaves.
        self._left = None if seen.after is seen.before else seen.after
        self._kept.append(kept)
        self.bytes += kept.bytes
        self._make_room()

    def resize(self, seconds: float, max_bytes: int) -> None:
        """Other bounds from now on."""
        self.seconds, self.max_bytes = seconds, max_bytes
        self._make_room()

    def clear(self) -> None:
        """Forgets everything."""
        self._kept.clear()
        self.bytes = 0
        self._left = None

    def _make_room(self) -> None:
        while self._kept and (self.bytes > self.max_bytes or self._is_old(self._kept[0])):
            self._drop_oldest()
        while self._kept and not self._kept[0].state:
            self._drop_oldest()
        if not self._kept:
            self._left = None  # the next one needs a state

    def _drop_oldest(self) -> None:
        self.bytes -= self._kept.popleft().bytes

    def _is_old(self, kept: KeptFrame) -> bool:
        """Whether it is beyond the ring's reach; so is one of a clock that has been ahead."""
        age_s = (self._kept[-1].capture_ns - kept.capture_ns) / 1e9
        return not -self.seconds <= age_s <= self.seconds


def _is_alike(kept: KeptFrame, frame: DepthFrame) -> bool:
    size = kept.intrinsics.height_px, kept.intrinsics.width_px
    return size == frame.depth.shape and kept.depth_unit_mm == frame.depth_unit_mm
