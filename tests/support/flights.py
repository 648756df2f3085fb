"""Rings and snapshots of drawn frames, for the flight recorder's tests and the processes that they kill."""

import itertools
import sys
import time
from dataclasses import replace
from pathlib import Path

from handmap.recording.flight_records import FORMAT, About
from handmap.tracking.tracker import TrackerState
from runtime.flight.ring import Ring, Seen
from runtime.flight.snapshots import Contents, write_snapshot
from tests.support.tiny_bundle import blob_frame

FRAME_NS = 33_333_333


def seen(number: int, before: TrackerState, after: TrackerState) -> Seen:
    """Frame `number` of a camera with 30 frames per second."""
    frame = replace(blob_frame(number % 30), frame_number=number, capture_ns=10**12 + number * FRAME_NS)
    return Seen(frame, before, after, (b"packet %d" % number,), frame.capture_ns + 5)


def filled_ring(frames: int, seconds: float = 10.0, max_bytes: int = 64 << 20, ring: Ring | None = None) -> Ring:
    """A ring that so many frames, one after another, went into."""
    ring = Ring(seconds, max_bytes) if ring is None else ring
    state = TrackerState()
    for number in range(frames):
        after = TrackerState()
        ring.keep(seen(number, state, after))
        state = after
    return ring


def contents_of(ring: Ring, trigger: str = "asked", bundle: str = "") -> Contents:
    """What a snapshot of it holds."""
    about = About(FORMAT, "0", trigger, "", 0, len(ring), 0, bundle, "fp32", {})
    return Contents(about, ring.frames(), (), ())


if __name__ == "__main__":  # writes snapshots until it is killed
    whole = filled_ring(20)
    for _ in itertools.count():
        write_snapshot(Path(sys.argv[1]), 1 << 30, contents_of(whole))
        sys.stdout.write("written\n")
        sys.stdout.flush()
        time.sleep(0.001)
