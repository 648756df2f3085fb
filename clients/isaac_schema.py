"""The layout of IsaacTeleop's HandPoseRecord, as a FlatBuffers binary schema: a replay compares it with the layout that it reads."""

from dataclasses import dataclass
from typing import Final

from .flat_buffers import Scalar, Table, Value, flat_buffer

RECORD_NAME: Final = "core.HandPoseRecord"
_IDENTIFIER: Final = b"BFBS"
# Codes of types in reflection.fbs, which describes binary schemas.
_BOOL, _LONG, _FLOAT, _OBJECT, _ARRAY = 2, 9, 11, 15, 17
_NUMBER_BYTES: Final = {_BOOL: 1, _LONG: 8, _FLOAT: 4}
_FIRST_FIELD, _FIELD_STEP = 4, 2  # in a table's field table


@dataclass(frozen=True)
class _Field:
    """A field of a number's type, of an object's, or of a fixed number of objects'."""

    name: str
    kind: int
    object_name: str = ""
    count: int = 0


@dataclass(frozen=True)
class _Layout:
    """A struct, or a table if its size is 0."""

    name: str
    fields: tuple[_Field, ...]
    align_bytes: int = 1
    size_bytes: int = 0
    offsets: tuple[int, ...] = ()


def _numbers(kind: int, *names: str) -> tuple[_Field, ...]:
    return tuple(_Field(name, kind) for name in names)


_CLOCKS = ("available_time_local_common_clock", "sample_time_local_common_clock", "sample_time_raw_device_clock")
_POSE = (_Field("position", _OBJECT, "core.Point"), _Field("orientation", _OBJECT, "core.Quaternion"))
_JOINT = (_Field("pose", _OBJECT, "core.Pose"), _Field("is_valid", _BOOL), _Field("radius", _FLOAT))
_JOINTS = (_Field("poses", _ARRAY, "core.HandJointPose", 26),)
_RECORD = (_Field("data", _OBJECT, "core.HandPose"), _Field("timestamp", _OBJECT, "core.DeviceDataTimestamp"))
_LAYOUTS: Final = (  # sorted by name, as a binary schema must be
    _Layout("core.DeviceDataTimestamp", _numbers(_LONG, *_CLOCKS), 8, 24, (0, 8, 16)),
    _Layout("core.HandJointPose", _JOINT, 4, 36, (0, 28, 32)),
    _Layout("core.HandJoints", _JOINTS, 4, 26 * 36, (0,)),
    _Layout("core.HandPose", (_Field("joints", _OBJECT, "core.HandJoints"),)),
    _Layout(RECORD_NAME, _RECORD),
    _Layout("core.Point", _numbers(_FLOAT, "x", "y", "z"), 4, 12, (0, 4, 8)),
    _Layout("core.Pose", _POSE, 4, 28, (0, 12)),
    _Layout("core.Quaternion", _numbers(_FLOAT, "x", "y", "z", "w"), 4, 16, (0, 4, 8, 12)),
)
_INDEX: Final = {layout.name: number for number, layout in enumerate(_LAYOUTS)}


def record_schema() -> bytes:
    """The bytes of the binary schema (a .bfbs file) with HandPoseRecord as its root."""
    objects = [_object(layout) for layout in _LAYOUTS]
    schema = Table({0: objects, 1: [], 4: objects[_INDEX[RECORD_NAME]]})
    return flat_buffer(schema, _IDENTIFIER)


def _object(layout: _Layout) -> Table:
    fields = sorted(enumerate(layout.fields), key=lambda field: field[1].name)
    tables = [_field(layout, number, field) for number, field in fields]
    return Table(
        {
            0: layout.name,
            1: tables,
            2: Scalar("B", bool(layout.size_bytes)),
            3: Scalar("i", layout.align_bytes),
            4: Scalar("i", layout.size_bytes),
        }
    )


def _field(layout: _Layout, number: int, field: _Field) -> Table:
    offset = layout.offsets[number] if layout.size_bytes else _FIRST_FIELD + _FIELD_STEP * number
    contents: dict[int, Value] = {0: field.name, 1: _type(field), 2: Scalar("H", number), 3: Scalar("H", offset)}
    if not layout.size_bytes:
        contents[11] = Scalar("B", True)  # optional
    return Table(contents)


def _type(field: _Field) -> Table:
    size = _NUMBER_BYTES.get(field.kind, 4)
    contents: dict[int, Value] = {0: Scalar("b", field.kind), 4: Scalar("I", size)}
    if field.object_name:
        contents[2] = Scalar("i", _INDEX[field.object_name])
    if field.kind == _ARRAY:
        contents |= {1: Scalar("b", _OBJECT), 3: Scalar("H", field.count)}
    return Table(contents)
