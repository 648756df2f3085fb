"""Plays what `handmap listen --record` or the page has recorded: forward, from any place, and standing still."""

import time
from bisect import bisect_left, bisect_right
from dataclasses import replace
from pathlib import Path
from typing import Final

from handmap.client.session import Received, Session, StreamCounts
from handmap.protocol.preview import Picture, decode_preview
from handmap.types.errors import PacketError, RecordingError

from ..packet_file import WANTED, RecordedMessage, read_messages

MAX_BYTES: Final = 1 << 30
SHORTEST_S: Final = 0.01  # of a recording with a time bar
LOOK_BACK_S: Final = 2.0  # of what came before a place, some can still be seen there: the rate, an older picture


class Playback:
    """A receiver of a recording, with a place in it that can be changed. It never ends: at the end it stands still.

    Raises RecordingError if the file has no packets, or is too long to hold in memory.
    """

    port = 0
    problem = ""
    has_ended = False

    def __init__(self, path: Path) -> None:
        self._messages = _read(path)
        self._times_ns = [one.log_ns for one in self._messages]
        self._next = self._goal = 0
        self._session = Session()
        self._picture: Picture | None = None
        self.is_playing = True
        self._place_ns = self._times_ns[0]  # where it stands, or stood at _since_ns
        self._since_ns = time.monotonic_ns()

    @property
    def counts(self) -> StreamCounts:
        """Totals since the place was last changed."""
        return self._session.counts

    @property
    def duration_s(self) -> float:
        """From the first message to the last."""
        return max((self._times_ns[-1] - self._times_ns[0]) / 1e9, SHORTEST_S)

    @property
    def place_s(self) -> float:
        """How far from the beginning it stands."""
        return min((self.now_ns - self._times_ns[0]) / 1e9, self.duration_s)

    @property
    def now_ns(self) -> int:
        """The time in the recording, ns since the epoch, as of what `wait` gives; it stands still with it."""
        return self._place_ns + (time.monotonic_ns() - self._since_ns if self.is_playing else 0)

    @property
    def is_catching_up(self) -> bool:
        """Whether what `wait` gives is from before the place that was gone to, so it is not yet time to draw."""
        return self._next < self._goal

    def play(self, is_playing: bool) -> None:
        """Goes on or stands still; at the end it begins again."""
        if is_playing and self._next >= len(self._messages):
            self.seek(0.0)
        self._place_ns, self._since_ns, self.is_playing = self.now_ns, time.monotonic_ns(), is_playing

    def seek(self, place_s: float) -> None:
        """Goes to a place: what `wait` gives next is what came there, after what came in LOOK_BACK_S before."""
        self._place_ns, self._since_ns = self._times_ns[0] + round(place_s * 1e9), time.monotonic_ns()
        self._next = bisect_left(self._times_ns, self._place_ns - round(LOOK_BACK_S * 1e9))
        self._goal = bisect_right(self._times_ns, self._place_ns)
        self._session, self._picture = Session(), None

    def wait(self, timeout_s: float) -> Received | None:
        """The next packet once its time has come, or None on timeout and at the end."""
        end_ns = time.monotonic_ns() + round(timeout_s * 1e9)
        while self._next < len(self._messages):
            message = self._messages[self._next]
            left_ns = min(message.log_ns - self.now_ns, end_ns - time.monotonic_ns()) if self.is_playing else 0
            time.sleep(max(left_ns, 0) / 1e9)
            if message.log_ns > self.now_ns:
                break
            self._next += 1
            received = self._take(message)
            if received is not None:
                return received
        else:
            self.is_playing = False
            self._place_ns = self._times_ns[-1]
        time.sleep(max(end_ns - time.monotonic_ns(), 0) / 1e9)
        return None

    def take(self) -> Picture | None:
        """The newest depth picture, if there has been one since the last call."""
        picture, self._picture = self._picture, None
        return picture

    def close(self) -> None:
        """Frees nothing; for the sake of the receivers that hold a socket."""

    def _take(self, message: RecordedMessage) -> Received | None:
        if message.host is None:
            try:
                picture = decode_preview(message.data)
            except PacketError:
                return None
            self._picture = picture if isinstance(picture, Picture) else self._picture
            return None
        received = self._session.handle(message.data, (message.host, 0), message.log_ns)
        if received is None:
            return None
        # The clock of its sender is another one: as if each packet had left when it arrives.
        return replace(received, clock_offset_ns=received.packet.publish_ns - message.log_ns)


def _read(path: Path) -> list[RecordedMessage]:
    messages, size = [], 0
    for message in read_messages(path):
        messages.append(message)
        size += len(message.data)
        if size > MAX_BYTES:
            raise RecordingError(
                f"recording {str(path)!r} has more than {MAX_BYTES >> 30} GiB, too much for the page; play it with "
                "`handmap listen --replay`"
            )
    if not any(message.host is not None for message in messages):
        raise RecordingError(f"recording {str(path)!r} has no packets; {WANTED}")
    return sorted(messages, key=lambda one: one.log_ns)
