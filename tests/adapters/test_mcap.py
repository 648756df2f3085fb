"""The packages of mcap.dev read what `handmap bridge ros` writes: the file, its schemas and, by them, its messages."""

from pathlib import Path
from typing import Any

import pytest

from clients.ros_bag import HandBag
from tests.support.adapter_checks import check_ros_hand
from tests.support.doc_examples import command_of, python_of, run_bridge
from tests.support.wire_hands import NOW_NS, SAMPLE_NS, golden_rows, moment, seen

reader_module = pytest.importorskip("mcap.reader", reason="mcap is not installed")
decoder_module = pytest.importorskip("mcap_ros2.decoder", reason="mcap-ros2-support is not installed")

EPOCH_NS = 1_790_000_000 * 10**9


def test_messages_of_every_golden_hand(tmp_path: Path) -> None:
    rows = golden_rows()
    pairs = [(rows[k + 1], rows[k]) for k in range(0, len(rows), 2)]
    with HandBag(tmp_path / "bag", epoch_offset_ns=EPOCH_NS) as bag:
        for number, (left, right) in enumerate(pairs):
            bag.take(moment(seen(left), seen(right), now_ns=NOW_NS + number))

    moments: dict[int, dict[str, Any]] = {}
    types: dict[str, str] = {}
    with next((tmp_path / "bag").glob("*.mcap")).open("rb") as file:
        reader = reader_module.make_reader(
            file, validate_crcs=True, decoder_factories=[decoder_module.DecoderFactory()]
        )
        assert reader.get_header().profile == "ros2"
        for schema, channel, message, decoded in reader.iter_decoded_messages():
            types[channel.topic] = schema.name
            moments.setdefault(message.log_time, {})[channel.topic] = decoded

    assert types == {
        "/handmap/markers": "visualization_msgs/msg/MarkerArray",
        "/handmap/left/joints": "sensor_msgs/msg/PointCloud2",
        "/handmap/right/joints": "sensor_msgs/msg/PointCloud2",
        "/handmap/left/poses": "geometry_msgs/msg/PoseArray",
        "/handmap/right/poses": "geometry_msgs/msg/PoseArray",
        "/tf": "tf2_msgs/msg/TFMessage",
    }
    for messages, (left, right) in zip(moments.values(), pairs, strict=True):
        check_ros_hand(messages, left, SAMPLE_NS + EPOCH_NS, "camera_depth_optical_frame")
        check_ros_hand(messages, right, SAMPLE_NS + EPOCH_NS, "camera_depth_optical_frame")


def test_the_example_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run_bridge(command_of("ROS 2 and Foxglove"), 0.5, tmp_path)

    exec(python_of("ROS 2 and Foxglove"), {})

    assert capsys.readouterr().out.count("x=") > 5
