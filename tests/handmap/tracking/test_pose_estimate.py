"""From regions of interest to pose estimates: batches, empty cubes, refinement of what lies off center."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from handmap.engines.engine import EngineOutput
from handmap.tracking.pose_estimate import estimate_poses, infer_crops, re_estimate, refine_off_center, split_batch
from handmap.tracking.track import cube_center
from handmap.types.arrays import Array, Float32
from handmap.types.values import HandCrop, HandRoi
from tests.support.drawn_scenes import CUBE_MM, CentroidEngine, CroppingCentroidEngine, NoClock, scene, settings

HAND = (40.0, -30.0, 500.0, 50.0)


def roi(x: float, y: float = 0.0, z: float = 500.0) -> HandRoi:
    return HandRoi(np.array([x, y, z], np.float32), CUBE_MM, False)


def estimate(rois: Sequence[HandRoi], engine: CentroidEngine | None = None):  # type: ignore[no-untyped-def]
    return estimate_poses(scene(HAND), rois, engine or CentroidEngine(), settings(), NoClock())


def test_an_estimate_lies_in_the_camera_frame_and_knows_its_cube() -> None:
    (found,) = estimate([roi(20)])

    np.testing.assert_allclose(cube_center(found.xyz_camera_mm), HAND[:3], atol=5)
    assert found.roi.center_mm[0] == 20 and not found.is_empty and found.confidence > 0.5


@pytest.mark.parametrize("engine", [CentroidEngine(), CroppingCentroidEngine()])
def test_an_empty_cube_shows_no_hand_for_certain(engine: CentroidEngine) -> None:
    (found,) = estimate([roi(-300)], engine)

    assert found.is_empty and found.confidence == 0.0


def test_no_cube_costs_no_inference() -> None:
    engine = CentroidEngine()

    assert estimate([], engine) == [] and engine.calls == 0


@pytest.mark.parametrize(("batch", "calls"), [(1, 5), (2, 3), (8, 1)])
def test_cubes_share_calls_as_the_batch_allows_and_keep_their_order(batch: int, calls: int) -> None:
    engine = CentroidEngine(batch)
    rois = [roi(x, -30) for x in (0, 20, 40, 60, 80)]

    found = estimate(rois, engine)

    assert engine.calls == calls and [one.roi for one in found] == rois


class Answering(CentroidEngine):
    """Answers with every output that a network may have."""

    def infer(self, depth: Array) -> EngineOutput:
        output = super().infer(depth)
        side = np.arange(self.batch, dtype=np.float32)[:, None] + 1
        return replace(output, side=side, spread=np.full(output.joints.shape, 0.5, np.float32) * side[:, :, None])


def test_the_answers_of_a_batch_are_told_apart() -> None:
    output = Answering(3).infer(np.ones((3, 1, 128, 128), np.float32))

    answers = split_batch(output, 2)

    assert [one.right_logit for one in answers] == [1.0, 2.0]
    assert [float(one.spread[0, 0]) for one in answers if one.spread is not None] == [0.5, 1.0]
    assert all(one.guidance is not None and one.guidance.shape == (21, 32, 32) for one in answers)


def test_outputs_that_a_network_lacks_are_absent() -> None:
    (answer,) = split_batch(EngineOutput(np.zeros((1, 21, 3), np.float32), None), 1)

    assert answer.guidance is None and answer.spread is None and answer.right_logit == 0.0


@pytest.mark.parametrize(("is_mirrored", "right_logit"), [(False, 1.0), (True, -1.0)])
def test_the_handedness_of_a_mirrored_crop_is_turned_back(is_mirrored: bool, right_logit: float) -> None:
    (found,) = estimate([roi(40, -30)._replace(is_mirrored=is_mirrored)], Answering())

    assert found.right_logit == right_logit


@pytest.mark.parametrize(("off_mm", "is_refined"), [(24, False), (27, True)])
def test_an_estimate_off_the_center_of_its_cube_is_made_again(off_mm: float, is_refined: bool) -> None:
    engine = CentroidEngine()
    first = estimate([roi(40 - off_mm, -30), roi(40, -30)], engine)

    both = refine_off_center(scene(HAND), first, engine, settings(), NoClock())

    assert engine.calls == 2 + is_refined
    assert (both[0] is not first[0]) == is_refined and both[1] is first[1]
    if is_refined:
        np.testing.assert_allclose(both[0].roi.center_mm, first[0].center_mm)


def test_an_empty_cube_is_not_looked_into_again() -> None:
    engine = CentroidEngine()
    first = [replace(one, xyz_camera_mm=one.xyz_camera_mm + np.float32(90)) for one in estimate([roi(-300)], engine)]

    assert refine_off_center(scene(HAND), first, engine, settings(), NoClock()) == first and engine.calls == 1


def test_a_second_estimate_is_centered_on_the_first() -> None:
    first = estimate([roi(0)])

    (second,) = re_estimate(scene(HAND), first, CentroidEngine(), settings(), NoClock())

    np.testing.assert_allclose(second.roi.center_mm, cube_center(first[0].xyz_camera_mm))


def test_a_batch_is_filled_up_with_empty_cubes() -> None:
    seen: list[Float32] = []

    class Watching(CentroidEngine):
        def infer(self, depth: Array) -> EngineOutput:
            seen.append(depth.copy())
            return super().infer(depth)

    crop = HandCrop(np.zeros((128, 128), np.float32), roi(0))

    assert len(infer_crops([crop], Watching(3), np)) == 1
    assert (seen[0][0] == 0).all() and (seen[0][1:] == 1).all()


class Certain(CentroidEngine):
    """Sees a hand everywhere."""

    def infer(self, depth: Array) -> EngineOutput:
        output = super().infer(depth)
        assert output.guidance is not None
        return replace(output, guidance=np.ones_like(output.guidance))


def test_an_empty_cube_shows_no_hand_however_certain_the_network_is() -> None:
    empty, shown = estimate([roi(-300), roi(40, -30)], Certain())

    assert empty.confidence == 0.0 and shown.confidence == 1.0
