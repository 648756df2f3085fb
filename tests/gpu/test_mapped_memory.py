"""Memory that host and GPU share: what one writes the other reads, and CuPy and PyCUDA live in one context."""

import gc
import logging
import weakref
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from handmap.engines.gpu import FusedCrop, open_stream
from handmap.engines.mapped_memory import choose_library, open_frame_buffers, wrap_camera_frame
from handmap.types.values import DepthFrame
from tests.gpu.parity import ALLOWED, numpy_crops, run_fused
from tests.support.depth_frames import two_hands

pytestmark = pytest.mark.gpu
LOG = logging.getLogger("test")


class CameraFrame:
    """Pixels on the GPU, offered as the camera SDK offers them; rows may be wider than the image."""

    def __init__(self, pixels: Any, width_px: int) -> None:
        self.pixels = pixels
        self.width_px = width_px

    def get_gpu_data_or_upload(self) -> tuple[int, bool]:
        return self.pixels.data.ptr, False

    def get_height(self) -> int:
        return int(self.pixels.shape[0])

    def get_width(self) -> int:
        return self.width_px

    def get_stride_in_bytes(self) -> int:
        return int(self.pixels.strides[0])


def test_the_gpu_reads_what_the_host_wrote_last(cupy: ModuleType, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        buffers = open_frame_buffers((480, 640), 3, LOG)

    for value in (1, 65535):
        for number, buffer in enumerate(buffers):
            buffer.on_host[:] = value - number % 2
        assert [int((buffer.on_gpu.astype(np.int32)).sum()) for buffer in buffers] == [
            480 * 640 * (value - number % 2) for number in range(3)
        ]
    assert len(caplog.messages) == 1
    assert f"mapped_by={choose_library()[0]} " in caplog.messages[0]


def test_a_crop_from_mapped_memory_is_the_reference_s(cupy: ModuleType) -> None:
    scene = two_hands()
    buffer = open_frame_buffers((480, 640), 1, LOG)[0]
    buffer.on_host[:] = scene.frame.depth
    fused = FusedCrop(2)

    fused.set_frame(DepthFrame(buffer.on_gpu, 1.0, scene.frame.intrinsics, 0, 0))
    out = run_fused(fused, scene.rois, open_stream())

    assert np.mean(out != numpy_crops(scene)) <= ALLOWED


def test_the_array_alone_keeps_the_memory(cupy: ModuleType) -> None:
    array = open_frame_buffers((480, 640), 1, LOG)[0].on_gpu
    gc.collect()

    array.fill(7)

    assert int(array.astype(np.int64).sum()) == 7 * 480 * 640


def test_a_camera_frame_on_the_gpu_is_used_in_place_and_kept_alive(cupy: ModuleType) -> None:
    frame = CameraFrame(cupy.arange(4 * 8, dtype=np.uint16).reshape(4, 8), width_px=6)
    wanted = frame.pixels.get()[:, :6]
    is_alive = weakref.ref(frame)

    array = wrap_camera_frame(frame)
    assert array is not None
    assert array.data.ptr == frame.pixels.data.ptr
    del frame
    gc.collect()

    np.testing.assert_array_equal(array.get(), wanted)
    assert is_alive() is not None
    del array
    gc.collect()
    assert is_alive() is None


def test_pycuda_and_cupy_share_one_context(cupy: ModuleType) -> None:
    driver = pytest.importorskip("pycuda.driver", reason="PyCUDA is not installed here", exc_type=ImportError)
    before = cupy.arange(1000)

    buffers = open_frame_buffers((480, 640), 2, LOG)

    context = driver.Device(cupy.cuda.runtime.getDevice()).retain_primary_context()
    context.push()
    try:
        read_by_pycuda = np.empty(1000, before.dtype)
        driver.memcpy_dtoh(read_by_pycuda, before.data.ptr)
    finally:
        driver.Context.pop()
    buffers[0].on_host[:] = 5
    assert read_by_pycuda.tolist() == list(range(1000))
    assert int((before + 1).sum()) == 500_500
    assert int(buffers[0].on_gpu.max()) == 5
