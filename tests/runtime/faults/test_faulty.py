"""Faults of engines that crop by themselves, and of frames that lie on a GPU: the daemon tests cannot reach these without one."""

from dataclasses import replace

import numpy as np
import pytest

from handmap.engines.engine import Engines, ViewEngine
from handmap.types.errors import EngineFailed
from handmap.types.values import View
from runtime.faults.injection import FaultyCamera, faulty_engines
from runtime.faults.schedule import Fault, FaultKind, FaultSchedule
from tests.support.drawn_scenes import CentroidEngine, ViewsEngine, scene

FRAME = scene((0, 0, 500, 50))
VIEWS = (View(np.array([0, 0, 500], np.float32), 250.0, False),)


class OneFrame:
    """A camera that gives the same frame for ever."""

    name, has_ended = "one frame", False

    def wait_frame(self, timeout_s: float) -> object:
        return replace(FRAME, on_gpu=FRAME.depth)

    def taken(self) -> None:
        pass

    published = close = taken


def always(kind: FaultKind) -> FaultSchedule:
    return FaultSchedule((Fault(kind),))


def test_an_engine_that_crops_by_itself_still_does() -> None:
    healthy = faulty_engines(Engines(ViewsEngine()), FaultSchedule()).hand

    assert isinstance(healthy, ViewEngine)
    assert not isinstance(faulty_engines(Engines(CentroidEngine()), FaultSchedule()).hand, ViewEngine)
    output, filled = healthy.infer_views(FRAME, VIEWS)
    assert np.isfinite(output.joints).all() and filled[0] > 0


def test_its_faults_come_out_of_that_call_too() -> None:
    raising, spoiling = (
        faulty_engines(Engines(ViewsEngine()), always(kind)).hand for kind in ("engine_raises", "engine_nan")
    )

    assert isinstance(raising, ViewEngine) and isinstance(spoiling, ViewEngine)
    with pytest.raises(EngineFailed, match="faulty engine"):
        raising.infer_views(FRAME, VIEWS)
    assert np.isnan(spoiling.infer_views(FRAME, VIEWS)[0].joints).all()


def test_a_spoilt_frame_is_not_left_whole_on_the_gpu() -> None:
    spoilt = FaultyCamera(OneFrame(), always("all_zero")).wait_frame(0.1)  # type: ignore[arg-type]  # all that is asked of it

    assert spoilt is not None and not spoilt.depth.any()
    assert spoilt.on_gpu is None
