"""Writes a recording of a synthetic hand in smooth motion, with its true joints."""

import math
from pathlib import Path

from handmap.recording.writer import RecordingWriter
from handmap.system.progress import track_progress
from handmap.types.errors import ConfigError

from .motion import synthesize_frames


def write_recording(path: Path, seed: int, seconds: float, fps: float) -> int:
    """Writes `seconds` of motion at `fps`; the same seed gives the same bytes. Returns the number of frames.

    Raises RecordingError if the path is taken or the disk is full.
    """
    if not math.isfinite(seconds * fps):
        raise ConfigError(
            f"synthesize: found {seconds} seconds at {fps} fps, wanted two finite numbers; change --seconds or --fps"
        )
    count = max(round(seconds * fps), 1)
    frames = iter(synthesize_frames(seed, count, fps))
    first = next(frames)
    with RecordingWriter(path, first.frame.intrinsics, first.frame.depth_unit_mm) as writer:
        writer.write_labeled(first)
        with track_progress("synthesize", count, "frames") as advance:
            for done, labeled in enumerate(frames, start=2):
                writer.write_labeled(labeled)
                advance(done, "")
    return count
