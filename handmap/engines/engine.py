"""The engine protocols: run a graph with a fixed batch, whatever the library behind it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, runtime_checkable

from handmap.bundle.tensors import Tensors
from handmap.types.arrays import Array, Float32, Int32
from handmap.types.values import DepthFrame, HandRoi


@dataclass(frozen=True)
class EngineOutput:
    """joints (N, J, 3) float32 in half cube sides; guidance (N, J, 32, 32), side (N, 1) and spread (N, J, 3) float32, or None
    if the model lacks it.

    side is the logit of a right hand; spread the standard deviation of the votes for each joint, in half cube sides. The arrays
    belong to the caller.
    """

    joints: Array
    guidance: Array | None
    side: Array | None = None
    spread: Array | None = None

    @staticmethod
    def of(values: Mapping[str, Array]) -> "EngineOutput":
        """The output tensors of a hand graph by name."""
        return EngineOutput(values["joints"], values.get("guidance"), values.get("side"), values.get("spread"))


class Engine(Protocol):
    """A hand graph prepared for one batch size on one device."""

    batch: int
    precision: str
    tensors: Tensors  # as the library reports them

    def infer(self, depth: Array) -> EngineOutput:
        """The output for depth (batch, 1, 128, 128) float32 in [-1, 1].

        Raises EngineFailed if the library does.
        """
        ...

    def close(self) -> None:
        """Frees what the engine holds; it cannot be used afterwards."""
        ...


@dataclass(frozen=True)
class GpuMemory:
    """Memory of the GPU, of all programs on it; a board's is that of the whole machine."""

    used_bytes: int
    total_bytes: int


@runtime_checkable
class OnGpu(Protocol):
    """An `Engine` that runs on a GPU."""

    def gpu_memory(self) -> GpuMemory | None:
        """Of its GPU, now; None if the driver does not tell. Any thread can call this, also once the engine is closed."""
        ...


@runtime_checkable
class CroppingEngine(Engine, Protocol):
    """A hand engine that crops on its own device: a frame and ROIs in, joints out."""

    def infer_rois(self, frame: DepthFrame, rois: Sequence[HandRoi]) -> tuple[EngineOutput, Int32]:
        """The output for at most `batch` views, and the number of non-background pixels in each crop (batch,).

        Raises EngineFailed if the library does.
        """
        ...


class PalmEngine(Protocol):
    """A palm graph prepared for one frame at a time."""

    precision: str
    tensors: Tensors

    def infer(self, depth_small: Array) -> Float32:
        """palms (3, 24, 32) on the host for depth_small (96, 128); see `handmap.tracking.palm_detector`.

        Raises EngineFailed if the library does.
        """
        ...

    def close(self) -> None:
        """Frees what the engine holds; it cannot be used afterwards."""
        ...


@dataclass(frozen=True)
class Engines:
    """The engines of one bundle; min_score is the palm detector's score threshold."""

    hand: Engine
    palm: PalmEngine | None = None
    min_score: float = 1.0

    def __enter__(self) -> "Engines":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes every engine."""
        try:
            self.hand.close()
        finally:
            if self.palm is not None:
                self.palm.close()
