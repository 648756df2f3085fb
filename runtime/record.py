"""`handmap record`: writes the frames of the configured camera."""

import time
from pathlib import Path

from handmap.recording.cameras import Camera, Pace
from handmap.recording.clock import DEFAULT_PERIOD_NS, is_step
from handmap.recording.writer import RecordingWriter
from handmap.types.errors import CameraLost
from handmap.types.values import DepthFrame

from .retry import StopFlag

WAIT_S = 0.2
STALLED_S = 10.0  # a camera that is open and gives no frame for so long gives none any more


def record_frames(camera: Camera, pace: Pace, out: Path, seconds: float | None, stop: StopFlag) -> int:
    """Writes frames for `seconds` of camera time, or until the stream ends or stop is set; returns how many.

    What was written stays, whatever ends it. Raises RecordingError if it cannot be written, CameraLost if frames stop coming.
    """
    # ROS stamps count from the epoch; the clocks' difference is taken once, so that setting the clock does not distort them.
    epoch_offset_ns = time.time_ns() - time.monotonic_ns()
    first = _next_frame(camera, pace, stop)
    if first is None:
        return 0
    count, elapsed_ns, before_ns = 0, 0, first.capture_ns
    with RecordingWriter(out, first.intrinsics, first.depth_unit_mm, epoch_offset_ns, in_place=True) as writer:
        frame: DepthFrame | None = first
        while frame is not None:
            gap_ns, before_ns = frame.capture_ns - before_ns, frame.capture_ns
            elapsed_ns += 0 if is_step(gap_ns, DEFAULT_PERIOD_NS) else gap_ns
            if seconds is not None and elapsed_ns >= seconds * 1e9:
                break
            writer.write(frame)
            count += 1
            pace.published()
            frame = _next_frame(camera, pace, stop)
    return count


def _next_frame(camera: Camera, pace: Pace, stop: StopFlag) -> DepthFrame | None:
    since_s = time.monotonic()
    while not stop.is_set:
        if time.monotonic() - since_s > STALLED_S:
            raise CameraLost(
                f"record: {camera.name} gave no frame for {STALLED_S:g} s; what came before is kept; plug the camera in again and "
                "record to another name"
            )
        frame = camera.wait_frame(WAIT_S)
        if frame is not None:
            pace.taken()
            return frame
        if camera.has_ended:
            return None
    return None
