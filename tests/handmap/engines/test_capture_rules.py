"""What can be recorded as a CUDA graph, on a stand-in that refuses what CuPy refuses: our crop, network and copies can."""

import ctypes
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handmap.engines import gpu
from handmap.engines.crop_kernel import FOLDER, SOURCE, THREADS
from handmap.engines.cuda_graph import CapturedGraph
from handmap.engines.device_engine import DeviceEngine
from handmap.engines.engine import CroppingEngine
from handmap.engines.gpu_engine import GpuHandEngine
from handmap.geometry.crop import crop_hand
from tests.handmap.engines.test_engine_device import BATCH, DoublingPlan, random_depth
from tests.support.depth_frames import two_hands
from tests.support.host_kernel import build_kernel
from tests.support.numpy_gpu import DeviceArray, Stream, numpy_cupy, numpy_gpu

REFUSED: dict[str, Callable[[Stream, DeviceArray, Any], object]] = {
    "so D2H transfers are disallowed": lambda stream, array, host: array.get(stream, out=host, blocking=False),
    "so H2D transfers are disallowed": lambda stream, array, host: array.set(host, stream),
    "so synchronous API calls are disallowed": lambda stream, array, host: array.set(host),
    "cudaErrorStreamCaptureUnsupported": lambda stream, array, host: stream.synchronize(),
    "cudaErrorStreamCaptureInvalidated": lambda stream, array, host: stream.done,
}


@pytest.mark.parametrize("reason", REFUSED)
def test_work_that_cupy_refuses_to_record_runs_eagerly(reason: str, caplog: pytest.LogCaptureFixture) -> None:
    stream, array, host = Stream(), DeviceArray((4,)), np.zeros(4, np.float32)

    def enqueue() -> None:
        REFUSED[reason](stream, array, host)

    with caplog.at_level(logging.WARNING):
        work = CapturedGraph(stream, enqueue, "refused")

    assert not work.is_graph and not stream.is_capturing
    assert reason in caplog.text


def test_the_copies_of_outputs_are_recorded() -> None:
    engine = DeviceEngine(DoublingPlan(), numpy_gpu(), "fp16")

    assert engine.is_graph
    np.testing.assert_array_equal(engine.infer(depth := random_depth(1)).joints, depth[:, 0, :21, :3] * 2)


def test_with_cupys_own_copies_there_would_be_no_graph(caplog: pytest.LogCaptureFixture) -> None:
    module: Any = numpy_gpu()
    module.copy_to_host = lambda array, host, stream: array.get(stream, out=host, blocking=False)

    engine = DeviceEngine(DoublingPlan(), module, "fp16")

    assert not engine.is_graph
    assert "the current stream is capturing, so D2H transfers are disallowed" in caplog.text


@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ to compile the kernel for the host")
@pytest.mark.parametrize("is_on_gpu", [False, True])
def test_crop_and_network_are_one_graph_from_frame_to_joints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_on_gpu: bool
) -> None:
    library = build_kernel(FOLDER / SOURCE, "crop_on_host.cpp", tmp_path)

    def launch(hands: int, batch: int, out: int, filled: int) -> None:
        hands_at, out_at, filled_at = map(ctypes.c_void_p, (hands, out, filled))
        assert not library.launch(hands_at, batch, THREADS, ctypes.c_uint(1), out_at, filled_at)

    monkeypatch.setattr(gpu, "cupy", numpy_cupy(launch=launch))
    device = DeviceEngine(DoublingPlan(), gpu, "fp16")
    engine = GpuHandEngine(device, gpu.FusedCrop(BATCH, out=device.input_buffer))
    assert device.is_graph and isinstance(engine, CroppingEngine)

    for distance_mm in (300.0, 420.0):
        scene = two_hands(distance_mm)
        frame, rois = scene.frame, scene.rois
        depth = DeviceArray(frame.depth.shape, frame.depth.dtype)
        depth.values[...] = frame.depth
        output, filled = engine.infer_rois(replace(frame, depth=depth) if is_on_gpu else frame, rois)

        wanted = np.stack([crop_hand(np, frame, *roi).depth for roi in rois])
        np.testing.assert_array_equal(output.joints, wanted[:, :21, :3] * 2)
        assert filled.tolist() == (wanted < 1).sum(axis=(1, 2)).tolist()
    engine.close()
