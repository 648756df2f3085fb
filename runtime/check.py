"""`handmap check`: whether a bundle is what its manifest says, and each of its engines computes what the bundle's
network does.
"""

from dataclasses import dataclass

from handmap.bundle.golden import Golden, read_golden
from handmap.bundle.manifest import Bundle
from handmap.engines.factory import EngineConfig, check_golden, open_engines


@dataclass(frozen=True)
class CheckedPrecision:
    """How far an engine is off the golden samples, or why it was not run."""

    precision: str
    golden_mm: float | None
    note: str


def verify_bundle(bundle: Bundle) -> list[CheckedPrecision]:
    """Opens every precision of a bundle that was read and hashed, compares its tensors with the manifest's, runs the golden samples.

    Raises BundleError for an engine that is off or has other tensors.
    """
    golden = read_golden(bundle)
    return [_check(bundle, golden, precision) for precision in sorted(bundle.hand.precisions)]


def _check(bundle: Bundle, golden: Golden, precision: str) -> CheckedPrecision:
    gate = bundle.hand.precisions[precision].gate
    if precision == "int8" and (gate is None or not gate.passed):
        return CheckedPrecision(precision, None, "not run: no passed accuracy gate")
    engines = open_engines(bundle, EngineConfig(precision=precision), batch=1)  # type: ignore[arg-type]  # the manifest's names are these
    try:
        return CheckedPrecision(precision, check_golden(engines.hand, golden, bundle), f"{len(golden.depth)} samples")
    finally:
        engines.close()
