"""A model's facts: the range of each, and the conventions that every bundle keeps.

A fact is applied or refused. Export applies a joint order and a normalization of the network's own by changing the graph, so in
a bundle both are always the same; the structs of manifest and metadata refuse everything else when they are read.
"""

from typing import Annotated, Final

import msgspec

from handmap.bundle.tensors import Tensors, hand_output_shapes
from handmap.types.joints import HAND21, JOINT_COUNT
from handmap.types.values import CROP_PX

# Bounds keep out what no model states, infinity and NaN included.
CubeMm = Annotated[float, msgspec.Meta(ge=50, le=1000)]  # full side of the hand cube
ErrorMm = Annotated[float, msgspec.Meta(ge=0, le=1000)]  # expected error of a joint
Probability = Annotated[float, msgspec.Meta(ge=0, le=1)]
MinScore = Annotated[float, msgspec.Meta(gt=0, lt=1)]  # of a detection by the palm graph
Share = Annotated[float, msgspec.Meta(ge=-1, le=1)]  # of hands, INT8 compared with FP32
Extra = Annotated[float, msgspec.Meta(ge=0, le=1000)]  # detections that FP32 does not have, as a share of its own
Weight = Annotated[
    float, msgspec.Meta(ge=-1e6, le=1e6)
]  # of a fitted table: weights, and the values they are looked up at
InputValue = Annotated[float, msgspec.Meta(ge=-10_000, le=10_000)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
FileName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")]  # in the bundle's own folder

# Paths of the fields that only record, for people and audits: nothing is decided by them. Every other field is applied or
# refused, which `python -m tests.support.field_mutations` shows for each.
PROVENANCE: Final = frozenset(
    {
        "made_from",  # of a manifest and of model metadata: checkpoint, commit, tools, opset
        "accuracy",  # of a graph file: the score of a precision
        "gate.kind",  # of a gate: how, on what, and on how many frames its figures were measured
        "gate.dataset",
        "gate.frames",
    }
)


class Normalization(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Values of the input at the near face and far face of the cube and in the background."""

    near: InputValue
    far: InputValue
    background: InputValue

    def __post_init__(self) -> None:
        if not self.near != self.far:
            raise ValueError(f"normalisation: near and far must differ, found {self.near} for both")


STANDARD: Final = Normalization(near=-1.0, far=1.0, background=1.0)


def refuse_cube(cube_mm: float, cube_mm_range: tuple[float, float]) -> None:
    """Raises ValueError unless the cube lies in its range."""
    low, high = cube_mm_range
    if not 0 < low <= cube_mm <= high:
        raise ValueError(f"cube_mm must lie in cube_mm_range, found {cube_mm} and {cube_mm_range}")


def refuse_other_joints(names: tuple[str, ...]) -> None:
    """Raises ValueError unless the names are those of hand21, in any order."""
    unknown = [name for name in names if name not in HAND21]
    missing = [name for name in HAND21 if name not in names]
    if len(names) == JOINT_COUNT and not unknown and not missing:
        return
    found = f"found {len(names)}" + (f", among them {', '.join(map(repr, unknown[:3]))}" if unknown else "")
    lacks = f", without {', '.join(missing[:3])}" if missing else ""
    raise ValueError(
        f"joint_names: wanted the {JOINT_COUNT} joints of hand21 in any order ({', '.join(HAND21)}), {found}{lacks}; "
        "name the network's joints like this, or train one that has these"
    )


def refuse_other_conventions(joint_names: tuple[str, ...], normalization: Normalization) -> None:
    """Raises ValueError unless joints are in the order of hand21 and the input is normalized as the crop is."""
    if joint_names != HAND21:
        refuse_other_joints(joint_names)
        raise ValueError(
            f"joint_names: wanted the order of hand21 ({', '.join(HAND21)}), found {', '.join(joint_names)}; export the "
            "network again, which permutes its joints"
        )
    if normalization != STANDARD:
        raise ValueError(
            f"normalisation: wanted near -1, far 1 and background 1, found {normalization.near}, {normalization.far} and "
            f"{normalization.background}; export the network again, which adds the conversion to its graph"
        )


def refuse_other_tensors(tensors: Tensors) -> None:
    """Raises ValueError unless the tensors are those of a hand graph."""
    shapes = {tensor.name: (tensor.dtype, tensor.shape) for tensor in tensors.outputs}
    known = {name: ("float32", ("batch", *shape[1:])) for name, shape in hand_output_shapes(1, JOINT_COUNT).items()}
    inputs = [(tensor.name, tensor.dtype, tensor.shape) for tensor in tensors.inputs]
    if inputs != [("depth", "float32", ("batch", 1, CROP_PX, CROP_PX))]:
        raise ValueError(f"tensors.inputs: wanted float32 depth (batch, 1, {CROP_PX}, {CROP_PX}), found {inputs}")
    fits = "joints" in shapes and len(shapes) == len(tensors.outputs)
    if not fits or any(known.get(name) != found for name, found in shapes.items()):
        raise ValueError(f"tensors.outputs: wanted joints, and any others of {known}, found {shapes}")
