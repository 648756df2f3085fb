"""An engine is accepted on the golden samples only if every number that decides is finite, and right."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from handmap.bundle.golden import Golden, read_golden
from handmap.bundle.manifest import GOLDEN, Bundle
from handmap.engines.engine import EngineOutput
from handmap.engines.factory import check_golden, golden_distance_mm
from handmap.types.arrays import Array
from handmap.types.errors import BundleError
from tests.support.tiny_bundle import write_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_bundle(tmp_path / "b")


@dataclass
class SickEngine:
    """Repeats the golden joints, but for one number in one of its calls."""

    golden: Golden
    value: float
    sick_call: int
    batch: int = 1
    precision: str = "fp32"
    calls: int = 0

    def infer(self, depth: Array) -> EngineOutput:
        joints = self.golden.joints[self.calls : self.calls + 1].copy()
        if self.calls == self.sick_call:
            joints[0, 3, 1] += np.float32(self.value)
        self.calls += 1
        return EngineOutput(joints, None)

    def close(self) -> None:
        """Nothing to release."""


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("sick_call", [0, 1])
def test_an_engine_with_a_number_that_is_not_finite_is_refused(bundle: Bundle, value: float, sick_call: int) -> None:
    engine = SickEngine(read_golden(bundle), value, sick_call)

    with pytest.raises(BundleError, match="joints that are not finite"):
        check_golden(engine, read_golden(bundle), bundle)  # type: ignore[arg-type]  # only infer is used


def test_a_distance_in_any_sample_counts(bundle: Bundle) -> None:
    golden = read_golden(bundle)

    apart_mm = [golden_distance_mm(SickEngine(golden, 0.5, call), golden, 250.0) for call in (0, 1)]  # type: ignore[arg-type]

    assert apart_mm == pytest.approx([62.5, 62.5], abs=0.01)  # mm


@pytest.mark.parametrize("name", ["depth", "joints"])
@pytest.mark.parametrize("how", ["nan", "integers", "float64"])
def test_golden_samples_that_are_not_finite_float32_are_refused(
    bundle: Bundle, tmp_path: Path, name: str, how: str
) -> None:
    golden = read_golden(bundle)
    arrays = {"depth": golden.depth.copy(), "joints": golden.joints.copy()}
    if how == "nan":
        arrays[name].flat[-1] = np.nan
    else:
        arrays[name] = arrays[name].astype(np.int32 if how == "integers" else np.float64)
    np.savez(tmp_path / GOLDEN, depth=arrays["depth"], joints=arrays["joints"])

    with pytest.raises(BundleError, match=f"has {name} of type"):
        read_golden(dataclasses.replace(bundle, path=tmp_path))
