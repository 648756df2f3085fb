"""Scores a bundle on a labelled data set, by the very steps of the daemon."""

from pathlib import Path
from typing import Literal, cast

import msgspec

from handmap.bundle import read_bundle
from handmap.datasets import open_dataset
from handmap.engines import EngineConfig, open_engines
from handmap.errors import DatasetError
from handmap.follow import TrackingConfig, follow_settings
from handmap.scores import measure, summary

Precision = Literal["fp32", "fp16", "int8"]


def evaluate_bundle(bundle_path: Path, data: str, precision: str, threads: int, most: int | None) -> dict[str, object]:
    """The figures of `handmap.scores.summary` for a bundle on the data set called `data`, which shows a right hand in every frame.

    Raises DatasetError if the set's joints are not the bundle's.
    """
    bundle = read_bundle(bundle_path)
    dataset = open_dataset(data)
    if dataset.joint_names != bundle.hand.joint_names:
        raise DatasetError(
            f"data set {data!r}: its {len(dataset.joint_names)} joints {dataset.joint_names} are not the bundle's; "
            "evaluate on a set with the same joints"
        )
    config = EngineConfig(precision=cast(Precision, precision), threads=threads)
    engines = open_engines(bundle, config, batch=1)
    errors = measure(dataset, engines, follow_settings(bundle, TrackingConfig(expects_hand=True)), most)
    engines.close()
    return summary(errors, bundle.hand.joint_names)


def evaluation_table(figures: dict[str, object]) -> str:
    """The figures for a person: one a line, joints last."""
    per_joint = cast(dict[str, float], figures["per_joint_mm"])
    rows = [(name, value) for name, value in figures.items() if name != "per_joint_mm"]
    lines = [f"{name:<20} {_shown(value):>9}" for name, value in rows]
    lines += ["", *(f"{name:<20} {value:9.2f} mm" for name, value in per_joint.items())]
    return "\n".join(lines)


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return "-" if value is None else str(msgspec.to_builtins(value))
