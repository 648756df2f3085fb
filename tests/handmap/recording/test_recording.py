"""Recordings: lossless, whole or absent, readable by any ROS 2 tool; what others record is read, what is broken is
refused.
"""

import dataclasses
import hashlib
import itertools
import os
import re
import shlex
import shutil
import sqlite3
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from handmap.files.images import write_depth_png, write_picture
from handmap.recording.datasets import LabeledFrame
from handmap.recording.png_folder import PngFolderConfig
from handmap.recording.reader import open_recording
from handmap.recording.writer import RecordingWriter
from handmap.types.errors import ConfigError, RecordingError
from handmap.types.intrinsics import Intrinsics
from handmap.types.values import DepthFrame, Handedness, TimestampSource

ROOT = Path(__file__).resolve().parents[3]
CAMERA = Intrinsics(64, 48, 60.5, 61.5, 31.25, 23.75)
STORE = get_typestore(Stores.ROS2_HUMBLE)


def make_frame(number: int, unit_mm: float = 1.0) -> DepthFrame:
    """A frame of seeded noise with values over the whole 16 bits."""
    depth = np.random.default_rng(number).integers(0, 65536, (48, 64), dtype=np.uint16)
    return DepthFrame(depth, unit_mm, CAMERA, number, 10**9 + number * 33_333_333)


def make_label(number: int) -> LabeledFrame:
    """A frame with seeded joints."""
    rng = np.random.default_rng(number)
    xyz_mm = rng.uniform(-300, 700, (21, 3)).astype(np.float32)
    return LabeledFrame(make_frame(number), xyz_mm, rng.random(21) < 0.5, Handedness.LEFT)


def write_frames(path: Path, count: int = 5, unit_mm: float = 1.0, in_place: bool = False) -> Path:
    """A recording of `count` frames."""
    with RecordingWriter(path, CAMERA, unit_mm, in_place=in_place) as writer:
        for number in range(count):
            writer.write(make_frame(number, unit_mm))
    return path


@pytest.mark.parametrize("unit_mm", [1.0, 0.125, 0.1, 0.25])
def test_depth_comes_back_without_loss_in_any_unit(tmp_path: Path, unit_mm: float) -> None:
    recording = open_recording(write_frames(tmp_path / "r", 5, unit_mm))

    frames = list(recording)

    assert len(recording) == len(frames) == 5
    assert (recording.intrinsics, recording.depth_unit_mm) == (CAMERA, unit_mm)
    assert recording.fps == pytest.approx(30, abs=0.01)
    for number, frame in enumerate(frames):
        assert np.array_equal(frame.depth, make_frame(number).depth)
        assert (frame.capture_ns, frame.frame_number) == (10**9 + number * 33_333_333, number)
        assert frame.timestamp_source is TimestampSource.RECORDING


def test_recording_can_be_read_again_and_again(tmp_path: Path) -> None:
    recording = open_recording(write_frames(tmp_path / "r"))

    assert [frame.capture_ns for frame in recording] == [frame.capture_ns for frame in recording]


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_endless_frames_start_over_without_reopening_the_recording(tmp_path: Path, storage: StoragePlugin) -> None:
    images = [("/depth/image_rect_raw", IMAGE, image_message(make_frame(n).depth, "16UC1")) for n in range(3)]
    bag = write_bag(tmp_path / "bag", [("/depth/camera_info", INFO, info_message(55)), *images], storage)
    frames = open_recording(bag).endless()

    first = next(frames)
    shutil.rmtree(bag)  # what is open stays readable
    others = list(itertools.islice(frames, 6))

    assert [first.frame_number, *(frame.frame_number for frame in others)] == [0, 1, 2, 0, 1, 2, 0]
    assert np.array_equal(others[2].depth, first.depth) and not np.array_equal(others[0].depth, first.depth)


def test_labels_come_back_with_their_frame(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "r", CAMERA, 1.0) as writer:
        writer.write(make_frame(100))  # a frame without a label is passed over
        for number in range(101, 300):
            writer.write_labeled(make_label(number))

    labeled = list(open_recording(tmp_path / "r").labeled())

    assert len(labeled) == 199
    for number, found in enumerate(labeled, 101):
        wanted = make_label(number)
        assert np.abs(found.xyz_camera_mm - wanted.xyz_camera_mm).max() < 1e-3  # mm
        assert np.array_equal(found.is_visible, wanted.is_visible)
        assert np.array_equal(found.frame.depth, wanted.frame.depth)
        assert found.handedness is Handedness.LEFT


def test_labels_come_back_with_their_doubt_and_without_what_is_not_labeled(tmp_path: Path) -> None:
    wanted = make_label(3)
    xyz_mm = wanted.xyz_camera_mm.copy()
    xyz_mm[[0, 20]] = np.nan
    doubt_mm = np.linspace(0, 30, len(xyz_mm)).astype(np.float32)
    with RecordingWriter(tmp_path / "r", CAMERA, 1.0) as writer:
        writer.write_labeled(dataclasses.replace(wanted, xyz_camera_mm=xyz_mm, doubt_mm=doubt_mm))
        writer.write_labeled(make_label(4))

    first, second = open_recording(tmp_path / "r").labeled()

    np.testing.assert_allclose(first.xyz_camera_mm, xyz_mm, atol=1e-3)
    assert first.doubt_mm is not None and second.doubt_mm is None
    np.testing.assert_allclose(first.doubt_mm, doubt_mm, atol=1e-5)
    assert open_recording(tmp_path / "r").labeled_count() == 2


def test_missing_labels_are_reported(tmp_path: Path) -> None:
    recording = open_recording(write_frames(tmp_path / "r"))

    with pytest.raises(RecordingError, match="no joint labels"):
        next(recording.labeled())


def test_bag_holds_the_standard_messages(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "r", 2)

    with Reader(path) as reader:
        types = {found.topic: (found.msgtype, found.msgcount) for found in reader.connections}
        image = next(
            STORE.deserialize_cdr(data, found.msgtype)
            for found, _, data in reader.messages()
            if found.topic.endswith("rect_raw")
        )

    assert types == {
        "/camera/depth/image_rect_raw": ("sensor_msgs/msg/Image", 2),
        "/camera/depth/camera_info": ("sensor_msgs/msg/CameraInfo", 2),
    }
    assert (image.encoding, image.step) == ("16UC1", 128)  # type: ignore[attr-defined]  # rosbags makes it at run time


def test_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    digests = {
        hashlib.sha256((write_frames(tmp_path / folder / "r") / "r.mcap").read_bytes()).hexdigest() for folder in "ab"
    }

    assert len(digests) == 1


def test_failure_inside_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), RecordingWriter(tmp_path / "r", CAMERA, 1.0) as writer:
        writer.write(make_frame(0))
        raise KeyError

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("in_place", [False, True])
def test_full_disk_is_one_sentence_and_leaves_frames_only_in_place(tmp_path: Path, in_place: bool) -> None:
    # A file size limit fails write(2) in a real process just as a full disk does.
    program = (
        "import resource, signal, sys; from pathlib import Path; from tests.handmap.recording.test_recording import *\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (200000, 200000))\n"
        f"try: write_frames(Path(sys.argv[1]), 400, in_place={in_place})\n"
        "except RecordingError as error: print(error)\n"
    )

    done = subprocess.run(
        [sys.executable, "-B", "-c", program, str(tmp_path / "r")], cwd=ROOT, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    assert "cannot be written (File too large); free up space" in done.stdout
    if not in_place:
        assert "nothing was left behind" in done.stdout
        assert list(tmp_path.iterdir()) == []
        return
    told = int(done.stdout.partition("its first ")[2].split()[0])
    assert len(list(open_recording(tmp_path / "r"))) == told > 0


@pytest.mark.parametrize("in_place", [False, True])
def test_killed_writer_leaves_a_recording_only_in_place(tmp_path: Path, in_place: bool) -> None:
    path = tmp_path / "r"
    written = killed_after(path, frames=200, in_place=in_place)

    if not in_place:
        assert all(found.name.startswith(".") for found in tmp_path.iterdir())
        return
    recording = open_recording(path)
    frames = list(recording)
    assert len(frames) == len(recording)
    assert written - 30 <= len(frames) <= written  # thirty a second
    assert all((frame.depth == make_frame(number).depth).all() for number, frame in enumerate(frames))
    assert "recorder was killed" in recording.cut
    with pytest.raises(RecordingError, match="never overwritten"):
        write_frames(path)


def killed_after(path: Path, frames: int, in_place: bool) -> int:
    """Writes at least so many frames in a process and kills it; returns how many it began to write."""
    program = (
        "import sys; from pathlib import Path; from tests.handmap.recording.test_recording import *\n"
        f"with RecordingWriter(Path(sys.argv[1]), CAMERA, 1.0, in_place={in_place}) as writer:\n"
        "    for number in itertools.count(1): writer.write(make_frame(number - 1)); print(number, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-B", "-c", program, str(path)], cwd=ROOT, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        while int(process.stdout.readline()) < frames:
            pass
        process.kill()
        rest = process.stdout.read().split()
    return int(rest[-1]) + 1 if rest else frames + 1


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt])
def test_failure_in_place_keeps_what_was_written(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), RecordingWriter(tmp_path / "r", CAMERA, 1.0, in_place=True) as writer:
        writer.write(make_frame(0))
        raise error

    recording = open_recording(tmp_path / "r")
    assert len(list(recording)) == 1
    assert recording.cut == ""


def test_failure_in_place_before_the_first_frame_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), RecordingWriter(tmp_path / "r", CAMERA, 1.0, in_place=True):
        raise KeyError

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kept_share", [0.02, 0.3, 0.6, 0.95])
def test_recording_without_metadata_is_read_up_to_where_it_was_cut(tmp_path: Path, kept_share: float) -> None:
    path = write_frames(tmp_path / "r", 400)
    (path / "metadata.yaml").unlink()
    bag = path / "r.mcap"
    os.truncate(bag, int(bag.stat().st_size * kept_share))

    if kept_share < 0.1:
        with pytest.raises(RecordingError, match=r"recorder was killed.*no frame can be read"):
            open_recording(path)
        return
    frames = list(open_recording(path))
    assert 0.5 * kept_share * 400 < len(frames) < 400
    assert all((frame.depth == make_frame(number).depth).all() for number, frame in enumerate(frames))


def test_zeros_at_the_end_as_a_power_cut_leaves_them_are_not_read(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "r", 400)
    (path / "metadata.yaml").unlink()
    with (path / "r.mcap").open("r+b") as bag:
        size = bag.seek(0, os.SEEK_END)
        bag.seek(size // 2)
        bag.write(bytes(size - size // 2))

    assert 100 < len(list(open_recording(path))) < 300


def test_existing_recording_is_never_overwritten(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "r")

    with pytest.raises(RecordingError, match="never overwritten"):
        write_frames(path)


def test_frame_of_another_camera_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(RecordingError, match="other intrinsics"),
        RecordingWriter(tmp_path / "r", CAMERA, 1.0) as writer,
    ):
        writer.write(make_frame(0, unit_mm=0.5))


def cut_in_half(path: Path) -> Path:
    bag = path / f"{path.name}.mcap"
    bag.write_bytes(bag.read_bytes()[: bag.stat().st_size // 2])
    return path


def zero_the_middle(path: Path) -> Path:
    bag = path / f"{path.name}.mcap"
    content = bytearray(bag.read_bytes())
    content[len(content) // 3 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 3)
    bag.write_bytes(content)
    return path


def only_bag_cut(path: Path) -> Path:
    return cut_in_half(path) / f"{path.name}.mcap"


def foreign(path: Path) -> Path:
    other = path.with_suffix(".mcap")
    other.write_bytes(b"not a bag at all" * 100)
    return other


def empty_folder(path: Path) -> Path:
    other = path.with_name("empty")
    other.mkdir()
    return other


@pytest.mark.parametrize("harm", [cut_in_half, zero_the_middle, only_bag_cut, foreign, empty_folder])
def test_broken_recording_is_refused_in_one_sentence(tmp_path: Path, harm: Callable[[Path], Path]) -> None:
    path = harm(write_frames(tmp_path / "r", 200))

    with pytest.raises(RecordingError, match="recording '") as caught:
        list(open_recording(path))

    assert "\n" not in str(caught.value)


def test_missing_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="nothing is there"):
        open_recording(tmp_path / "absent")


# What others record.


def image_message(depth: Any, encoding: str, store: Any = STORE, **ros1: int) -> Any:
    stamp = store.types["builtin_interfaces/msg/Time"](sec=3, nanosec=5)
    header = store.types["std_msgs/msg/Header"](stamp=stamp, frame_id="camera", **ros1)
    pixels = np.ascontiguousarray(depth).view(np.uint8).reshape(-1)
    return store.types["sensor_msgs/msg/Image"](
        header, depth.shape[0], depth.shape[1], encoding, 0, len(pixels) // depth.shape[0], pixels
    )


def compressed_message(tmp_path: Path, depth: Any) -> Any:
    write_depth_png(tmp_path / "d.png", depth)
    content = np.frombuffer(bytes(12) + (tmp_path / "d.png").read_bytes(), np.uint8)
    header = image_message(depth, "16UC1").header
    return STORE.types["sensor_msgs/msg/CompressedImage"](header, "16UC1; compressedDepth png", content)


def info_message(fx: float, store: Any = STORE, **ros1: int) -> Any:
    header = image_message(np.zeros((1, 1), np.uint16), "16UC1", store, **ros1).header
    region = store.types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    k = np.array([fx, 0, 31, 0, fx, 23, 0, 0, 1.0])
    return store.types["sensor_msgs/msg/CameraInfo"](
        header, 48, 64, "plumb_bob", np.zeros(5), k, np.eye(3).reshape(-1), np.zeros(12), 0, 0, region
    )


def write_bag(path: Path, messages: list[tuple[str, str, Any]], storage: StoragePlugin = StoragePlugin.MCAP) -> Path:
    """A ROS 2 bag of (topic, type, message), a millisecond apart."""
    with Writer(path, version=8, storage_plugin=storage) as writer:
        connections: dict[str, Any] = {}
        for number, (topic, msgtype, message) in enumerate(messages):
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, msgtype, typestore=STORE)
            writer.write(connections[topic], 1000 + number * 10**6, STORE.serialize_cdr(message, msgtype))
    return path


IMAGE, INFO, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CameraInfo", "sensor_msgs/msg/CompressedImage"


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_realsense_ros_bag_is_read_by_type_with_the_right_intrinsics(tmp_path: Path, storage: StoragePlugin) -> None:
    depth = make_frame(1).depth
    messages = [
        ("/camera/camera/color/image_raw", IMAGE, image_message(np.zeros((48, 192), np.uint8), "rgb8")),
        ("/camera/camera/color/camera_info", INFO, info_message(900)),
        ("/camera/camera/infra1/image_rect_raw", IMAGE, image_message(depth, "mono16")),
        ("/camera/camera/depth/camera_info", INFO, info_message(55)),
        ("/camera/camera/depth/image_rect_raw", IMAGE, image_message(depth, "16UC1")),
        ("/camera/camera/depth/image_rect_raw/compressedDepth", COMPRESSED, compressed_message(tmp_path, depth)),
    ]

    recording = open_recording(write_bag(tmp_path / "bag", messages, storage))
    (frame,) = recording

    assert np.array_equal(frame.depth, depth)
    assert (recording.intrinsics.fx_px, recording.depth_unit_mm) == (55, 1.0)
    assert frame.capture_ns == 3 * 10**9 + 5


def test_compressed_depth_alone_is_read(tmp_path: Path) -> None:
    depth = make_frame(2).depth
    topic = "/camera/depth/image_rect_raw/compressedDepth"
    messages = [
        (topic, COMPRESSED, compressed_message(tmp_path, depth)),
        ("/camera/depth/camera_info", INFO, info_message(55)),
    ]

    (frame,) = open_recording(write_bag(tmp_path / "bag", messages))

    assert np.array_equal(frame.depth, depth)


def test_two_depth_topics_require_a_choice(tmp_path: Path) -> None:
    depth = make_frame(3).depth
    messages = [
        ("/camera/aligned_depth_to_color/image_raw", IMAGE, image_message(depth, "16UC1")),
        ("/camera/aligned_depth_to_color/camera_info", INFO, info_message(900)),
        ("/camera/depth/image_rect_raw", IMAGE, image_message(depth, "16UC1")),
        ("/camera/depth/camera_info", INFO, info_message(55)),
    ]
    path = write_bag(tmp_path / "bag", messages)

    with pytest.raises(RecordingError, match="aligned_depth_to_color/image_raw, /camera/depth/image_rect_raw"):
        open_recording(path)
    assert open_recording(path, topic="/camera/aligned_depth_to_color/image_raw").intrinsics.fx_px == 900
    with pytest.raises(
        RecordingError, match="no depth on '/other': there is no such image topic; use one of: /camera/aligned"
    ):
        open_recording(path, topic="/other")


def test_third_party_meters_are_read_and_missing_values_are_zero(tmp_path: Path) -> None:
    meters = np.full((48, 64), 0.5, np.float32)
    meters[0, :3] = (np.nan, np.inf, 99)
    messages = [("/depth/image", IMAGE, image_message(meters, "32FC1")), ("/depth/camera_info", INFO, info_message(55))]

    (frame,) = open_recording(write_bag(tmp_path / "bag", messages))

    assert frame.depth[0, :4].tolist() == [0, 0, 0, 2000]
    assert frame.depth_unit_mm == 0.25


def test_bag_of_the_realsense_sdk_is_read_with_its_unit(tmp_path: Path) -> None:
    store = get_typestore(Stores.ROS1_NOETIC)
    depth = make_frame(4).depth
    messages = [
        (
            "/device_0/sensor_0/option/Depth_Units/value",
            "std_msgs/msg/Float32",
            store.types["std_msgs/msg/Float32"](0.000125),
        ),
        ("/device_0/sensor_0/Infrared_0/image/data", IMAGE, image_message(depth, "mono16", store, seq=0)),
        ("/device_0/sensor_0/Depth_0/info/camera_info", INFO, info_message(476, store, seq=0)),
        ("/device_0/sensor_0/Depth_0/image/data", IMAGE, image_message(depth, "mono16", store, seq=0)),
    ]
    path = tmp_path / "sdk.bag"
    with Writer1(path) as writer:
        for number, (topic, msgtype, message) in enumerate(messages):
            connection = writer.add_connection(topic, msgtype, typestore=store)
            writer.write(connection, 1000 + number, store.serialize_ros1(message, msgtype))

    recording = open_recording(path)
    (frame,) = recording

    assert np.array_equal(frame.depth, depth)
    assert (recording.depth_unit_mm, recording.intrinsics.fx_px) == (0.125, 476)


def test_bag_without_camera_info_is_refused(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag", [("/depth/image", IMAGE, image_message(make_frame(0).depth, "16UC1"))])

    with pytest.raises(RecordingError, match="no camera info"):
        open_recording(path)


# Folders of PNGs.

CONFIG = PngFolderConfig(60.5, 61.5, 31.25, 23.75, depth_unit_mm=0.125, fps=25)


def test_folder_of_pngs_is_a_recording(tmp_path: Path) -> None:
    for number in range(3):
        write_depth_png(tmp_path / f"{number:03}.png", make_frame(number).depth)

    recording = open_recording(tmp_path, png_config=CONFIG)
    frames = list(recording)

    assert (len(recording), recording.fps, recording.intrinsics) == (3, 25, CAMERA)
    assert [frame.capture_ns for frame in frames] == [0, 40_000_000, 80_000_000]
    assert all(np.array_equal(frame.depth, make_frame(number).depth) for number, frame in enumerate(frames))


def test_intrinsics_beside_the_pngs_are_read(tmp_path: Path) -> None:
    write_depth_png(tmp_path / "0.png", make_frame(0).depth)
    (tmp_path / "intrinsics.yaml").write_text("{fx_px: 60.5, fy_px: 61.5, cx_px: 31.25, cy_px: 23.75}\n")

    assert open_recording(tmp_path).intrinsics == CAMERA


def test_folder_without_intrinsics_is_refused(tmp_path: Path) -> None:
    write_depth_png(tmp_path / "0.png", make_frame(0).depth)

    with pytest.raises(ConfigError, match=r"no intrinsics\.yaml beside the PNGs"):
        open_recording(tmp_path)


def test_nyu_colors_are_depth(tmp_path: Path) -> None:
    depth = make_frame(0).depth
    color = np.stack([np.zeros_like(depth), depth >> 8, depth & 255], axis=-1).astype(np.uint8)
    write_picture(tmp_path / "0.png", color)
    config = PngFolderConfig(60.5, 61.5, 31.25, 23.75, encoding="nyu")

    (frame,) = open_recording(tmp_path, png_config=config)

    assert np.array_equal(frame.depth, depth)
    with pytest.raises(RecordingError, match="encoding: nyu"):
        open_recording(tmp_path, png_config=CONFIG)


def test_damaged_png_is_refused(tmp_path: Path) -> None:
    write_depth_png(tmp_path / "0.png", make_frame(0).depth)
    whole = (tmp_path / "0.png").read_bytes()
    (tmp_path / "0.png").write_bytes(whole[: len(whole) // 2])

    with pytest.raises(RecordingError, match="truncated or damaged"):
        open_recording(tmp_path, png_config=CONFIG)


@pytest.mark.parametrize("line", ["fx_px: .inf", "fps: 1.0e-300", "depth_unit_mm: .inf", "cx_px: .nan"])
def test_intrinsics_that_no_camera_has_are_refused(tmp_path: Path, line: str) -> None:
    write_depth_png(tmp_path / "0.png", make_frame(0).depth)
    facts = {"fx_px": "60", "fy_px": "60", "cx_px": "31", "cy_px": "23"} | dict([line.split(": ")])
    (tmp_path / "intrinsics.yaml").write_text("".join(f"{key}: {value}\n" for key, value in facts.items()))

    with pytest.raises(ConfigError, match=line.split(":")[0]):
        open_recording(tmp_path)


def test_picture_larger_than_any_camera_is_refused(tmp_path: Path) -> None:
    size = struct.pack(">IIBBBBB", 60_000, 60_000, 16, 0, 0, 0, 0)
    chunks = [
        struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))
        for data in (b"IHDR" + size, b"IDAT")
    ]
    content = b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
    (tmp_path / "0.png").write_bytes(content)

    with pytest.raises(RecordingError, match="larger than any depth camera"):
        open_recording(tmp_path, None, PngFolderConfig(60.5, 61.5, 31.25, 23.75))


def test_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="File name too long"):
        open_recording(tmp_path / ("a" * 300))
    with (
        pytest.raises(RecordingError, match="File name too long"),
        RecordingWriter(tmp_path / ("a" * 300), CAMERA, 1.0),
    ):
        pass


def test_link_that_leads_nowhere_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to(tmp_path / "nowhere")

    with pytest.raises(RecordingError, match="exists already"), RecordingWriter(tmp_path / "out", CAMERA, 1.0):
        pass


def test_recording_without_frames_is_refused(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "r", CAMERA, 1.0):
        pass

    with pytest.raises(RecordingError, match="use another recording"):
        open_recording(tmp_path / "r")


def test_disk_that_is_full_before_the_first_chunk_leaves_nothing(tmp_path: Path) -> None:
    program = (
        "import resource, signal, sys; from pathlib import Path; from tests.handmap.recording.test_recording import *\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (10000, 10000))\n"
        "try: write_frames(Path(sys.argv[1]), 400, in_place=True)\n"
        "except RecordingError as error: print(error)\n"
    )

    done = subprocess.run(
        [sys.executable, "-B", "-c", program, str(tmp_path / "r")], cwd=ROOT, capture_output=True, text=True
    )

    assert "nothing was left behind" in done.stdout, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_name_too_long_for_its_file_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"name too long.*nothing was left behind"):
        write_frames(tmp_path / ("n" * 252), in_place=True)

    assert list(tmp_path.iterdir()) == []


def test_recording_that_grows_is_read_as_far_as_it_was_when_opened(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "r", CAMERA, 1.0, in_place=True) as writer:
        for number in range(60):
            writer.write(make_frame(number))
        recording = open_recording(tmp_path / "r")
        counted = len(recording)
        for number in range(60, 120):
            writer.write(make_frame(number))
        while_written = [frame.frame_number for frame in recording]

    assert 0 < counted < 60
    assert while_written == [frame.frame_number for frame in recording] == list(range(counted))
    assert "still writes" in recording.cut
    assert len(list(open_recording(tmp_path / "r"))) == 120


def test_recording_with_a_hidden_name_is_read(tmp_path: Path) -> None:
    path = write_frames(tmp_path / ".r", in_place=True)
    assert len(list(open_recording(path))) == 5
    (path / "metadata.yaml").unlink()
    (path / "._.r.mcap").write_bytes(b"of another system")
    assert len(list(open_recording(path))) == 5


def leave_unfinished(path: Path, pragmas: str) -> None:
    """Deletes half of the messages in a process that is killed before it can write that to the file itself."""
    program = (
        "import os, sqlite3, sys; base = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        f"for pragma in {pragmas.split(';')!r}: base.execute(pragma)\n"
        "base.execute('DELETE FROM messages WHERE id > 6'); os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=True)


def sqlite_bag(folder: Path) -> Path:
    """The .db3 file of a bag with 5 frames and their camera infos."""
    write_frames(folder / "source")
    with (
        Reader(folder / "source") as source,
        Writer(folder / "bag", version=8, storage_plugin=StoragePlugin.SQLITE3) as target,
    ):
        made = {one.id: target.add_connection(one.topic, one.msgtype, typestore=STORE) for one in source.connections}
        for connection, time_ns, data in source.messages():
            target.write(made[connection.id], time_ns, data)
    return folder / "bag" / "bag.db3"


def test_messages_in_a_write_ahead_log_are_read(tmp_path: Path) -> None:
    file = sqlite_bag(tmp_path)
    leave_unfinished(file, "PRAGMA journal_mode=WAL")
    before = file.read_bytes()

    assert len(list(open_recording(file.parent))) == 3
    assert file.read_bytes() == before


def test_half_a_transaction_is_refused_with_what_takes_it_back(tmp_path: Path) -> None:
    file = sqlite_bag(tmp_path)
    leave_unfinished(file, "PRAGMA cache_size=1;PRAGMA cache_spill=1;BEGIN")

    with pytest.raises(
        RecordingError, match=r"put the file in order with: sqlite3 \S*bag.db3 'PRAGMA integrity_check'"
    ):
        open_recording(file.parent)
    with sqlite3.connect(file) as base:
        assert base.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert len(list(open_recording(file.parent))) == 5


def test_disk_that_is_full_at_the_end_keeps_what_was_written(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"its first 5 frames can be read"):  # noqa: SIM117  the order matters
        with RecordingWriter(tmp_path / "r", CAMERA, 1.0, in_place=True) as writer:
            for number in range(5):
                writer.write(make_frame(number))
            (tmp_path / "r" / "metadata.yaml").mkdir()  # so that the last file cannot be written

    assert len(list(open_recording(tmp_path / "r" / "r.mcap"))) == 5


def ros1_bag(path: Path) -> Path:
    """A .bag with one message, in a folder of its own."""
    path.parent.mkdir()
    store = get_typestore(Stores.ROS1_NOETIC)
    with Writer1(path) as writer:
        topic = writer.add_connection("/text", "std_msgs/msg/String", typestore=store)
        writer.write(
            topic, 1, store.serialize_ros1(store.types["std_msgs/msg/String"]("x" * 999), "std_msgs/msg/String")
        )
    return path


def test_ros1_bag_without_an_index_says_how_to_write_one(tmp_path: Path) -> None:
    path = ros1_bag(tmp_path / "a folder" / "a.bag")
    os.truncate(path, path.stat().st_size // 2)
    unindexed = tmp_path / "b.bag"
    content = path.read_bytes()
    place = content.index(b"index_pos=") + len(b"index_pos=")
    unindexed.write_bytes(content[:place] + bytes(8) + content[place + 8 :])

    for found in (path, unindexed):
        with pytest.raises(RecordingError, match=f"rosbag reindex {re.escape(shlex.quote(str(found)))}$"):
            open_recording(found)


def test_folder_with_one_ros1_bag_is_that_bag(tmp_path: Path) -> None:
    path = ros1_bag(tmp_path / "folder" / "a.bag")

    with pytest.raises(RecordingError, match="no topic with depth images"):
        open_recording(path.parent)
