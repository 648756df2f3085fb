import dataclasses
from pathlib import Path
from typing import Any

import pytest
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore

from clients.ros_bag import HandBag, frame_id_of, write_hands
from handmap.client.session import Received
from handmap.protocol.fields import DaemonState, FrameOfReference, MessageType
from handmap.protocol.packet import Packet
from handmap.types.errors import ConfigError, RecordingError
from tests.support.adapter_checks import check_ros_hand
from tests.support.wire_hands import NOW_NS, SAMPLE_NS, golden_row, golden_rows, moment, seen, wire_hand

EPOCH_NS = 1_790_000_000 * 10**9
FRAME = "camera_depth_optical_frame"


def read(path: Path) -> list[dict[str, Any]]:
    """The messages by topic, one dictionary for each time."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    moments: dict[int, dict[str, Any]] = {}
    with Reader(path) as reader:
        for connection, log_ns, content in reader.messages():
            message = store.deserialize_cdr(content, connection.msgtype)
            moments.setdefault(log_ns, {})[connection.topic] = message
    assert list(moments) == sorted(moments)
    return list(moments.values())


def test_a_bag_has_both_hands_of_every_golden_row(tmp_path: Path) -> None:
    rows = golden_rows()
    pairs = [(rows[k + 1], rows[k]) for k in range(0, len(rows), 2)]
    with HandBag(tmp_path / "bag", epoch_offset_ns=EPOCH_NS) as bag:
        for number, (left, right) in enumerate(pairs):
            bag.take(moment(seen(left), seen(right), now_ns=NOW_NS + number))
        assert not (tmp_path / "bag").exists()

    for messages, (left, right) in zip(read(tmp_path / "bag"), pairs, strict=True):
        check_ros_hand(messages, left, SAMPLE_NS + EPOCH_NS, FRAME)
        check_ros_hand(messages, right, SAMPLE_NS + EPOCH_NS, FRAME)
        assert len(messages["/tf"].transforms) == 52
        assert messages["/tf"].transforms[0].child_frame_id == "handmap/left/palm"


def test_a_lost_hand_is_deleted_and_a_held_one_is_pale(tmp_path: Path) -> None:
    left, right = golden_row("fist", "back", "left"), golden_row("fist", "back", "right")
    with HandBag(tmp_path / "bag", "desk", EPOCH_NS) as bag:
        bag.take(moment(seen(left, is_live=False), seen(right)))
        bag.take(dataclasses.replace(moment(now_ns=NOW_NS + 5), is_new=False))

    first, second = read(tmp_path / "bag")

    assert "/handmap/left/poses" not in first and "/handmap/left/joints" not in first
    check_ros_hand(first, right, SAMPLE_NS + EPOCH_NS, "desk")
    assert [round(one.color.a, 2) for one in first["/handmap/markers"].markers] == [0.35, 0.35, 1, 1]
    assert [(one.ns, one.id, one.action) for one in second["/handmap/markers"].markers] == [
        ("handmap/left", 0, 2), ("handmap/left", 1, 2), ("handmap/right", 0, 2), ("handmap/right", 1, 2),
    ]  # fmt: skip
    assert list(second) == ["/handmap/markers"]


def test_without_a_skeleton_there_are_joints_and_no_poses(tmp_path: Path) -> None:
    with HandBag(tmp_path / "bag") as bag:
        bag.take(moment(seen(golden_row("fist", "back", "left"), has_skeleton=False)))

    (messages,) = read(tmp_path / "bag")
    assert sorted(messages) == ["/handmap/left/joints", "/handmap/markers"]


def test_packets_that_were_received_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    row = golden_row("pointing", "edge", "left")
    packet = Packet(
        MessageType.JOINTS, DaemonState.TRACKING, 1, 1, 1, SAMPLE_NS, SAMPLE_NS + 1, hands=(wire_hand(row),)
    )
    received = Received(packet, NOW_NS, False, 0, True)

    write_hands(tmp_path / "bag", [received], epoch_offset_ns=EPOCH_NS)

    (messages,) = read(tmp_path / "bag")
    check_ros_hand(messages, row, SAMPLE_NS + EPOCH_NS, FRAME)
    with pytest.raises(RecordingError, match="never overwritten"):
        write_hands(tmp_path / "bag", [received])
    theirs = dataclasses.replace(packet, frame_of_reference=FrameOfReference.CONFIGURED)
    with pytest.raises(ConfigError, match="--frame-id"):
        write_hands(tmp_path / "other", [dataclasses.replace(received, packet=theirs)])
    assert [path.name for path in tmp_path.iterdir()] == ["bag"]


def test_a_frame_of_the_users_needs_its_name() -> None:
    theirs = dataclasses.replace(seen(golden_row("fist", "back", "left")), frame=FrameOfReference.CONFIGURED)

    assert frame_id_of(moment(theirs), "base_link") == "base_link"
    assert frame_id_of(moment(), None) == FRAME
    with pytest.raises(ConfigError, match="--frame-id"):
        frame_id_of(moment(theirs), None)
