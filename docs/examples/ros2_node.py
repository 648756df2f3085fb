"""A ROS 2 node that publishes the hands that arrive: an example, to be copied and changed.

    source /opt/ros/humble/setup.bash
    python3 ros2_node.py --ros-args -p port:=5656 -p frame_id:=camera_depth_optical_frame

It needs rclpy and `pip install handmap-edge` in one Python. Topics and types are those of `handmap bridge ros`.
"""

import time
from array import array
from importlib import import_module
from typing import Any

import rclpy
from rclpy.node import Node

from handmap.client.receiver import open_receiver
from handmap.clients.hand_watch import REPEAT_S, HandWatch  # noqa: TID251  a copy of this runs where handmap is installed
from handmap.clients.ros_hands import ros_messages  # noqa: TID251


class NodeTypes:
    """Messages of the ROS installation."""

    def __init__(self) -> None:
        self._classes: dict[str, Any] = {}

    def type_of(self, msgtype: str) -> Any:
        """The class of a type such as geometry_msgs/msg/Pose."""
        if msgtype not in self._classes:
            package, _, name = msgtype.split("/")
            self._classes[msgtype] = getattr(import_module(f"{package}.msg"), name)
        return self._classes[msgtype]

    def make(self, msgtype: str, **fields: Any) -> Any:
        """A message of this type."""
        return self.type_of(msgtype)(**fields)

    def octets(self, content: bytes) -> Any:
        """Bytes as rclpy wants them."""
        return array("B", content)


class HandNode(Node):
    """Receives packets and publishes them, until it is destroyed."""

    def __init__(self) -> None:
        super().__init__("handmap")
        port = self.declare_parameter("port", 5656).value
        self._frame_id = self.declare_parameter("frame_id", "camera_depth_optical_frame").value
        self._receiver = open_receiver("", port)
        self._watch = HandWatch()
        self._types = NodeTypes()
        self._topics: dict[str, Any] = {}
        self._epoch_offset_ns = time.time_ns() - time.monotonic_ns()

    def step(self) -> None:
        """Waits for a packet for a thirtieth of a second, and publishes what is known then."""
        received = self._receiver.wait(REPEAT_S)
        moment = self._watch.at(time.monotonic_ns()) if received is None else self._watch.see(received)
        for one in ros_messages(self._types, moment, self._frame_id, self._epoch_offset_ns):
            if one.topic not in self._topics:
                self._topics[one.topic] = self.create_publisher(self._types.type_of(one.msgtype), one.topic, 10)
            self._topics[one.topic].publish(one.message)

    def destroy_node(self) -> None:
        """Releases the port."""
        self._receiver.close()
        super().destroy_node()


def main() -> None:
    """Runs the node until it is interrupted."""
    rclpy.init()
    node = HandNode()
    try:
        while rclpy.ok():
            node.step()
            rclpy.spin_once(node, timeout_sec=0)
    except KeyboardInterrupt:
        pass
    finally:
        node.destroy_node()


if __name__ == "__main__":
    main()
