"""Names, types and shapes of a graph's inputs and outputs: stated in a manifest, and required of an opened engine."""

from typing import Final

import msgspec

from handmap.types.values import GUIDANCE_PX

# Possible outputs of a hand graph; all but the joints are optional.
HAND_OUTPUTS = ("joints", "guidance", "side", "spread")


def hand_output_shapes(batch: int, joints: int) -> dict[str, tuple[int, ...]]:
    """The shape of each output of a hand graph by name."""
    return {
        "joints": (batch, joints, 3),
        "guidance": (batch, joints, GUIDANCE_PX, GUIDANCE_PX),
        "side": (batch, 1),
        "spread": (batch, joints, 3),
    }


class Tensor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tensor of a graph; a symbolic axis is written as its name."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


class Tensors(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The inputs and outputs of a graph."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


PALM_ROWS: Final = 96  # of the input of a palm graph
PALM_COLUMNS: Final = 128
PALM_MAP_ROWS: Final = 24  # of its output
PALM_MAP_COLUMNS: Final = 32
PALM_TENSORS = Tensors(
    (Tensor("depth_small", "float32", ("batch", 1, PALM_ROWS, PALM_COLUMNS)),),
    (Tensor("palms", "float32", ("batch", 3, PALM_MAP_ROWS, PALM_MAP_COLUMNS)),),
)


def refuse_other_palm_tensors(tensors: Tensors) -> None:
    """Raises ValueError unless the tensors are those of a palm graph."""
    for found, wanted, what in (
        (tensors.inputs, PALM_TENSORS.inputs, "inputs"),
        (tensors.outputs, PALM_TENSORS.outputs, "outputs"),
    ):
        if found != wanted:
            raise ValueError(
                f"tensors.{what}: wanted {msgspec.to_builtins(wanted)}, found {msgspec.to_builtins(found)}"
            )


def fix_batch(tensors: Tensors, batch: int) -> Tensors:
    """The tensors with their first axis, the batch, set to a number."""
    return Tensors(
        tuple(_fix(tensor, batch) for tensor in tensors.inputs), tuple(_fix(t, batch) for t in tensors.outputs)
    )


def _fix(tensor: Tensor, batch: int) -> Tensor:
    return Tensor(tensor.name, tensor.dtype, (batch, *tensor.shape[1:]))
