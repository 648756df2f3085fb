"""What every test with a real Prometheus needs: the programs, which .ci/prometheus fetches."""

import os
import shutil
from pathlib import Path

import pytest

from tests.support.processes import ROOT

FETCHED = ROOT / ".cache" / "prometheus" / "usr" / "bin"


@pytest.fixture(scope="session")
def tools() -> dict[str, Path]:
    """The paths of `prometheus` and `promtool`."""
    if "HANDMAP_MONITORING_TESTS" not in os.environ:
        pytest.skip("downloads Prometheus: asked for by make test-monitoring")
    path = os.pathsep.join([str(FETCHED), os.environ.get("PATH", "")])
    found = {name: shutil.which(name, path=path) for name in ("prometheus", "promtool")}
    missing = [name for name, where in found.items() if where is None]
    assert not missing, f"{missing} are missing; fetch them with: .ci/prometheus"
    return {name: Path(str(where)) for name, where in found.items()}
