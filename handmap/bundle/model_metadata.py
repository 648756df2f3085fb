"""Metadata of a trained program, carried from training to export inside the `.pt2` as the extra file `handmap.json`."""

from typing import Any, Final

import msgspec

from handmap.bundle.confidence import ConfidenceTable
from handmap.bundle.facts import CubeMm, MinScore, Normalization, refuse_cube, refuse_other_joints
from handmap.files.reading import NotJson, decode_json
from handmap.types.errors import ModelError

METADATA_FILE: Final = "handmap.json"


class ModelMetadata(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Facts of a hand network; for a foreign program they come as YAML (`--model-facts`)."""

    joint_names: tuple[str, ...]
    cube_mm: CubeMm
    cube_mm_range: tuple[CubeMm, CubeMm]
    normalization: Normalization = msgspec.field(name="normalisation")
    confidence: ConfidenceTable
    provenance: dict[str, Any] = msgspec.field(name="made_from", default_factory=dict)

    def __post_init__(self) -> None:
        refuse_other_joints(self.joint_names)
        refuse_cube(self.cube_mm, self.cube_mm_range)


class PalmMetadata(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="graph", tag="palm"):
    """Facts of a palm detector: its score threshold."""

    min_score: MinScore = msgspec.field(name="least_score")
    provenance: dict[str, Any] = msgspec.field(name="made_from", default_factory=dict)


def encode_metadata(facts: ModelMetadata | PalmMetadata) -> str:
    """The JSON text of the facts."""
    return msgspec.json.format(msgspec.json.encode(facts), indent=1).decode()


def decode_metadata(text: str, whence: str) -> ModelMetadata:
    """The facts in a JSON text; `whence` names the file in the message.

    Raises ModelError.
    """
    try:
        return decode_json(text, ModelMetadata)
    except NotJson as error:
        raise ModelError(
            f"program {whence!r}: its {METADATA_FILE} is not a set of model facts: {error}; train it again or pass --model-facts"
        ) from error
