"""What runs a graph, whatever the library behind it: one method, fixed batch."""

from dataclasses import dataclass
from typing import Protocol

from handmap.arrays import Array
from handmap.tensors import Tensors


@dataclass(frozen=True)
class EngineOutput:
    """joints (N, J, 3) float32 in half cube sides; guidance (N, J, 32, 32) float32 or None where the model has none.

    The arrays belong to the caller.
    """

    joints: Array
    guidance: Array | None


class Engine(Protocol):
    """A hand graph made ready for one batch size on one device."""

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
class Engines:
    """The engines of one bundle."""

    hand: Engine

    def close(self) -> None:
        """Closes every engine."""
        self.hand.close()
