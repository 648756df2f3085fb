"""What `handmap status` and the metrics say of the flight recorder."""

import msgspec


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
