"""The record of how INT8 graphs were made: `calibration.json` in the bundle, and the sensitivity file."""

import hashlib
from pathlib import Path
from typing import Final

import msgspec

from handmap.bundle.manifest import Bundle
from handmap.files.reading import NotJson, encode_json, read_json
from handmap.types.errors import ConfigError

from .calibration_set import CalibrationSet, SourceEntry

RECORD: Final = "calibration.json"


class Distance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Joint errors of a graph in mm: from the FP32 joints and, with labels, the error against ground truth above FP32's."""

    mean_mm: float
    p95_mm: float
    truth_mean_mm: float | None = None
    truth_p95_mm: float | None = None


class LayerCost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The joint error with one layer in INT8 and all others in float."""

    name: str
    macs: int
    cost: Distance


class Trial(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One mixed assignment that the search tried."""

    float_layers: tuple[str, ...]
    int8_share: float
    cost: Distance
    passed: bool


class Sensitivity(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"max_mm": "most_mm"}):
    """The sensitivity file, possibly partial; `float_layers` is set once it is complete.

    key identifies the graph, set and options; max_mm, `most_mm` in the file, is the limit of the mean joint distance from FP32.
    """

    key: str
    crops: int
    max_mm: float
    body_cost: Distance  # of the body alone, with no layer in INT8
    layers: tuple[LayerCost, ...] = ()
    trials: tuple[Trial, ...] = ()
    float_layers: tuple[str, ...] | None = None


class PalmRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the INT8 palm graph was made, with the hand graph's method and body."""

    pictures: int
    thresholds: dict[str, float]
    float_layers: tuple[str, ...]
    int8_share: float


class CalibrationRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The contents of calibration.json."""

    set_sha256: str
    sources: tuple[SourceEntry, ...]
    coverage: dict[str, dict[str, int]]
    dropped: dict[str, int]
    forced: tuple[str, ...]
    frame_sha256: tuple[str, ...]  # of the calibration frames, which the gate must not use
    frames: int
    method: str
    body: str
    thresholds: dict[str, float]  # of every activation that any assignment could quantize
    float_layers: tuple[str, ...]
    int8_share: float
    fitted_layers: int = 0  # the other INT8 layers have rounded weights
    sensitivity: Sensitivity | None = None
    palm: PalmRecord | None = None


def encode_record(record: CalibrationRecord | Sensitivity) -> bytes:
    """The bytes of a record; deterministic."""
    return encode_json(record)


def read_record(bundle: Bundle) -> CalibrationRecord:
    """The calibration record of a bundle.

    Raises ConfigError if it has none.
    """
    if RECORD not in bundle.manifest.records:
        raise ConfigError(
            f"bundle {str(bundle.path)!r}: it has no {RECORD}; make its INT8 graph with: handmap calibrate quantize"
        )
    try:
        return read_json(bundle.path / RECORD, CalibrationRecord)
    except NotJson as error:
        raise ConfigError(
            f"bundle {str(bundle.path)!r}: {RECORD} is not a calibration record of this version ({error}); make its INT8 graph "
            "again with: handmap calibrate quantize"
        ) from error


def read_sensitivity(path: Path) -> Sensitivity:
    """A sensitivity file, finished or not.

    Raises ConfigError.
    """
    try:
        return read_json(path, Sensitivity)
    except (OSError, NotJson) as error:
        raise ConfigError(
            f"sensitivity {str(path)!r} cannot be read: {error}; write it with: handmap calibrate sensitivity"
        ) from error


def work_key(bundle: Bundle, chosen: CalibrationSet, method: str, body: str) -> str:
    """The key of a sensitivity file: graphs, set, method and body."""
    graphs = [bundle.hand.precisions["fp32"].sha256, bundle.hand.precisions[body].sha256]
    return hashlib.sha256("\n".join([*graphs, chosen.sha256, method, body]).encode()).hexdigest()
