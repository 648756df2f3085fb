"""Which library maps frame buffers without PyCUDA or a GPU, and camera frames that are not on the GPU."""

import logging
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from handmap.engines import gpu
from handmap.engines.mapped_memory import CUPY, choose_library, open_frame_buffers, wrap_camera_frame
from handmap.types.errors import DependencyError
from tests.support.realsense import sdk

BROKEN_DRIVER = """
import warnings
warnings.warn("Failed to import the CUDA driver interface", stacklevel=2)
raise ImportError("undefined symbol: cuMemHostAlloc_v2")
"""


class FrameOfAnOlderSdk:
    """Has pixels on the host only, like frames before SDK 2.59."""

    def get_data(self) -> bytes:
        return bytes(4)


@pytest.mark.skipif(find_spec("pycuda") is not None, reason="PyCUDA is installed here")
def test_without_pycuda_cupy_maps_the_memory() -> None:
    library, reason = choose_library()

    assert library == CUPY
    assert reason.startswith("PyCUDA cannot be imported: No module named 'pycuda'")


def test_a_broken_pycuda_counts_as_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    """Built for another driver, it warns on its import and then raises."""
    package = tmp_path / "pycuda"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "driver.py").write_text(BROKEN_DRIVER)
    for name in [name for name in sys.modules if name.partition(".")[0] == "pycuda"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)

    library, reason = choose_library()
    sys.modules.pop("pycuda", None)

    assert (library, reason) == (CUPY, "PyCUDA cannot be imported: undefined symbol: cuMemHostAlloc_v2")
    assert recwarn.list == []


def test_frame_buffers_without_a_gpu_are_refused(caplog: pytest.LogCaptureFixture) -> None:
    try:
        gpu.open_gpu()
    except DependencyError:
        with caplog.at_level(logging.INFO), pytest.raises(DependencyError, match=r"^GPU: CuPy"):
            open_frame_buffers((480, 640), 3, logging.getLogger("test"))

        assert caplog.messages == []
    else:
        pytest.skip("this machine has a GPU; tests/gpu covers it")


def test_a_frame_of_an_older_camera_sdk_is_not_on_the_gpu() -> None:
    assert wrap_camera_frame(FrameOfAnOlderSdk()) is None


def test_a_frame_of_a_camera_sdk_without_cuda_is_not_on_the_gpu() -> None:
    """The SDK's wheel for x86-64 has the call, and no CUDA behind it."""
    rs = sdk()
    device = rs.software_device()
    sensor = device.add_sensor("Depth")
    stream = rs.video_stream()
    stream.type, stream.fmt, stream.fps, stream.bpp = rs.stream.depth, rs.format.z16, 30, 2
    stream.width, stream.height, stream.index, stream.uid = 640, 480, 0, 1
    profile = sensor.add_video_stream(stream)
    queue = rs.frame_queue(1)
    sensor.open(profile)
    sensor.start(queue)
    sent = rs.software_video_frame()
    sent.pixels, sent.stride, sent.bpp = np.zeros((480, 640), np.uint16), 1280, 2
    sent.frame_number, sent.timestamp, sent.domain = 1, 1.0, rs.timestamp_domain.hardware_clock
    sent.profile = profile.as_video_stream_profile()
    sensor.on_video_frame(sent)

    frame = queue.wait_for_frame(5000)

    assert wrap_camera_frame(frame) is None
    sensor.stop()
    sensor.close()
