"""Retired names: using one is refused with the new name. Files on disk have format numbers instead."""

from typing import Final

# Keys of the daemon's configuration.
RENAMED_KEYS: Final = {
    "tracking.hand": "tracking.handedness",
    "tracking.near_mm": "tracking.min_depth_mm",
    "tracking.far_mm": "tracking.max_depth_mm",
    "tracking.proposals": "tracking.max_proposals",
    "tracking.expects_hand": "tracking.assume_hand_present",
    "smoothing.most_extrapolation_ms": "smoothing.max_extrapolation_ms",
    "thermal.every_s": "thermal.poll_interval_s",
    "log.stats_s": "log.stats_interval_s",
    "camera.faults.at_s": "camera.faults.start_s",
    "camera.faults.for_s": "camera.faults.duration_s",
    "camera.faults.every_s": "camera.faults.period_s",
}
# Command-line words.
RENAMED_VERBS: Final = {"train-side": "train-handedness", "calibrate quantise": "calibrate quantize"}
# By the verb that had them: another may have an option of that name.
RENAMED_OPTIONS: Final = {"calibrate": {"--most-mm": "--max-mm", "--hand": "--handedness"}}
