"""Labels a recording by the tracker and keeps what can be trusted: the labeled recording, a contact sheet and a summary, in one folder."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np

from handmap.bundle.manifest import Bundle, read_bundle
from handmap.engines.factory import EngineConfig, open_engines
from handmap.files.atomic import new_folder, write_file
from handmap.geometry.visibility import joints_in_sight
from handmap.recording.datasets import LabeledFrame
from handmap.recording.reader import Recording, open_recording
from handmap.recording.stated import RecordingAt
from handmap.recording.writer import RecordingWriter
from handmap.system.progress import track_progress
from handmap.tracking.smooth import UNSMOOTHED
from handmap.tracking.tracker_settings import TrackingConfig, tracker_settings
from handmap.types.arrays import Float64
from handmap.types.errors import DatasetError, ModelError
from handmap.types.joints import HAND21
from handmap.types.values import Handedness

from .agreement import agree_with_depth
from .fit_track import FittedTrack, fit_track
from .fuse import FusedTrack, fuse_looks, smooth_over_time
from .passes import look_through
from .sheet import JudgedFrame, draw_sheet

RECORDING, SHEET, SUMMARY = "recording", "sheet.png", "summary.json"
SHOWN: Final = 12  # frames that are kept, and as many that are dropped, on the sheet
NO_HAND, DOUBTED, DISAGREES = "no hand", "expected error", "silhouette"
BECAUSE: Final = {
    NO_HAND: "without a hand",
    DOUBTED: "because of their expected error",
    DISAGREES: "because of their silhouette",
}


@dataclass(frozen=True)
class LabelLimits:
    """What a frame needs to be kept: the probability that it shows a hand, the root mean square over its joints of their labels'
    standard deviations in mm, and the share of depth that agrees with the labeled hand."""

    min_confidence: float = 0.5
    max_error_mm: float = 10.0
    min_agreement: float = 0.8


@dataclass(frozen=True)
class LabelRequest:
    """What to label, with what, and which hand it shows."""

    recording: RecordingAt
    bundle: Path
    handedness: Literal["right", "left"] = "right"
    limits: LabelLimits = LabelLimits()
    threads: int = 1


@dataclass(frozen=True)
class LabeledTrack:
    """T frames of a recording: their fitted hands, the probability (T,) that each shows one, and what found them."""

    fitted: FittedTrack
    confidence: Float64
    bundle_sha256: str


@dataclass(frozen=True)
class LabelSummary:
    """What became of a recording's frames: kept, and dropped by reason; the kept labels' standard deviations, mm."""

    frames: int
    kept: int
    dropped: dict[str, int]
    median_doubt_mm: float
    p90_doubt_mm: float

    def __str__(self) -> str:
        reasons = _counted({reason: count for reason, count in self.dropped.items() if count}) or "none"
        return (
            f"labeled {self.kept} of {self.frames} frames, labels in doubt by {self.median_doubt_mm:.1f} mm (median) and "
            f"{self.p90_doubt_mm:.1f} mm (p90); dropped: {reasons}"
        )


def _counted(dropped: Mapping[str, int]) -> str:
    """How many frames were dropped, with the reasons in words."""
    return ", ".join(f"{count} {BECAUSE[reason]}" for reason, count in dropped.items())


def label_recording(request: LabelRequest, out: Path) -> LabelSummary:
    """Writes the folder `out`: recording/, sheet.png and summary.json, all or nothing.

    Raises DatasetError if no frame is good enough, ModelError if the bundle's joints are not hand21.
    """
    bundle = read_bundle(request.bundle)
    if bundle.hand.joint_names != HAND21:
        raise ModelError(
            f"labeling with bundle {str(bundle.path)!r}: found joints that are not hand21; export it with joint_names"
        )
    recording = open_recording(request.recording)
    with new_folder(out, own_label_files) as folder:
        return write_labels(recording, track_recording(recording, bundle, request), request, folder)


def own_label_files(folder: Path) -> set[str]:
    """The files of a folder of labels, which new ones may replace."""
    return {RECORDING, SHEET, SUMMARY} if (folder / SUMMARY).is_file() else set()


def track_recording(recording: Recording, bundle: Bundle, request: LabelRequest) -> LabeledTrack:
    """Looks through a recording and fits a hand to what all passes saw of it, over time."""
    tracking = TrackingConfig(handedness=request.handedness, max_hands=1, assume_hand_present=True)
    settings = tracker_settings(bundle, tracking, UNSMOOTHED)
    fused: list[FusedTrack] = []
    confidence, times_ns = [], []
    with (
        open_engines(bundle, EngineConfig(threads=request.threads)) as engines,
        track_progress("track", len(recording), "frames") as advance,
    ):
        for frame, looks in look_through(iter(recording), engines, settings):
            fused.append(fuse_looks(looks))
            confidence.append(looks.confidence)
            times_ns.append(frame.capture_ns)
            advance(len(fused), "")
    xyz_mm, sigma_mm = (np.array(values) for values in zip(*fused, strict=True))
    times_s = (np.array(times_ns) - times_ns[0]) / 1e9
    smoothed = smooth_over_time(FusedTrack(xyz_mm, sigma_mm), times_s)
    fitted = fit_track(smoothed, times_s, request.handedness == "left")
    return LabeledTrack(fitted, np.array(confidence), bundle.hand.precisions["fp32"].sha256)


def judge_frames(recording: Recording, track: LabeledTrack, request: LabelRequest) -> Iterator[JudgedFrame]:
    """Each frame with its labels, and why it is dropped, if it is."""
    limits = request.limits
    side = Handedness.LEFT if request.handedness == "left" else Handedness.RIGHT
    for frame, xyz_mm, doubt_mm, confidence in zip(
        recording, track.fitted.xyz_mm, track.fitted.sigma_mm, track.confidence, strict=True
    ):
        joints_mm = xyz_mm.astype(np.float32)
        labeled = LabeledFrame(frame, joints_mm, joints_in_sight(joints_mm, frame), side, doubt_mm.astype(np.float32))
        error_mm = float(np.sqrt(np.square(doubt_mm).mean()))
        if not labeled.is_labeled.all() or confidence < limits.min_confidence:
            yield JudgedFrame(labeled, NO_HAND, f"p = {confidence:.2f}")
        elif error_mm > limits.max_error_mm:
            yield JudgedFrame(labeled, DOUBTED, f"{error_mm:.1f} mm")
        elif not (share := agree_with_depth(frame, xyz_mm).share) >= limits.min_agreement:  # NaN does not agree
            yield JudgedFrame(labeled, DISAGREES, f"{share:.2f}")
        else:
            yield JudgedFrame(labeled, "", f"{error_mm:.1f} mm")


def write_labels(recording: Recording, track: LabeledTrack, request: LabelRequest, folder: Path) -> LabelSummary:
    """Writes recording/, sheet.png and summary.json into an existing folder.

    Raises DatasetError if no frame is good enough.
    """
    summary, tiles = _write_kept(recording, track, request, folder)
    draw_sheet(folder / SHEET, tiles)
    facts = {
        "recording": str(request.recording), "handedness": request.handedness, "limits": vars(request.limits), **vars(summary),
        "bundle_sha256": track.bundle_sha256,
    }  # fmt: skip
    write_file(folder / SUMMARY, (json.dumps(facts, indent=2) + "\n").encode())
    return summary


def _write_kept(
    recording: Recording, track: LabeledTrack, request: LabelRequest, folder: Path
) -> tuple[LabelSummary, list[JudgedFrame]]:
    reasons: Counter[str] = Counter({NO_HAND: 0, DOUBTED: 0, DISAGREES: 0})
    doubts: list[Float64] = []
    tiles: dict[bool, list[JudgedFrame]] = {True: [], False: []}
    total = len(recording)
    with (
        RecordingWriter(folder / RECORDING, recording.intrinsics, recording.depth_unit_mm) as writer,
        track_progress("choose", total, "frames") as advance,
    ):
        for number, judged in enumerate(judge_frames(recording, track, request)):
            is_kept = not judged.reason
            if is_kept:
                writer.write_labeled(judged.labeled)
                doubts.append(np.asarray(judged.labeled.doubt_mm, np.float64))
            else:
                reasons[judged.reason] += 1
            if len(tiles[is_kept]) < SHOWN and number >= len(tiles[is_kept]) * total / SHOWN:
                tiles[is_kept].append(judged)
            advance(number + 1, f"{len(doubts)} kept")
        if not doubts:
            raise DatasetError(
                f"labeling {str(request.recording)!r}: found no frame that can be trusted, of {total} ({_counted(reasons)}); record the hand "
                "alone and nearer, name its side by --handedness, or allow more with --max-error-mm and --min-agreement"
            )
    each = np.array(doubts)
    median_mm, p90_mm = (round(float(value), 2) for value in np.percentile(each, [50, 90]))
    return LabelSummary(total, len(doubts), dict(reasons), median_mm, p90_mm), tiles[True] + tiles[False]
