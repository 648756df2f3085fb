"""Writes snapshots of the ring to disk: whole or absent, and within a budget for which the oldest ones go."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

from handmap.files.atomic import sweep
from handmap.files.folders import folder_bytes, remove_folder
from handmap.recording.flight_records import About, ConfigText, LogLine
from handmap.types.errors import RecordingError

from .ring import KeptFrame

PAUSE_S: Final = 0.004  # after each frame: a snapshot is in no hurry, and the main loop is
NAME: Final = re.compile(r"flight-\d{8}T\d{6}\.\d{3}Z-[a-z]+(-\d+)?")


@dataclass(frozen=True)
class Contents:
    """What a snapshot holds."""

    about: About
    frames: Sequence[KeptFrame]
    configs: Sequence[ConfigText]
    lines: Sequence[LogLine]

    @property
    def span_s(self) -> float:
        """From its oldest frame to its newest."""
        return (self.frames[-1].capture_ns - self.frames[0].capture_ns) / 1e9 if self.frames else 0.0


def write_snapshot(folder: Path, budget_bytes: int, contents: Contents) -> Path:
    """Writes a snapshot into the folder under a new name, and returns its path.

    Raises RecordingError or FileError if it cannot be written, or is larger than the budget alone.
    """
    from handmap.recording.flight_file import FlightWriter  # takes time to import, which the start of a daemon has not

    if not contents.frames:
        raise RecordingError("snapshot: no frame has been worked on yet; ask again once the camera delivers")
    path = _free_name(folder, contents.about)
    offset_ns = time.time_ns() - time.monotonic_ns()
    with FlightWriter(path, contents.frames[0].unpacked(True).frame, offset_ns) as writer:
        writer.write_about(contents.about)
        for config in contents.configs:
            writer.write_config(config)
        for line in contents.lines:
            writer.write_log(line)
        for number, kept in enumerate(contents.frames):
            writer.write_flight(kept.unpacked(number == 0))
            time.sleep(PAUSE_S)
    keep_budget(folder, budget_bytes, path)
    return path


def keep_budget(folder: Path, budget_bytes: int, newest: Path) -> None:
    """Removes the oldest snapshots until all fit into the budget. Raises RecordingError if the newest alone does not; that goes too."""
    try:
        found = [path for path in folder.iterdir() if NAME.fullmatch(path.name) and path != newest]
        oldest_first = sorted(found, key=lambda path: (path.lstat().st_mtime_ns, path.name))
        sizes = {path: folder_bytes(path) for path in (*oldest_first, newest)}
        left = sum(sizes.values())
        for path in oldest_first:
            if left <= budget_bytes:
                return
            remove_folder(path)
            left -= sizes[path]
        if left > budget_bytes:
            remove_folder(newest)
    except OSError as error:
        raise RecordingError(
            f"snapshots in {str(folder)!r}: the oldest cannot be removed ({error.strerror}); remove some, or make the folder writable"
        ) from error
    if left > budget_bytes:
        raise RecordingError(
            f"snapshot {str(newest)!r}: it has {left} bytes, and flight_recorder.budget_mb allows {budget_bytes}; raise that, or lower "
            "flight_recorder.seconds"
        )


def sweep_snapshots(folder: Path) -> None:
    """Removes what a killed daemon left half-written."""
    sweep(folder)


def _free_name(folder: Path, about: About) -> Path:
    now = datetime.now(timezone.utc)
    name = f"flight-{now:%Y%m%dT%H%M%S}.{now.microsecond // 1000:03d}Z-{about.trigger}"
    names = (name, *(f"{name}-{number}" for number in range(2, 100)))
    return next((folder / one for one in names if not (folder / one).exists()), folder / name)
