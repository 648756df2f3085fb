"""Scores result files of a public data set against its label file, as the field's evaluator does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from handmap.metrics.error_figures import error_summary
from handmap.types.arrays import Float64
from handmap.types.errors import ConfigError, DatasetError
from handmap.types.intrinsics import unproject

from ..datasets.published import PUBLISHED_SETS, PublishedSet
from .error_report import ErrorReport, figures_table, refuse_foreign_report, write_report
from .result_file import read_result_file


@dataclass(frozen=True)
class ScoredPredictions:
    """Joint errors (N, J) in mm of result files by name, on the frames of a label file."""

    dataset: PublishedSet
    error_mm: Mapping[str, Float64]
    frames: int

    @property
    def is_published_split(self) -> bool:
        """Whether there are as many frames as published means are over."""
        return self.frames == self.dataset.test_frames

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what the figures are of."""
        whole = f"{self.dataset.name}'s published test split has {self.dataset.test_frames:,} frames"
        if self.is_published_split:
            return (f"{whole}, and so have these labels.",)
        return (
            f"{whole} and these labels {self.frames:,}, so these figures must not be compared with published ones.",
        )


def score_predictions(files: Mapping[str, Path], labels: Path, dataset: str) -> ScoredPredictions:
    """The errors of each of the named result files for one of PUBLISHED_SETS.

    Raises DatasetError.
    """
    published = PUBLISHED_SETS[dataset]
    truth_mm = _points_mm(read_result_file(labels, published), published)
    errors = {}
    for name, path in files.items():
        found_mm = _points_mm(read_result_file(path, published), published)
        _refuse_other_length(path, len(found_mm), labels, len(truth_mm))
        errors[name] = np.linalg.norm(found_mm - truth_mm, axis=-1)
    return ScoredPredictions(published, errors, len(truth_mm))


def name_files(words: Sequence[str]) -> dict[str, Path]:
    """The result files of `--predictions` by their names: FILE, which is named by its stem, or NAME=FILE.

    Raises ConfigError for a name that is empty or given twice.
    """
    files: dict[str, Path] = {}
    for word in words:
        before, equals, after = word.partition("=")
        is_named = bool(equals) and "/" not in before
        path = Path(after if is_named else word)
        name = _printable(before if is_named else path.stem)
        if not name or name in files:
            fault = f"{name!r} is the name of two files" if name else "the name is empty"
            raise ConfigError(f"--predictions {word!r}: {fault}; name each file with --predictions NAME=FILE")
        files[name] = path
    return files


def evaluate_predictions(
    words: Sequence[str], labels: Path, dataset: str, report: Path | None = None
) -> dict[str, object]:
    """What `handmap evaluate --predictions` prints with `--json`: facts of the labels, and the figures of each file by name.

    words are result files as `name_files` takes them, report a folder to write plots and a page into.
    Raises ConfigError, FileError or DatasetError.
    """
    files = name_files(words)
    if report is not None:
        refuse_foreign_report(report)
    scored = score_predictions(files, labels, dataset)
    joint_names = scored.dataset.joint_names
    if report is not None:
        comparable = scored.dataset if scored.is_published_split else None
        title = f"Joint errors on {scored.dataset.name}"
        write_report(report, ErrorReport(title, scored.notes, joint_names, scored.error_mm, comparable))
    return {
        "dataset": scored.dataset.name,
        "frames": scored.frames,
        "published_frames": scored.dataset.test_frames,
        "notes": scored.notes,
        "predictions": {name: error_summary(error_mm, joint_names) for name, error_mm in scored.error_mm.items()},
    }


def predictions_table(figures: dict[str, object]) -> str:
    """The figures as text: what they are of, then a column for each file."""
    notes = cast(Sequence[str], figures["notes"])
    return "\n".join([*notes, "", figures_table(cast(dict[str, dict[str, object]], figures["predictions"]))])


def _points_mm(joints: Float64, dataset: PublishedSet) -> Float64:
    """Points (N, J, 3) in the camera frame, mm, of joints as u, v and depth."""
    points: Float64 = unproject(np, joints[..., :2], joints[..., 2], dataset.evaluator_intrinsics)
    return points


def _refuse_other_length(path: Path, found: int, labels: Path, wanted: int) -> None:
    if found < wanted:
        raise DatasetError(
            f"file {str(path)!r}, line {found + 1}: the predictions end after {found} frame{'s' * (found > 1)}; wanted one for each of the "
            f"{wanted} lines of {str(labels)!r}; add the missing frames, or take the labels of these frames for --labels"
        )
    if found > wanted:
        raise DatasetError(
            f"file {str(path)!r}, line {wanted + 1}: there are {found} predictions; wanted one for each line of "
            f"{str(labels)!r}, {wanted}; remove the other frames, or take the labels of all frames for --labels"
        )


def _printable(name: str) -> str:
    """The name with what cannot be printed, or written in UTF-8, escaped."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in name)
