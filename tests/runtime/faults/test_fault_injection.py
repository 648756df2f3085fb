"""Faults of engines that crop by themselves, and of frames that lie on a GPU: the daemon tests cannot reach these without one."""

from dataclasses import replace

import numpy as np
import pytest

from handmap.engines.engine import CroppingEngine, Engines
from handmap.types.errors import EngineFailed
from handmap.types.values import DepthFrame, HandRoi
from runtime.faults.camera import FaultyCamera
from runtime.faults.fault_injection import faulty_engines
from runtime.faults.fault_schedule import Fault, FaultKind, FaultSchedule
from tests.support.drawn_scenes import CentroidEngine, CroppingCentroidEngine, scene

FRAME = scene((0, 0, 500, 50))
ROIS = (HandRoi(np.array([0, 0, 500], np.float32), 250.0, False),)


class OneFrame:
    """A camera that delivers the same frame forever."""

    name, has_ended = "one frame", False

    def wait_frame(self, timeout_s: float) -> DepthFrame:
        return replace(FRAME, on_gpu=FRAME.depth)

    def close(self) -> None:
        pass


def always(kind: FaultKind) -> FaultSchedule:
    return FaultSchedule((Fault(kind),))


def test_a_faulty_cropping_engine_still_crops() -> None:
    healthy = faulty_engines(Engines(CroppingCentroidEngine()), FaultSchedule()).hand

    assert isinstance(healthy, CroppingEngine)
    assert not isinstance(faulty_engines(Engines(CentroidEngine()), FaultSchedule()).hand, CroppingEngine)
    output, filled = healthy.infer_rois(FRAME, ROIS)
    assert np.isfinite(output.joints).all() and filled[0] > 0


def test_its_faults_apply_to_the_cropping_call_too() -> None:
    raising, spoiling = (
        faulty_engines(Engines(CroppingCentroidEngine()), always(kind)).hand for kind in ("engine_raises", "engine_nan")
    )

    assert isinstance(raising, CroppingEngine) and isinstance(spoiling, CroppingEngine)
    with pytest.raises(EngineFailed, match="faulty engine"):
        raising.infer_rois(FRAME, ROIS)
    assert np.isnan(spoiling.infer_rois(FRAME, ROIS)[0].joints).all()


def test_a_faulty_frame_has_no_intact_copy_on_the_gpu() -> None:
    spoiled = FaultyCamera(OneFrame(), always("all_zero")).wait_frame(0.1)

    assert spoiled is not None and not spoiled.depth.any()
    assert spoiled.on_gpu is None
