import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from clients.flat_buffers import Scalar, Struct, Table, flat_buffer
from clients.isaac import IsaacFile, hand_record
from clients.isaac_schema import record_schema
from handmap.types.errors import RecordingError
from tests.support.adapter_checks import FlatTable, check_isaac_joints, mcap_records
from tests.support.wire_hands import NOW_NS, SAMPLE_NS, golden_row, golden_rows, moment, seen

JOINT_BYTES = 36  # a pose of seven floats, a bool, padding, a radius


def joints_of(record: bytes) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Positions, orientations, validity and radii, at the places that hand.fbs gives them."""
    place = FlatTable(record).table(0).at(0)
    assert place is not None and place % 4 == 0
    content = np.frombuffer(record, np.uint8, 26 * JOINT_BYTES, place).reshape(26, JOINT_BYTES)
    floats = np.ascontiguousarray(content[:, :28]).view("<f4")
    return floats[:, :3], floats[:, 3:], content[:, 28], np.ascontiguousarray(content[:, 32:]).view("<f4")[:, 0]


def test_a_record_has_the_joints_of_either_hand() -> None:
    for row in golden_rows():
        record = hand_record(seen(row), NOW_NS)

        check_isaac_joints(*joints_of(record), row)


def test_a_record_has_three_times() -> None:
    for record in (hand_record(seen(golden_row("fist", "back", "left")), NOW_NS), hand_record(None, NOW_NS)):
        place = FlatTable(record).at(1)

        assert place is not None and place % 8 == 0
        assert struct.unpack_from("<q", record, place)[0] == NOW_NS
    held = hand_record(seen(golden_row("fist", "back", "left"), is_live=False), NOW_NS)
    assert struct.unpack_from("<qqq", held, FlatTable(held).at(1) or 0) == (NOW_NS, SAMPLE_NS, SAMPLE_NS)
    assert not joints_of(held)[2].any()  # a held hand is there, but no joint of it is valid


def test_a_lost_hand_and_one_without_orientations_have_no_data() -> None:
    bare = seen(golden_row("fist", "back", "left"), has_skeleton=False)

    for record in (hand_record(None, NOW_NS), hand_record(bare, NOW_NS)):
        assert FlatTable(record).at(0) is None


def test_the_schema_describes_the_record() -> None:
    content = record_schema()
    schema = FlatTable(content)

    assert content[4:8] == b"BFBS"
    objects = {one.text(0): one for one in schema.tables(0)}
    assert list(objects) == sorted(objects) and len(objects) == 8
    assert schema.table(4).text(0) == "core.HandPoseRecord"
    joint = {one.text(0): one.number(3, "H") for one in objects["core.HandJointPose"].tables(1)}
    assert joint == {"is_valid": 28, "pose": 0, "radius": 32}
    assert objects["core.HandJoints"].number(4, "i") == 26 * JOINT_BYTES
    names = [one.text(0) for one in objects["core.HandPoseRecord"].tables(1)]
    assert names == ["data", "timestamp"]


def test_a_flat_buffer_holds_what_was_put_in() -> None:
    shared = Table({0: "name"})
    root = Table({0: [shared, Table({})], 2: Scalar("q", -5), 3: Scalar("B", 1), 4: Struct(b"abc", 1), 5: shared})

    found = FlatTable(flat_buffer(root, b"TEST"))

    assert [one.at(0) is not None for one in found.tables(0)] == [True, False]
    assert found.at(1) is None and found.number(2, "q") == -5 and found.number(3, "B") == 1
    assert found.table(5).place == found.tables(0)[0].place and found.table(5).text(0) == "name"


def test_the_file_has_a_record_of_each_hand_in_each_moment(tmp_path: Path) -> None:
    right = golden_row("fist", "back", "right")
    with IsaacFile(tmp_path / "out") as file:
        file.take(moment(seen(right)))
        file.take(moment(now_ns=NOW_NS + 1))
        assert not (tmp_path / "out").exists()

    records = mcap_records((tmp_path / "out/hands.mcap").read_bytes())

    topics = [content[8 : 8 + struct.unpack_from("<I", content, 4)[0]] for opcode, content in records if opcode == 4]
    assert topics[:2] == [b"hands/left_hand", b"hands/right_hand"]
    messages = [content for opcode, content in records if opcode == 5]
    assert [struct.unpack_from("<HIQ", one) for one in messages] == [
        (0, 0, NOW_NS), (1, 0, NOW_NS), (0, 1, NOW_NS + 1), (1, 1, NOW_NS + 1),
    ]  # fmt: skip
    check_isaac_joints(*joints_of(messages[1][22:]), right)
    assert FlatTable(messages[0][22:]).at(0) is None


def test_a_name_that_is_taken_is_refused_and_a_failure_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(RecordingError, match="never overwritten"):
        IsaacFile(tmp_path / "out").__enter__()

    with pytest.raises(ValueError), IsaacFile(tmp_path / "new"):
        raise ValueError
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
