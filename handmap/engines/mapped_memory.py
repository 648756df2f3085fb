"""Zero-copy frames for camera and GPU: page-locked buffers mapped into the GPU, or the camera SDK's own memory.

The only module that imports pycuda, which is optional: it maps memory explicitly. The fallback is CuPy's page-locked memory,
which has the same address on both sides wherever CUDA has unified addressing (every 64-bit Linux).
"""

import logging
import warnings
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from handmap.engines.gpu import cuda_errors, open_gpu, pinned_empty
from handmap.types.arrays import Array, ArrayModule, Uint16
from handmap.types.errors import EngineFailed

PYCUDA: Final = "pycuda"
CUPY: Final = "cupy"


@dataclass(frozen=True)
class FrameBuffer:
    """One depth image (height, width) uint16 in memory that both sides see; the CuPy array keeps the memory alive."""

    on_host: Uint16
    on_gpu: Array


def open_frame_buffers(shape: tuple[int, int], count: int, log: logging.Logger) -> list[FrameBuffer]:
    """`count` buffers of this shape for the GPU in use; logs which library mapped them.

    Work launched after the host has written sees the new contents. Raises DependencyError without a GPU,
    EngineFailed if CUDA refuses the memory.
    """
    gpu = open_gpu()
    library, reason = choose_library()
    with cuda_errors(f"frame buffers {shape} by {library}"):
        if library == PYCUDA:
            hosts = _allocate_by_pycuda(shape, count, gpu.cuda.runtime.getDevice())
        else:
            hosts = [(buffer, buffer.ctypes.data) for buffer in (pinned_empty(shape, np.uint16) for _ in range(count))]
        buffers = [FrameBuffer(host, _as_gpu_array(gpu, address, shape, host)) for host, address in hosts]
    log.info("frame buffers mapped_by=%s reason=%r count=%d shape=%s", library, reason, count, shape)
    return buffers


def choose_library() -> tuple[str, str]:
    """Which library maps memory here, PYCUDA or CUPY, and why."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns before it raises, with the same message
            import pycuda.driver
    except ImportError as error:  # not installed, or built for another driver
        return CUPY, f"PyCUDA cannot be imported: {error}"
    return PYCUDA, f"PyCUDA {pycuda.VERSION_TEXT}"


def wrap_camera_frame(frame: Any) -> Array | None:
    """A depth frame of the RealSense SDK as a CuPy array (height, width) uint16 over the SDK's own memory.

    None if the SDK (before 2.59), its build or this frame has no GPU memory: then copy its data to a `FrameBuffer`.
    The array keeps the frame alive, and with it one of the SDK's few buffers: drop it when the GPU is done.
    """
    ask = getattr(frame, "get_gpu_data_or_upload", None)
    answer = ask() if ask is not None else None
    if answer is None:
        return None
    address, _ = answer
    shape = (frame.get_height(), frame.get_width())
    return _as_gpu_array(open_gpu(), address, shape, frame, frame.get_stride_in_bytes())


def _allocate_by_pycuda(shape: tuple[int, int], count: int, device: int) -> list[tuple[Uint16, int]]:
    """Buffers with their addresses on the GPU, in the primary context: CuPy and TensorRT live there, and one that PyCUDA
    made for itself would know nothing of their memory.
    """
    import pycuda.driver

    pycuda.driver.init()
    context = pycuda.driver.Device(device).retain_primary_context()
    context.push()
    try:
        flags = pycuda.driver.host_alloc_flags.DEVICEMAP
        buffers = [pycuda.driver.pagelocked_empty(shape, np.uint16, mem_flags=flags) for _ in range(count)]
        return [(buffer, int(buffer.base.get_device_pointer())) for buffer in buffers]
    except pycuda.driver.Error as error:
        raise EngineFailed(f"frame buffers {shape}: PyCUDA failed: {error}; free memory of the machine") from error
    finally:
        pycuda.driver.Context.pop()


def _as_gpu_array(
    gpu: ArrayModule, address: int, shape: tuple[int, int], owner: Any, pitch_bytes: int | None = None
) -> Array:
    """The uint16 image at an address on the GPU; the array keeps `owner` alive."""
    row_bytes = shape[1] * 2 if pitch_bytes is None else pitch_bytes
    memory = gpu.cuda.UnownedMemory(address, shape[0] * row_bytes, owner, gpu.cuda.runtime.getDevice())
    return gpu.ndarray(shape, np.uint16, gpu.cuda.MemoryPointer(memory, 0), strides=(row_bytes, 2))
