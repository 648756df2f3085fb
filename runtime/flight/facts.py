"""What `handmap status` and the metrics say of the flight recorder."""

import msgspec


class SnapshotOutcome(msgspec.Struct, frozen=True):
    """What became of the snapshot with this number: its path, frames and seconds, or the problem that kept it from being written."""

    number: int
    path: str = ""
    frames: int = 0
    seconds: float = 0.0
    problem: str = ""


class FlightFacts(msgspec.Struct, frozen=True):
    """The ring now, and totals since the start; skipped frames came faster than they could be compressed.

    newest is the last snapshot written, problem why the last one could not be; either is empty if there is none.
    """

    frames: int
    seconds: float
    bytes: int
    skipped: int
    asked: int
    written: int
    failed: int
    folder: str
    newest: str
    problem: str
    outcomes: tuple[SnapshotOutcome, ...] = ()  # of the newest snapshots, in the order in which they were done
