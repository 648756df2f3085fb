"""The fused crop kernel on a card: its pixels, its graph, its refusals, and that it leaks nothing."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from handmap.engines.gpu import FusedCrop, open_stream
from handmap.types.values import DepthFrame
from tests.gpu.parity import ALLOWED, MAX_VIEWS, differing_share, fused_crops, numpy_crops, on_gpu, run_fused
from tests.support.depth_frames import scenes, two_hands
from tests.support.gpu_memory import bytes_in_use

pytestmark = pytest.mark.gpu

LAUNCHES = 100_000
LEAK_BYTES = 4 * 1024 * 1024


@pytest.fixture
def stream(cupy: ModuleType) -> Any:
    return open_stream()


def record(fused: FusedCrop, stream: Any) -> Any:
    """A CUDA graph of the crop."""
    with stream:
        stream.begin_capture()
        fused.enqueue(stream)
        return stream.end_capture()


def test_crops_differ_in_at_most_one_pixel_of_ten_thousand(stream: Any) -> None:
    share = differing_share(fused_crops(stream), list(scenes(400, seed=4)))

    assert share <= ALLOWED


def test_places_without_a_view_hold_background_again(stream: Any) -> None:
    scene = two_hands()
    fused = FusedCrop(4)
    fused.set_frame(scene.frame)

    run_fused(fused, [*scene.rois, *scene.rois], stream)
    first = fused.filled.get().tolist()
    run_fused(fused, scene.rois[:1], stream)

    wanted = (numpy_crops(scene) < 1).sum(axis=(1, 2)).tolist()
    assert first == [*wanted, *wanted]
    assert fused.filled.get().tolist() == [wanted[0], 0, 0, 0]
    assert (fused.out.get()[1:] == 1).all()


def test_a_frame_on_the_gpu_is_read_where_it_lies_also_in_wider_rows(cupy: ModuleType, stream: Any) -> None:
    scene = two_hands()
    fused = FusedCrop(2)
    wide = cupy.full((480, 1000), 310, np.uint16)
    wide[:, :640] = cupy.asarray(scene.frame.depth)
    cupy.cuda.Device().synchronize()

    fused.set_frame(DepthFrame(wide[:, :640], 1.0, scene.frame.intrinsics, 0, 0))
    out = run_fused(fused, scene.rois, stream)

    assert np.mean(out != numpy_crops(scene)) <= ALLOWED


def test_the_crop_is_written_into_the_engine_buffer(cupy: ModuleType, stream: Any) -> None:
    scene = two_hands()
    buffer = cupy.full((2, 1, 128, 128), np.nan, np.float32)
    cupy.cuda.Device().synchronize()
    fused = FusedCrop(2, buffer)
    fused.set_frame(scene.frame)

    run_fused(fused, scene.rois, stream)

    assert np.mean(buffer.get()[:, 0] != numpy_crops(scene)) <= ALLOWED


def test_a_recorded_crop_sees_the_frames_and_views_that_came_later(stream: Any) -> None:
    """Of another size too, and empty ones: frame and views are in memory that the graph copies again on each launch."""
    fused = FusedCrop(MAX_VIEWS)
    fused.set_frame(two_hands().frame)
    fused.enqueue(stream)
    graph = record(fused, stream)

    wrong = pixels = 0
    for scene in scenes(60, seed=5):
        fused.set_frame(scene.frame)
        fused.set_rois(scene.rois)
        graph.launch(stream)
        out = fused.out.get(stream=stream)[:, 0]
        wanted = numpy_crops(scene)
        wrong += int((out[: len(wanted)] != wanted).sum()) + int((out[len(wanted) :] != 1).sum())
        pixels += out.size
    assert wrong / pixels <= ALLOWED


@pytest.mark.parametrize("is_recorded", [False, True])
def test_a_hundred_thousand_launches_leak_nothing(cupy: ModuleType, stream: Any, is_recorded: bool) -> None:
    scene = two_hands()
    fused = FusedCrop(2)
    fused.set_frame(scene.frame)
    fused.set_rois(scene.rois)
    graph = record(fused, stream)
    launch: Callable[[Any], Any] = graph.launch if is_recorded else fused.enqueue

    def launch_many(count: int) -> None:
        for number in range(count):
            launch(stream)
            if number % 1000 == 0:
                stream.synchronize()
        stream.synchronize()

    launch_many(2000)
    before = bytes_in_use(cupy)
    launch_many(LAUNCHES)

    growth = np.subtract(bytes_in_use(cupy), before)
    assert (growth < LEAK_BYTES).all(), growth
    assert np.mean(fused.out.get()[:, 0] != numpy_crops(scene)) <= ALLOWED


def test_invalid_crop_inputs_are_rejected(cupy: ModuleType) -> None:
    scene = two_hands()
    fused = FusedCrop(1)

    with pytest.raises(ValueError, match="wanted a frame first"):
        fused.set_rois(scene.rois[:1])
    fused.set_frame(scene.frame)
    with pytest.raises(ValueError, match="2 views for 1 places"):
        fused.set_rois(scene.rois)
    with pytest.raises(ValueError, match=r"found float64 \(1, 1, 128, 128\)"):
        FusedCrop(1, cupy.ones((1, 1, 128, 128)))
    turned = on_gpu(cupy, scene.frame).depth.T.copy().T
    with pytest.raises(ValueError, match="side by side"):
        fused.set_frame(DepthFrame(turned, 1.0, scene.frame.intrinsics, 0, 0))
