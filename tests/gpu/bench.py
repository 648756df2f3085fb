"""Microseconds that the crop of two hands takes on a GPU: the fused kernel, plain CuPy, NumPy and an upload.

`python -m tests.gpu.bench [OUT.json]`; the hands are at 300 mm, 640x480, and every figure ends with the crops on the GPU.
"""

import json
import logging
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from handmap.engines.crop_kernel import choose_cubin
from handmap.engines.gpu import FusedCrop, open_gpu, open_stream
from handmap.engines.mapped_memory import choose_library, open_frame_buffers
from handmap.files.atomic import write_file
from handmap.geometry.crop import crop_hand
from handmap.types.errors import DependencyError
from handmap.types.values import DepthFrame
from tests.gpu.parity import cupy_crops, differing_share, fused_crops, on_gpu
from tests.support.depth_frames import scenes, two_hands

RUNS = 1000
WARM_UP = 50
SCENES = 200


def measure(cupy: ModuleType) -> dict[str, object]:
    """All figures of this machine."""
    stream = open_stream()
    compared = list(scenes(SCENES, seed=6))
    load = [round(value, 2) for value in os.getloadavg()]
    return {
        "machine": describe(cupy),
        "load_average_before": load,
        "hands": 2,
        "runs": RUNS,
        "crop_us": {name: time_us(crop, stream) for name, crop in ways(cupy, stream).items()},
        "differing_pixels": {
            "fused": differing_share(fused_crops(stream), compared),
            "cupy": differing_share(cupy_crops(cupy), compared),
        },
    }


def describe(cupy: ModuleType) -> dict[str, object]:
    """What the figures were taken on."""
    device = cupy.cuda.Device()
    architecture = f"sm_{device.compute_capability}"
    cubin = choose_cubin(architecture).cubin
    return {
        "gpu": cupy.cuda.runtime.getDeviceProperties(device.id)["name"].decode(),
        "architecture": architecture,
        "kernel": cubin.name if cubin else "compiled from source",
        "driver_cuda": cupy.cuda.runtime.driverGetVersion(),
        "runtime_cuda": cupy.cuda.runtime.runtimeGetVersion(),
        "cupy": cupy.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "frame_buffers_by": choose_library()[0],
    }


def ways(cupy: ModuleType, stream: Any) -> dict[str, Callable[[], object]]:
    """Every way to get both crops into the engine's input buffer, by name."""
    scene = two_hands(300.0)
    out = cupy.ones((2, 1, 128, 128), np.float32)
    fused, recorded, mapped, uploading = (FusedCrop(2, out) for _ in range(4))
    device_frame = on_gpu(cupy, scene.frame)
    buffer = open_frame_buffers(scene.frame.depth.shape, 1, logging.getLogger("bench"))[0]
    buffer.on_host[:] = scene.frame.depth
    fused.set_frame(device_frame)
    recorded.set_frame(device_frame)
    mapped.set_frame(DepthFrame(buffer.on_gpu, 1.0, scene.frame.intrinsics, 0, 0))
    recorded.enqueue(stream)
    with stream:
        stream.begin_capture()
        recorded.enqueue(stream)
        graph = stream.end_capture()

    def run(crop: FusedCrop) -> None:
        crop.set_rois(scene.rois)
        crop.enqueue(stream)

    def run_graph() -> None:
        recorded.set_rois(scene.rois)
        graph.launch(stream)

    def upload_and_run() -> None:
        uploading.set_frame(scene.frame)
        run(uploading)

    def plain_cupy() -> None:
        with stream:
            for place, roi in enumerate(scene.rois):
                out[place, 0] = crop_hand(cupy, device_frame, *roi).depth

    def numpy_and_upload() -> None:
        crops = [crop_hand(np, scene.frame, *roi) for roi in scene.rois]
        out.set(np.stack([crop.depth for crop in crops])[:, None], stream=stream)

    return {
        "fused, depth on the GPU": lambda: run(fused),
        "fused in a CUDA graph, depth on the GPU": run_graph,
        "fused, depth in mapped memory": lambda: run(mapped),
        "fused, depth uploaded": upload_and_run,
        "plain CuPy, depth on the GPU": plain_cupy,
        "NumPy, crops uploaded": numpy_and_upload,
    }


def time_us(crop: Callable[[], object], stream: Any) -> dict[str, float]:
    """p50 and p99 of the time from the call until the stream has done it."""
    taken_us = []
    for _ in range(WARM_UP + RUNS):
        start_ns = time.perf_counter_ns()
        crop()
        stream.synchronize()
        taken_us.append((time.perf_counter_ns() - start_ns) / 1e3)
    p50, p99 = np.percentile(taken_us[WARM_UP:], [50, 99])
    return {"p50": round(float(p50), 1), "p99": round(float(p99), 1)}


if __name__ == "__main__":
    try:
        found = open_gpu()
    except DependencyError as error:
        print(f"not measured: {error}")  # noqa: T201
        sys.exit()
    figures = json.dumps(measure(found), indent=1)
    if len(sys.argv) > 1:
        write_file(Path(sys.argv[1]), figures.encode() + b"\n")
    print(figures)  # noqa: T201
