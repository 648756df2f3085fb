"""What a graph's accuracy was measured to be, and whether an INT8 graph may be used. Measuring and judging is calibration's."""

import msgspec

from handmap.bundle.facts import Count, ErrorMm, Extra, Share


class Accuracy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The score of a precision, and the data set."""

    dataset: str
    mean_mm: ErrorMm
    frames: Count


class Gate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether a quantized graph passed the accuracy gate, and the figures that decided it."""

    passed: bool
    kind: str
    mean_mm: float
    p95_mm: float
    limits: dict[str, float]
    dataset: str
    frames: Count
    found_drop: Share = (
        0.0  # share of hands found, FP32 minus INT8; without labels, share of FP32 detections missing in INT8
    )
    extra: Extra = 0.0  # palm graph only: detections that FP32 does not have, as a share of FP32's

    def __post_init__(self) -> None:
        figures = {"mean": self.mean_mm, "p95": self.p95_mm, "found": self.found_drop, "extra": self.extra}
        if unknown := set(self.limits) - set(figures):
            raise ValueError(f"limits: wanted some of {', '.join(figures)}, found {', '.join(sorted(unknown))}")
        above = [name for name, limit in self.limits.items() if not figures[name] <= limit]
        if self.passed and (above or not self.limits):
            raise ValueError(
                f"passed: stated as true, but {above or 'nothing'} of {figures} is "
                f"{'above' if above else 'held against'} its limits {self.limits}; gate the graph again"
            )
