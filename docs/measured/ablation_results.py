"""The figures of the ablation as they are kept in ablation.json, and what is told from several seeds."""

import math
import statistics
from collections.abc import Callable, Iterable
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

import msgspec

from training.network.network import GuidanceKind

from .ablation_figures import DOUBTFUL_SHARE, NetworkFigures

HeadKind: TypeAlias = Literal["votes", "fully_connected"]
HEADS: Final[tuple[HeadKind, ...]] = get_args(HeadKind)
KINDS: Final = ("none", *get_args(GuidanceKind))
KIND_NAMES: Final = {
    "none": "none", "heatmap": "heatmap", "dist2": "Euclidean", "udir2": "Euclidean + offset", "edt2": "geodesic",
    "edt2m": "weighted geodesic",
}  # fmt: skip
HEAD_NAMES: Final = {"votes": "votes", "fully_connected": "fully connected"}
# 97.5 % quantile of Student's t by degrees of freedom.
STUDENT_T: Final = {1: 12.706, 2: 4.303}


class Point(msgspec.Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """A line of a run's history: samples trained on, and the error on its validation set in mm."""

    samples: int
    mean_mm: float
    median_mm: float


class RunFigures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One finished run: what it varies, the commit it was trained from, its size, its history, and its best weights' figures."""

    head: str
    kind: str
    seed: int
    commit: str
    parameters: int
    multiply_adds: int
    history: tuple[Point, ...]
    held_out: NetworkFigures

    def near(self, samples: int) -> Point:
        """The validation nearest to so many samples."""
        return min(self.history, key=lambda point: abs(point.samples - samples))

    @property
    def best(self) -> Point:
        """The validation that chose the weights."""
        return min(self.history, key=lambda point: point.mean_mm)


class Ablation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All finished runs by name, the budget of each in samples, and how many samples they were scored on."""

    total_samples: int
    rendered_samples: int
    val_hands: int
    runs: dict[str, RunFigures]

    def of(self, head: str, kind: str) -> list[RunFigures]:
        """The finished runs of a combination, by seed."""
        found = [run for run in self.runs.values() if (run.head, run.kind) == (head, kind)]
        return sorted(found, key=lambda run: run.seed)

    def pairs(self, head: str, kinds: tuple[str, str]) -> list[tuple[RunFigures, RunFigures]]:
        """Runs of two kinds with the same seed, by seed."""
        first, second = ({run.seed: run for run in self.of(head, kind)} for kind in kinds)
        return [(first[seed], second[seed]) for seed in sorted(first.keys() & second.keys())]


class Spread(NamedTuple):
    """Mean and sample standard deviation of a figure over seeds (NaN of one), and its values."""

    mean: float
    deviation: float
    values: tuple[float, ...]

    @property
    def half_interval(self) -> float:
        """Half of the 95 % confidence interval of the mean by Student's t; NaN of one value."""
        count = len(self.values)
        return STUDENT_T.get(count - 1, float("nan")) * self.deviation / math.sqrt(count)


def spread(values: Iterable[float]) -> Spread:
    """The spread of a figure's values, one for each seed; at least one."""
    known = tuple(values)
    deviation = statistics.stdev(known) if len(known) > 1 else float("nan")
    return Spread(statistics.fmean(known), deviation, known)


def spread_of(runs: list[RunFigures], figure: Callable[[RunFigures], float]) -> Spread:
    """The spread of a figure over runs."""
    return spread(figure(run) for run in runs)


def validation_near(samples: int) -> Callable[[RunFigures], float]:
    """The mean error, mm, of the validation nearest to so many samples."""
    return lambda run: run.near(samples).mean_mm


def most_to_find(run: RunFigures) -> float:
    """The share of bad joints that the doubtful fifth can hold at most."""
    return min(1.0, DOUBTFUL_SHARE / run.held_out.bad_share)
