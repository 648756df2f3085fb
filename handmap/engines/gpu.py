"""The GPU through CuPy: whether there is one, its streams and page-locked arrays, and the fused crop of all hands.

The only module that imports cupy; import it only if a GPU was chosen, and call `open_gpu` first.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np

from handmap.engines.crop_kernel import (
    FOLDER,
    HAND,
    NAME,
    OPTIONS,
    SHARED_BYTES,
    SOURCE,
    THREADS,
    choose_cubin,
    hand_parameters,
)
from handmap.engines.engine import GpuMemory
from handmap.types.arrays import Array, ArrayModule
from handmap.types.errors import DependencyError, EngineFailed
from handmap.types.values import CROP_PX, DepthFrame, HandRoi

try:
    import cupy
except ImportError as _error:
    cupy, _missing = None, str(_error)

log: Final = logging.getLogger("handmap.gpu")


def open_gpu() -> ArrayModule:
    """The module cupy, on a machine with a usable GPU.

    Raises DependencyError if there is no CuPy, driver or GPU.
    """
    if cupy is None:
        raise DependencyError(
            f"GPU: CuPy cannot be imported ({_missing}); install the extra of this board, jetpack6 or jetpack7, "
            "or set engine.backend to onnx"
        )
    try:
        cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise DependencyError(
            f"GPU: CuPy {cupy.__version__} finds no usable GPU ({error}); install NVIDIA's driver, "
            "or set engine.backend to onnx"
        ) from error
    module: ArrayModule = cupy
    return module


def read_gpu_memory() -> GpuMemory | None:
    """The current GPU's memory; None if the driver does not tell."""
    try:
        free_bytes, total_bytes = cupy.cuda.runtime.memGetInfo()
    except cupy.cuda.runtime.CUDARuntimeError:
        return None
    return GpuMemory(total_bytes - free_bytes, total_bytes)


def open_stream() -> Any:
    """A stream that does not wait for the default one."""
    return cupy.cuda.Stream(non_blocking=True)


def pinned_empty(shape: int | tuple[int, ...], dtype: Any) -> Array:
    """An uninitialized page-locked NumPy array; copies to and from it do not block the host."""
    count = int(np.prod(shape))
    memory = cupy.cuda.alloc_pinned_memory(count * np.dtype(dtype).itemsize)
    return np.ndarray(shape, dtype, buffer=memory)


def copy_to_host(array: Array, host: Array, stream: Any) -> None:
    """Enqueues a copy of a contiguous CuPy array to a page-locked array of the same size.

    CuPy's own copies cannot be captured: it refuses them while a stream is capturing.
    """
    runtime = cupy.cuda.runtime
    runtime.memcpyAsync(host.ctypes.data, array.data.ptr, array.nbytes, runtime.memcpyDeviceToHost, stream.ptr)


@contextmanager
def cuda_errors(what: str) -> Iterator[None]:
    """Turns CUDA and CuPy errors into EngineFailed with a message about `what`."""
    failures = (cupy.cuda.runtime.CUDARuntimeError, cupy.cuda.driver.CUDADriverError, cupy.cuda.memory.OutOfMemoryError)
    try:
        yield
    except failures as error:
        raise EngineFailed(f"{what}: CUDA failed: {error}; see the kernel log for NVRM or nvgpu") from error


class FusedCrop:
    """The crops of up to `batch` hands of one frame in one kernel launch, on fixed buffers.

    out (batch, 1, 128, 128) float32 and filled (batch,) int32, how many pixels of each crop are not background, are CuPy
    arrays shared with the caller; slots without a view hold background and 0. For each frame: `set_frame`,
    `set_rois`, then `enqueue`, or a launch of a CUDA graph that captured `enqueue`. Enqueued work must have finished
    before the next `set_frame`.
    """

    def __init__(self, batch: int, out: Array | None = None) -> None:
        """Allocates the buffers, except `out` if given, and loads the kernel.

        Raises DependencyError without a GPU, ValueError if `out` is not as above and contiguous.
        """
        gpu = open_gpu()
        shape = (batch, 1, CROP_PX, CROP_PX)
        if out is not None and not (out.shape == shape and out.dtype == np.float32 and out.flags.c_contiguous):
            raise ValueError(f"fused crop: out must be contiguous float32 {shape}, found {out.dtype} {out.shape}")
        self._kernel = load_crop_kernel()
        self._uploads = open_stream()
        self._uploaded: Array | None = None
        self._frame: DepthFrame | None = None
        self._depth: Array | None = None  # keeps the memory that the parameters point to alive
        with cuda_errors("fused crop: allocating its buffers"), self._uploads:
            self._hands: Array = pinned_empty(batch, HAND)
            self._hands[:] = np.zeros((), HAND)
            self._hands_on_gpu = gpu.zeros(self._hands.nbytes, gpu.uint8)
            self.filled: Array = gpu.zeros(batch, gpu.int32)
            self.out: Array = gpu.ones(shape, gpu.float32) if out is None else out
            self._uploads.synchronize()

    def set_frame(self, frame: DepthFrame) -> None:
        """Takes a frame, forgets the views. NumPy depth is copied to the GPU now; CuPy depth is read in place, so what
        writes it must have finished.

        Raises ValueError if the pixels of a CuPy row are not contiguous, EngineFailed if CUDA fails.
        """
        if isinstance(frame.depth, cupy.ndarray):
            if frame.depth.strides[1] != frame.depth.itemsize:
                raise ValueError(
                    f"fused crop: pixels of a row must be side by side, found strides {frame.depth.strides}"
                )
            self._depth = frame.depth
        else:
            with cuda_errors("fused crop: copying a frame to the GPU"):
                if self._uploaded is None or self._uploaded.shape != frame.depth.shape:
                    self._uploaded = cupy.empty(frame.depth.shape, np.uint16)
                self._uploaded.set(frame.depth, stream=self._uploads)
                self._uploads.synchronize()
            self._depth = self._uploaded
        self._frame = frame
        self.set_rois(())

    def set_rois(self, rois: Sequence[HandRoi]) -> None:
        """Sets what to crop from the frame, one view per batch slot.

        Raises ValueError for more views than slots, or before the first frame.
        """
        if len(rois) > len(self._hands) or self._frame is None or self._depth is None:
            raise ValueError(
                f"fused crop: {len(rois)} ROIs for {len(self._hands)} slots, wanted a frame first and at most as many ROIs"
            )
        pitch_px = self._depth.strides[0] // self._depth.itemsize
        self._hands[: len(rois)] = hand_parameters(self._frame, self._depth.data.ptr, pitch_px, rois)
        self._hands[len(rois) :] = np.zeros((), HAND)

    def enqueue(self, stream: Any) -> None:
        """Puts the crop on a stream: copies the parameters, launches the kernel; allocates nothing, so it can be captured.

        Raises EngineFailed if CUDA fails.
        """
        with cuda_errors("fused crop"), stream:
            cupy.cuda.runtime.memcpyAsync(
                self._hands_on_gpu.data.ptr,
                self._hands.ctypes.data,
                self._hands.nbytes,
                cupy.cuda.runtime.memcpyHostToDevice,
                stream.ptr,
            )
            arguments = (self._hands_on_gpu, self.out, self.filled)
            self._kernel((len(self._hands),), (THREADS,), arguments, shared_mem=SHARED_BYTES)


def load_crop_kernel() -> Any:
    """The crop kernel for the GPU in use: the shipped cubin if one fits, else compiled from source.

    Raises DependencyError if neither loads.
    """
    architecture = f"sm_{cupy.cuda.Device().compute_capability}"
    choice = choose_cubin(architecture)
    if choice.cubin is not None:
        module = cupy.RawModule(path=str(choice.cubin))
    else:  # CuPy adds -ftz=true: harmless, no value of a crop comes near 1e-38
        module = cupy.RawModule(code=(FOLDER / SOURCE).read_text(), options=OPTIONS)
    loaded_from = choice.cubin.name if choice.cubin else SOURCE
    try:
        kernel = module.get_function(NAME)
        kernel.max_dynamic_shared_size_bytes = SHARED_BYTES  # above 48 KB it must be requested
    # CUDA's driver refuses a cubin, or NVRTC is missing (both RuntimeError), or refuses the source.
    except (RuntimeError, cupy.cuda.compiler.CompileException) as error:
        raise DependencyError(
            f"crop kernel: {loaded_from} does not load on {architecture} ({error}); update NVIDIA's driver, "
            "or set engine.backend to onnx"
        ) from error
    log.info("crop kernel loaded_from=%s architecture=%s reason=%r", loaded_from, architecture, choice.reason)
    return kernel
