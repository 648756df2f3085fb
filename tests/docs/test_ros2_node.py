"""The example of a ROS 2 node, run with a stand-in for rclpy whose messages are those of rosbags: no ROS installation is needed."""

import dataclasses
import importlib.util
import socket
import sys
import time
from types import ModuleType
from typing import Any

import pytest
from rosbags.typesys import Stores, get_typestore

from handmap.protocol.fields import DaemonState, MessageType
from handmap.protocol.packet import Packet, encode
from tests.support.adapter_checks import check_ros_hand
from tests.support.processes import ROOT
from tests.support.wire_hands import golden_row, wire_hand

PACKAGES = ("builtin_interfaces", "geometry_msgs", "sensor_msgs", "std_msgs", "tf2_msgs", "visualization_msgs")


class Node:
    """What the example uses of rclpy.node.Node."""

    def __init__(self, name: str) -> None:
        self.published: dict[str, Any] = {}

    def declare_parameter(self, name: str, value: Any) -> Any:
        return dataclasses.make_dataclass("Parameter", ["value"])({"port": 0}.get(name, value))

    def create_publisher(self, kind: Any, topic: str, depth: int) -> Any:
        publish = lambda message: self.published.update({topic: message})  # noqa: E731
        return dataclasses.make_dataclass("Publisher", ["publish"])(publish)

    def destroy_node(self) -> None:
        pass


def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    rclpy, node = ModuleType("rclpy"), ModuleType("rclpy.node")
    node.Node = Node  # type: ignore[attr-defined]  # as in rclpy
    monkeypatch.setitem(sys.modules, "rclpy", rclpy)
    monkeypatch.setitem(sys.modules, "rclpy.node", node)
    store = get_typestore(Stores.ROS2_HUMBLE)
    for package in PACKAGES:
        messages = ModuleType(f"{package}.msg")
        for name, kind in store.types.items():
            if name.startswith(f"{package}/msg/"):
                setattr(messages, name.rpartition("/")[2], kind)
        monkeypatch.setitem(sys.modules, package, ModuleType(package))
        monkeypatch.setitem(sys.modules, f"{package}.msg", messages)


def test_the_example_publishes_the_hands_that_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch)
    spec = importlib.util.spec_from_file_location("ros2_node", ROOT / "docs/examples/ros2_node.py")
    assert spec is not None and spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    rows = [golden_row("natural", "tilted", side) for side in ("left", "right")]
    now_ns = time.monotonic_ns()
    hands = tuple(wire_hand(row) for row in rows)
    packet = Packet(MessageType.JOINTS, DaemonState.TRACKING, 1, 1, 1, now_ns, now_ns, hands)
    node = example.HandNode()
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            out.sendto(encode(packet), ("127.0.0.1", node._receiver.port))
        node.step()
    finally:
        node.destroy_node()

    for row in rows:
        # The wire rounds orientations to 1/32767.
        check_ros_hand(
            node.published, row, now_ns + node._epoch_offset_ns, "camera_depth_optical_frame", turn_error=1e-4
        )
