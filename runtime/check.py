"""`handmap check`: whether a bundle matches its manifest, and each of its engines computes what its network does."""

from dataclasses import dataclass

from handmap.bundle.golden import Golden, read_golden
from handmap.bundle.manifest import Bundle
from handmap.engines.factory import EngineConfig, check_golden, open_engines
from handmap.engines.palm_check import check_palm


@dataclass(frozen=True)
class CheckedPrecision:
    """How far an engine is from the golden samples, or why it was not run."""

    precision: str
    golden_mm: float | None
    note: str


def verify_bundle(bundle: Bundle) -> list[CheckedPrecision]:
    """Opens every precision of a bundle already read and hashed, compares tensors with the manifest, runs the golden samples.

    Raises BundleError if an engine is off or its tensors differ.
    """
    golden = read_golden(bundle)
    return [_check(bundle, golden, precision) for precision in sorted(bundle.hand.precisions)]


def _check(bundle: Bundle, golden: Golden, precision: str) -> CheckedPrecision:
    gate = bundle.hand.precisions[precision].gate
    if precision == "int8" and (gate is None or not gate.passed):
        return CheckedPrecision(precision, None, "not run: it has not passed the accuracy gate")
    engines = open_engines(bundle, EngineConfig(precision=precision), batch=1)  # type: ignore[arg-type]  # the manifest's names are these
    try:
        distance_mm = check_golden(engines.hand, golden, bundle)
        if engines.palm is not None:
            check_palm(engines.palm, golden, bundle)
        return CheckedPrecision(precision, distance_mm, f"{len(golden.depth)} samples")
    finally:
        engines.close()
