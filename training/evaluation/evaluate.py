"""Evaluates a bundle on a labeled data set with the daemon's own steps."""

from pathlib import Path
from typing import Literal, cast

import msgspec
import numpy as np

from handmap.bundle.manifest import Bundle, read_bundle
from handmap.engines.engine import Engines
from handmap.engines.factory import EngineConfig, PrecisionName, open_engines
from handmap.metrics.kind_scores import kind_summary, score_frames
from handmap.metrics.pose_error import MISSED_MM, FrameErrors, measure_pose_errors, pose_error_summary
from handmap.recording.datasets import Dataset, KindDataset, NotedDataset, OneHanded, open_dataset
from handmap.system.progress import track_progress
from handmap.tracking.fitted_hands import SkeletonConfig
from handmap.tracking.tracker_settings import HAND_CHOICES, HandChoice, TrackingConfig, tracker_settings
from handmap.types.errors import DatasetError
from handmap.types.values import Handedness

from .error_report import ErrorReport, refuse_foreign_report, write_report

Defaults = Literal["found", "run"]
# How often each still frame is shown: with the daemon's defaults a hand can take a few frames to be accepted.
PRESENTATIONS: dict[Defaults, int] = {"found": 1, "run": 5}


class EvaluationConfig(msgspec.Struct, frozen=True):
    """Evaluation options; `sheet` is a picture to draw some frames into, `skeleton` whether bones are fitted, `report` a folder to write.

    `handedness` is by default that of the data set; if it does not say, any if the bundle estimates it, else right. `defaults` is by
    default "found" for a set of hands and "run" for one scored by kind.
    """

    precision: str = "fp32"
    threads: int = 1
    max_frames: int | None = None
    handedness: HandChoice | None = None
    defaults: Defaults | None = None
    sheet: Path | None = None
    skeleton: bool = True
    report: Path | None = None


def evaluate_bundle(bundle_path: Path, data: str, config: EvaluationConfig) -> dict[str, object]:
    """The figures of `handmap.metrics.pose_error.summary` for a bundle on the data set called `data`, or of `kind_summary` where it is one by kinds.

    `defaults: found` assumes a hand in every frame, like tracking.assume_hand_present, and shows each frame once;
    `defaults: run` uses the daemon's defaults and shows each frame five times. In a set scored by kind, hands can be left or
    right if the bundle estimates handedness.
    Raises DatasetError if the set's joints differ from the bundle's, or if another hand is asked for than it has; ConfigError if any
    hand is asked for and the bundle does not estimate handedness.
    """
    if config.report is not None:
        refuse_foreign_report(config.report)
    if config.sheet is not None:
        from .fitted_sheet import refuse_sheet  # only if it is asked for

        refuse_sheet(config.sheet)
    bundle = read_bundle(bundle_path)
    dataset = open_dataset(data)
    if dataset.joint_names != bundle.hand.joint_names:
        raise DatasetError(
            f"data set {data!r}: its {len(dataset.joint_names)} joints {dataset.joint_names} differ from the bundle's; "
            "use a set with the same joints"
        )
    engine_config = EngineConfig(precision=cast(PrecisionName, config.precision), threads=config.threads)
    with open_engines(bundle, engine_config) as engines:
        if isinstance(dataset, KindDataset):
            for option, value in (
                ("--handedness", config.handedness),
                ("--sheet", config.sheet),
                ("--report", config.report),
            ):
                if value is not None:
                    raise DatasetError(
                        f"evaluate: {option} is for a set of labeled hands, but {data!r} is scored by kind; leave {option} out, or use "
                        "another --data"
                    )
            return _evaluate_kinds(dataset, bundle, engines, config)
        defaults = config.defaults or "found"
        hand = _hand_of(dataset, config.handedness)
        tracking = TrackingConfig(hand, assume_hand_present=defaults == "found")
        settings = tracker_settings(bundle, tracking, skeleton=SkeletonConfig(config.skeleton))
        presentations = PRESENTATIONS[defaults]
        if config.sheet is None:
            errors = measure_pose_errors(dataset, engines, settings, config.max_frames, presentations)
        else:
            from .fitted_sheet import ShownDataset, draw_fitted_sheet, labeled_tile

            kept = ShownDataset(dataset, min(len(dataset), config.max_frames or len(dataset)))
            errors = measure_pose_errors(kept, engines, settings, config.max_frames, presentations)
            draw_fitted_sheet(config.sheet, [labeled_tile(one, engines, settings, presentations) for one in kept.shown])
    if config.report is not None:
        write_report(config.report, _report(bundle, dataset, errors))
    figures = pose_error_summary(errors, bundle.hand.joint_names)
    return {
        **figures,
        "defaults": defaults,
        "hand": HAND_CHOICES[settings.handedness],
        "notes": list(evaluation_notes(dataset, errors)),
    }


def evaluation_notes(dataset: Dataset, errors: FrameErrors) -> tuple[str, ...]:
    """What there is to say of a data set and of the cubes that the network saw for `oracle_mean_mm`, as clauses."""
    notes = [*dataset.notes] if isinstance(dataset, NotedDataset) else []
    seen_mm, stated_mm = errors.oracle_cube_mm.T
    is_stated = np.isfinite(stated_mm)
    is_other = is_stated & (seen_mm != stated_mm)
    if not is_stated.all():
        own_mm = ", ".join(f"{side:g}" for side in np.unique(seen_mm[~is_stated]))
        notes.append(f"oracle crops: cubes of {own_mm} mm, as in training, centered on the labels")
    for side_mm in np.unique(stated_mm[is_other]):
        used_mm = seen_mm[is_other & (stated_mm == side_mm)][0]
        notes.append(
            f"oracle crops: cubes of {used_mm:g} mm in place of the published {side_mm:g} mm, for which the network is not trained"
        )
    return tuple(notes)


def _hand_of(dataset: Dataset, asked: HandChoice | None) -> HandChoice | None:
    """Which hand to expect: the one asked for, else that of the data set, None if neither says."""
    handedness = dataset.handedness if isinstance(dataset, OneHanded) else Handedness.UNKNOWN
    stated = None if handedness is Handedness.UNKNOWN else HAND_CHOICES[handedness]
    if asked in ("right", "left") and stated not in (asked, None):
        raise DatasetError(
            f"evaluate: --handedness {asked}, but the hands of {dataset.name!r} are {stated} ones; give {stated} or leave it out"
        )
    return asked or stated


def _report(bundle: Bundle, dataset: Dataset, errors: FrameErrors) -> ErrorReport:
    """What the report of a bundle shows: the hands that the daemon would publish, and what they are made from."""
    notes = [
        f"{len(errors.is_found)} frames, the hand found in {errors.is_found.mean():.1%} of them; a missed hand counts as "
        f"{MISSED_MM:.0f} mm.",
        "tracker: the hands that the daemon would publish; network alone: before the skeleton's fit and smoothing; labeled cube: "
        "the network alone, on a crop around the label.",
    ]
    notes += evaluation_notes(dataset, errors)
    error_mm = {
        "tracker": errors.error_mm,
        "network alone": errors.raw_error_mm,
        "labeled cube": errors.oracle_error_mm,
    }
    title = f"Joint errors of {bundle.path.name} on {dataset.name}"
    return ErrorReport(title, tuple(notes), bundle.hand.joint_names, error_mm)


def _evaluate_kinds(
    dataset: KindDataset, bundle: Bundle, engines: Engines, config: EvaluationConfig
) -> dict[str, object]:
    defaults = config.defaults or "run"
    tracking = TrackingConfig(assume_hand_present=defaults == "found")
    settings = tracker_settings(bundle, tracking, skeleton=SkeletonConfig(config.skeleton))
    total = min(dataset.count_frames(), config.max_frames or dataset.count_frames())
    results = []
    with track_progress("score", total, "frames") as advance:
        for result in score_frames(dataset.kind_frames(total), engines, settings, PRESENTATIONS[defaults]):
            results.append(result)
            advance(len(results), result.kind)
    return {**kind_summary(results), "defaults": defaults, "hand": HAND_CHOICES[settings.handedness]}


def evaluation_table(figures: dict[str, object]) -> str:
    """The metrics as text: one per line, then expected errors, joints or kinds."""
    per_joint = cast(dict[str, float | None], figures.get("per_joint_mm", {}))
    areas = cast(dict[str, float], figures.get("success_auc", {}))
    notes = cast(list[str], figures.get("notes", []))
    deciles = cast(list[dict[str, float]], figures["expected_error_deciles"])
    by_kind = cast(dict[str, dict[str, object]], figures.get("by_kind", {}))
    rows = [(name, value) for name, value in figures.items() if not isinstance(value, dict | list)]
    rows += [(f"success_auc {kind}", area) for kind, area in areas.items()]
    lines = [f"{name:<24} {_shown(value):>9}" for name, value in rows]
    lines += ["", "expected mm " + " ".join(f"{one['expected_mm']:6.1f}" for one in deciles)]
    lines += ["actual mm   " + " ".join(f"{one['true_mm']:6.1f}" for one in deciles)]
    lines += ["", *(f"{name:<20} {_shown_mm(value)}" for name, value in per_joint.items())]
    for kind, values in by_kind.items():
        lines.append(f"{kind:<26}" + "  ".join(f"{name} {_shown(value)}" for name, value in values.items()))
    lines += ["", *(f"note: {one}" for one in notes)] if notes else []
    return "\n".join(lines)


def _shown_mm(value: float | None) -> str:
    return "  no label" if value is None else f"{value:9.3f} mm"


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return "-" if value is None else str(msgspec.to_builtins(value))
