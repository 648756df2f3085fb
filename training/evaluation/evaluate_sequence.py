"""Evaluates tracking on sequences with the daemon's own steps, and the original HandMap's locator on the same frames."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias, cast

import numpy as np

from handmap.bundle.manifest import read_bundle
from handmap.engines.engine import Engines
from handmap.engines.factory import EngineConfig, PrecisionName, open_engines
from handmap.metrics.matching import GroundTruthHand, TrackedFrame
from handmap.metrics.tracking_metrics import TrackCounts, score_tracks, sum_counts, track_summary
from handmap.system.progress import Advance, track_progress
from handmap.system.timing import StageClock
from handmap.tracking.fitted_hands import SkeletonConfig
from handmap.tracking.track import cube_center
from handmap.tracking.tracker import TrackerState, track_hands
from handmap.tracking.tracker_settings import HAND_CHOICES, TrackerSettings, TrackingConfig, tracker_settings
from handmap.types.errors import ConfigError
from handmap.types.values import Handedness

from ..datasets.two_hands import SCENES, SceneKind, render_sequence
from .baseline import NO_BASELINE_TRACK, BaselineTrack, baseline_pose, follow_baseline

Figures: TypeAlias = Mapping[str, object]

SEQUENCES = ("two-hands",)
MAX_HANDS, BASELINE_HANDS = 2, 1
LOWER_BOUNDS = {"detection_rate": 0.98, "handedness_accuracy": 0.98, "ids_kept": 0.95}
UPPER_BOUNDS = {"false_hands": 0.01}
COLUMNS = {  # of the printed table: key, heading and format
    "detection_rate": ("found %", 100), "found_of_all": ("of all %", 100),
    "found_of_well_seen": ("well seen %", 100), "false_hands": ("false %", 100),
    "false_hands_per_frame": ("false/frame", 1), "id_switches": ("switches", 1), "ids_kept": ("ids kept %", 100),
    "crossings": ("crossings", 1), "handedness_accuracy": ("side %", 100), "mean_mm": ("mean mm", 1),
    "raw_mean_mm": ("raw mm", 1), "median_mm": ("median mm", 1), "bone_variation": ("bones %", 100), "bone_variation_max": ("max bone %", 100),
    "frames_to_loss": ("to loss", 1), "frames_to_entry": ("to entry", 1),
}  # fmt: skip


def evaluate_sequence(
    bundle_path: Path, sequence: str, precision: str, threads: int, is_quick: bool, is_fitted: bool = True
) -> dict[str, object]:
    """Figures of `handmap.metrics.tracking_metrics.track_summary` over all scenes and for each, the same of the baseline, and the targets.

    The baseline tracks a single hand: any hand that it finds counts, ids are scored for the hand that it tracked, and its crop
    is mirrored as that hand requires. It always reports a left hand, as the original assumes.
    Raises ConfigError for an unknown sequence.
    """
    if sequence not in SEQUENCES:
        raise ConfigError(f"evaluate: found no sequence {sequence!r}; use one of {', '.join(SEQUENCES)}")
    bundle = read_bundle(bundle_path)
    config = EngineConfig(precision=cast(PrecisionName, precision), threads=threads)
    tracking = TrackingConfig(max_hands=MAX_HANDS)
    settings = tracker_settings(bundle, tracking, skeleton=SkeletonConfig(is_fitted))
    with open_engines(bundle, config, MAX_HANDS) as engines:
        ours, baseline = _run_scenes(engines, settings, is_quick)
    whole = track_summary(sum_counts(ours.values()))
    return {
        **whole,
        "hand": HAND_CHOICES[settings.handedness],
        "scenes": {name: track_summary(counts) for name, counts in ours.items()},
        "baseline": {
            **track_summary(sum_counts(baseline.values())),
            "scenes": {name: track_summary(counts) for name, counts in baseline.items()},
        },
        "targets": _targets(whole),
    }


def sequence_table(figures: Figures) -> str:
    """The metrics as text: a line per scene, ours and the baseline's, followed by the targets."""
    baseline = cast(Figures, figures["baseline"])
    ours_by_scene, theirs_by_scene = cast(Figures, figures["scenes"]), cast(Figures, baseline["scenes"])
    lines = [" ".join([f"{'':<22}", *(f"{heading:>11}" for heading, _ in COLUMNS.values())])]
    for name in ours_by_scene:
        lines.append(_line(name, cast(Figures, ours_by_scene[name])))
        lines.append(_line("  baseline", cast(Figures, theirs_by_scene[name])))
    lines += [_line("all scenes", figures), _line("  baseline", baseline), "", f"hand: {figures['hand']}"]
    for name, target in cast(Mapping[str, Figures], figures["targets"]).items():
        verdict = "met" if target["is_met"] else "not met"
        lines.append(f"{name}: {target['bound']} {target['wanted']}, {verdict}")
    return "\n".join(lines)


def _run_scenes(
    engines: Engines, settings: TrackerSettings, is_quick: bool
) -> tuple[dict[str, TrackCounts], dict[str, TrackCounts]]:
    """Counts per scene, ours and the baseline's."""
    ours, baseline = {}, {}
    total = sum(_size(kind, is_quick)[0] * _size(kind, is_quick)[1] for kind in SCENES)
    done = 0
    with track_progress("evaluate", total, "frames") as advance:
        for kind in SCENES:
            ours[kind.name], baseline[kind.name] = TrackCounts(), TrackCounts()
            sequences, frames = _size(kind, is_quick)
            for number in range(sequences):
                tell = _teller(advance, done, kind.name)
                both = _run_sequence(engines, settings, kind, number, frames, tell)
                ours[kind.name].add(both[0])
                baseline[kind.name].add(both[1])
                done += frames
    return ours, baseline


def _run_sequence(
    engines: Engines, settings: TrackerSettings, kind: SceneKind, number: int, frames: int, tell: Callable[[int], None]
) -> tuple[TrackCounts, TrackCounts]:
    clock = StageClock()
    state, track = TrackerState(), NO_BASELINE_TRACK
    ours: list[TrackedFrame] = []
    theirs: list[TrackedFrame] = []
    for shown in render_sequence(kind, number, frames):
        poses, state = track_hands(shown.frame, state, engines, settings, clock)
        ours.append(TrackedFrame(shown.truth, tuple(poses)))
        track = follow_baseline(shown.frame, track)
        is_left = _nearest_is_left(track, shown.truth)
        pose = baseline_pose(shown.frame, track, is_left, engines.hand, settings, settings.cube_mm, clock)
        theirs.append(TrackedFrame(shown.truth, () if pose is None else (pose,)))
        tell(len(ours))
    return score_tracks(ours, MAX_HANDS), score_tracks(theirs, BASELINE_HANDS)


def _nearest_is_left(track: BaselineTrack, truth: tuple[GroundTruthHand, ...]) -> bool:
    """Whether the true hand nearest to the baseline's crop is a left one; the baseline is told, so its errors are its locator's."""
    if track.center_mm is None or not truth:
        return True
    away = [float(np.linalg.norm(cube_center(hand.xyz_camera_mm) - track.center_mm)) for hand in truth]
    return truth[int(np.argmin(away))].handedness is Handedness.LEFT


def _size(kind: SceneKind, is_quick: bool) -> tuple[int, int]:
    """Sequences of a scene, and frames of each."""
    return (1, kind.quick_frames) if is_quick else (kind.sequences, kind.frames)


def _teller(advance: Advance, before: int, scene: str) -> Callable[[int], None]:
    return lambda done: advance(before + done, scene)


def _targets(figures: Figures) -> dict[str, dict[str, object]]:
    """The targets, and whether they are met; a rate without samples does not meet its target."""
    targets: dict[str, dict[str, object]] = {}
    for bound, limits in (("at least", LOWER_BOUNDS), ("at most", UPPER_BOUNDS)):
        for name, wanted in limits.items():
            value = cast("float | None", figures[name])
            is_met = value is not None and (value >= wanted if bound == "at least" else value <= wanted)
            targets[name] = {"bound": bound, "wanted": wanted, "is_met": is_met}
    return targets


def _line(name: str, figures: Figures) -> str:
    shown = [f"{name:<22}"]
    for key, (_, scale) in COLUMNS.items():
        value = cast("float | int | None", figures[key])
        text = "-" if value is None else str(value) if isinstance(value, int) else f"{value * scale:.2f}"
        shown.append(f"{text:>11}")
    return " ".join(shown)
