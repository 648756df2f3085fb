"""The engines of a board, loaded from the engine cache: fused crop and hand network as one CUDA graph, and the palm network.

Frames reach the GPU through one page-locked, device-mapped buffer, which the crop reads in place, unless the camera has put them there already.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Final

import numpy as np

from handmap.bundle.manifest import Bundle
from handmap.engines.cache import StoredEngine, WantedEngine, find_engine, hold_engine, palm_beside
from handmap.engines.cache_dir import engine_cache_dir
from handmap.engines.cuda_driver import read_device_facts
from handmap.engines.device_engine import DeviceEngine
from handmap.engines.engine import EngineOutput, GpuMemory
from handmap.engines.engine_keys import BuilderOptions, describe_platform, engine_key, tensorrt_build
from handmap.engines.gpu import FusedCrop, cuda_errors, read_gpu_memory
from handmap.engines.mapped_memory import FrameBuffer, open_frame_buffers
from handmap.engines.tensorrt_engine import load_tensorrt, open_tensorrt_engine
from handmap.system.jetpack import read_l4t_release
from handmap.types.arrays import Array, Float32, Int32
from handmap.types.values import DepthFrame, HandRoi

LOG: Final = logging.getLogger("handmap.gpu")


class _StoredEngine:
    """A device engine, and the open engine file that cache cleanup leaves alone as long as it is held."""

    def __init__(self, engine: DeviceEngine, held: IO[bytes] | None) -> None:
        self.precision, self.tensors = engine.precision, engine.tensors
        self._engine, self._held = engine, held

    def close(self) -> None:
        """Closes the engine and releases its file."""
        try:
            self._engine.close()
        finally:
            if self._held is not None:
                self._held.close()


class GpuHandEngine(_StoredEngine):
    """A device engine with its own crop; implements `handmap.engines.engine.CroppingEngine`. Not thread-safe."""

    def __init__(self, engine: DeviceEngine, crop: FusedCrop, held: IO[bytes] | None = None) -> None:
        """`crop` writes into the engine's input; `held` keeps cache cleanup from removing the engine file."""
        super().__init__(engine, held)
        self.batch = engine.batch
        self._crop = crop
        self._frame: DepthFrame | None = None
        self._buffer: FrameBuffer | None = None
        engine.set_preprocess(crop.enqueue)

    def infer(self, depth: Array) -> EngineOutput:
        """See `handmap.engines.engine.Engine`."""
        return self._engine.infer(depth)

    def infer_rois(self, frame: DepthFrame, rois: Sequence[HandRoi]) -> tuple[EngineOutput, Int32]:
        """See `handmap.engines.engine.CroppingEngine`; each frame is uploaded only once."""
        if frame is not self._frame:
            self._crop.set_frame(self._on_gpu(frame))
            self._frame = frame
        self._crop.set_rois(rois)
        output = self._engine.replay()
        with cuda_errors("fused crop: reading what it filled"):
            filled: Int32 = self._crop.filled.get(stream=self._engine.stream)
        return output, filled

    def gpu_memory(self) -> GpuMemory | None:
        """See `handmap.engines.engine.OnGpu`."""
        return read_gpu_memory()

    def _on_gpu(self, frame: DepthFrame) -> DepthFrame:
        """The frame in memory that the GPU can read; unchanged if it is there already."""
        if not isinstance(frame.depth, np.ndarray):
            return frame
        if frame.on_gpu is not None:
            return replace(frame, depth=frame.on_gpu)
        if self._buffer is None or self._buffer.on_host.shape != frame.depth.shape:
            (self._buffer,) = open_frame_buffers(frame.depth.shape, 1, LOG)
        np.copyto(self._buffer.on_host, frame.depth)
        return replace(frame, depth=self._buffer.on_gpu)


class GpuPalmEngine(_StoredEngine):
    """A device engine of the palm graph; implements `handmap.engines.engine.PalmEngine`. Not thread-safe."""

    def __init__(self, engine: DeviceEngine, held: IO[bytes] | None = None) -> None:
        """`held` keeps cache cleanup from removing the engine file."""
        super().__init__(engine, held)

    def infer(self, depth_small: Array) -> Float32:
        """See `handmap.engines.engine.PalmEngine`; depth_small is a NumPy or CuPy array."""
        (palms,) = self._engine.run(depth_small[None, None])["palms"]
        answer: Float32 = palms
        return answer


def open_gpu_palm_engine(bundle: Bundle, precision: str, wanted_of_hand: WantedEngine) -> GpuPalmEngine:
    """The palm engine that was built along with the hand engine.

    Raises as `open_gpu_engine` does.
    """
    stored = find_engine(palm_beside(wanted_of_hand, bundle, precision))
    held = hold_engine(stored)
    try:
        return GpuPalmEngine(open_tensorrt_engine(stored.path, 1, precision, graph="palm"), held)
    except BaseException:
        held.close()
        raise


def wanted_engine(
    bundle: Bundle, precision: str, batch: int, options: BuilderOptions, cache_dir: Path | None
) -> WantedEngine:
    """The hand engine that this device needs. Raises DependencyError without driver or TensorRT."""
    device = read_device_facts()
    platform = describe_platform(tensorrt_build(load_tensorrt()), device, read_l4t_release())
    key = engine_key(bundle, precision, batch, platform, options)
    return WantedEngine(cache_dir or engine_cache_dir(), bundle.path.resolve(), precision, key)


def open_gpu_engine(
    bundle: Bundle, precision: str, batch: int, options: BuilderOptions, cache_dir: Path | None
) -> GpuHandEngine:
    """The engine that `handmap build-engine` built from a bundle for this device with these options.

    Raises EngineUnusable, with its cause and the command to build it, if there is none that can be loaded; DependencyError
    without driver, TensorRT or CuPy.
    """
    wanted = wanted_engine(bundle, precision, batch, options, cache_dir)
    stored: StoredEngine = find_engine(wanted)
    held = hold_engine(stored)
    try:
        engine = open_tensorrt_engine(stored.path, batch, precision)
        return GpuHandEngine(engine, FusedCrop(batch, engine.input_buffer), held)
    except BaseException:
        held.close()
        raise
