"""Replays a snapshot of the flight recorder: the frames that the tracker saw, with their numbers, from the state it was in."""

import time
from collections import deque
from collections.abc import Generator
from dataclasses import replace

from handmap.recording.bag import Bag
from handmap.recording.flight_file import FlightFile, is_flight
from handmap.recording.flight_records import About
from handmap.recording.reader import Recording
from handmap.tracking.state_codec import decode_state, shift_state
from handmap.tracking.tracker import TrackerState
from handmap.types.values import DepthFrame, TimestampSource

NUMBERS_OF_A_ROUND = 900  # numbers go on by multiples of it, as the tracker does some things on every so manyth frame


def open_flight(recording: Recording) -> FlightFile | None:
    """The snapshot, if the recording is one.

    Raises RecordingError if it is damaged, or its states are of another version.
    """
    if not isinstance(recording, Bag) or not is_flight(recording):
        return None
    flight = FlightFile(recording)
    for state in flight.states():
        decode_state(state)
    return flight


class FlightReplay:
    """The frames of a snapshot with times from now on, and the tracker's states that some of them begin with."""

    def __init__(self, flight: FlightFile) -> None:
        self._flight = flight
        self._states: deque[tuple[int, TrackerState]] = deque()  # by when the frame was captured

    @property
    def about(self) -> About:
        """What the snapshot says of itself."""
        return self._flight.about

    def frames(self, is_looped: bool, period_ns: int) -> Generator[DepthFrame, None, None]:
        """The frames; each round begins in the recorded state again. Captured as far apart as they were."""
        start_ns, first_number = time.monotonic_ns(), 0
        while True:
            by_ns: int | None = None
            newest_ns, numbers = start_ns, 0
            for seen in self._flight:
                frame = seen.frame
                by_ns = start_ns - frame.capture_ns if by_ns is None else by_ns
                newest_ns, numbers = frame.capture_ns + by_ns, max(numbers, frame.frame_number + 1)
                if seen.state:
                    self._states.append((newest_ns, shift_state(decode_state(seen.state), by_ns)))
                yield replace(
                    frame, frame_number=frame.frame_number + first_number, capture_ns=newest_ns,
                    timestamp_source=TimestampSource.RECORDING,
                )  # fmt: skip
            if not is_looped:
                return
            start_ns = newest_ns + period_ns
            first_number += -(-numbers // NUMBERS_OF_A_ROUND) * NUMBERS_OF_A_ROUND

    def state_before(self, frame: DepthFrame) -> TrackerState | None:
        """The newest state that this frame or one before it began with, once; None if there is none since the last call."""
        newest = None
        while self._states and self._states[0][0] <= frame.capture_ns:
            newest = self._states.popleft()[1]
        return newest
