"""Recordings as others make them: each is read right, or refused by a sentence that leads to success."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin

from handmap.files.images import write_depth_png, write_picture
from handmap.recording.reader import open_recording
from handmap.recording.stated import IntrinsicsConfig
from handmap.types.distortion import Distortion, distort
from handmap.types.errors import RecordingError
from handmap.types.intrinsics import Intrinsics
from tests.support import bags
from tests.support.bags import (
    DEPTH_TOPIC,
    IMAGE,
    INFO,
    PERIOD_NS,
    START_NS,
    Entry,
    InfoFacts,
    depth_of,
    frames,
    write_bag,
)

STATED = IntrinsicsConfig(60.0, 60.0, 31.5, 23.5)


def refused(path: Path, match: str, **stated: Any) -> str:
    """The sentence that the recording is refused by."""
    with pytest.raises(RecordingError, match=match) as caught:
        list(open_recording(path, **stated))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def check_frames(path: Path, count: int = 40, **stated: Any) -> None:
    """Every frame is there, in order, one period after the one before it."""
    found = list(open_recording(path, **stated))
    assert len(found) == count
    for number, frame in enumerate(found):
        assert np.array_equal(np.rint(frame.depth * frame.depth_unit_mm), depth_of(number))
    gaps = np.diff([frame.capture_ns for frame in found])
    assert np.abs(gaps - PERIOD_NS).max() <= 1


FOREIGN = {
    "service event": ("a/srv/B_Event", "bool x\n---\nbool y\n", "cdr"),
    "no definition": ("a/msg/Meta", "", "cdr"),
    "protobuf": ("foxglove.Log", "\x00\x01", "protobuf"),
    "json": ("Thing", "{}", "json"),
    "windows lines": ("a/msg/B", "int32 x\r\nfloat64 y # caf\u00e9\r\n", "cdr"),
    "missing nested type": ("a/msg/State", "a/Inner inner\n", "cdr"),
}


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
@pytest.mark.parametrize("kind", FOREIGN)
def test_foreign_topic_that_cannot_be_parsed_does_no_harm(tmp_path: Path, kind: str, storage: StoragePlugin) -> None:
    check_frames(write_bag(tmp_path / "bag", frames(), storage, FOREIGN[kind]))


def replace_bytes(path: Path, old: bytes, new: bytes) -> Path:
    """The bag with bytes of its one file replaced by as many others."""
    file = next(path.glob("*.mcap"))
    content = file.read_bytes()
    assert old in content and len(old) == len(new)
    file.write_bytes(content.replace(old, new))
    return path


@pytest.mark.parametrize(("old", "new"), [(b"# comment", b"# c\xf6mment"[:9]), (b"ros2msg", b"unknown")])
def test_definition_in_no_known_encoding_does_no_harm(tmp_path: Path, old: bytes, new: bytes) -> None:
    foreign = ("a/msg/B", "int32 x # comment\n", "cdr")

    check_frames(replace_bytes(write_bag(tmp_path / "bag", frames(), foreign=foreign), old, new))


def jumps(frame: int, by_ns: int) -> list[int]:
    return [START_NS + n * PERIOD_NS + (by_ns if n >= frame else 0) for n in range(40)]


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
@pytest.mark.parametrize("by_s", [-3600, 600, 50_000_000])
def test_step_of_the_clock_is_one_period_and_keeps_the_order(tmp_path: Path, by_s: int, storage: StoragePlugin) -> None:
    check_frames(write_bag(tmp_path / "bag", frames(times_ns=jumps(20, by_s * 10**9)), storage))


def test_rate_is_that_of_the_depth_topic(tmp_path: Path) -> None:
    early = Entry(
        "/map", "std_msgs/msg/Float64", bags.STORE.types["std_msgs/msg/Float64"](1.0), START_NS - 86_400 * 10**9
    )

    recording = open_recording(write_bag(tmp_path / "bag", [early, *frames()]))

    assert recording.fps == pytest.approx(30, abs=0.01)


@pytest.mark.parametrize("stamp_ns", [0, START_NS])
def test_useless_header_stamps_are_replaced_by_log_times(tmp_path: Path, stamp_ns: int) -> None:
    entries = frames(make=lambda _, depth: bags.image(stamp_ns, depth))

    check_frames(write_bag(tmp_path / "bag", entries))


def test_topic_can_be_stated_and_the_message_lists_them(tmp_path: Path) -> None:
    other = [replace(one, topic=one.topic.replace("/cam/", "/wrist/")) for one in frames()]
    path = write_bag(tmp_path / "bag", frames() + other)

    assert f"{DEPTH_TOPIC}, /wrist/depth/image_rect_raw" in refused(path, "--topic")
    check_frames(path, topic=DEPTH_TOPIC)


def with_infos(*facts: tuple[str, InfoFacts], topic: str = "/cam/aligned_depth_to_color/image_raw") -> list[Entry]:
    """Depth frames, and camera infos on topics of their own."""
    images = [replace(one, topic=topic) for one in frames() if one.msgtype == IMAGE]
    infos = [Entry(name, INFO, bags.info(START_NS, one), START_NS) for name, one in facts]
    return infos + images


def test_intrinsics_are_chosen_by_frame_then_name_and_a_tie_is_refused(tmp_path: Path) -> None:
    color, wrong = InfoFacts(90.0), InfoFacts(55.0, frame_id="other")
    tie = write_bag(
        tmp_path / "tie", with_infos(("/cam/color/camera_info", color), ("/cam/depth/camera_info", InfoFacts(55.0)))
    )
    told = write_bag(
        tmp_path / "told",
        with_infos(("/cam/aligned_depth_to_color/camera_info", wrong), ("/cam/color/camera_info", color)),
    )
    size = write_bag(
        tmp_path / "size",
        with_infos(("/cam/color/camera_info", InfoFacts(90.0, (320, 240))), ("/far/camera_info", InfoFacts(77.0))),
    )

    refused(tie, "/cam/color/camera_info and /cam/depth/camera_info have other intrinsics")
    assert open_recording(told).intrinsics.fx_px == 90.0
    assert open_recording(size).intrinsics.fx_px == 77.0
    check_frames(tie, intrinsics=STATED)


@pytest.mark.parametrize(
    ("scale", "stated"), [(10, {"depth_unit_mm": 0.1}), (5, {"depth_unit_mm": 0.2})], ids=["D405", "TUM"]
)
def test_unit_can_be_stated(tmp_path: Path, scale: int, stated: Any) -> None:
    entries = frames(make=lambda time_ns, depth: bags.image(time_ns, depth * np.uint16(scale)))

    check_frames(write_bag(tmp_path / "bag", entries), **stated)


def test_floats_in_millimeters_are_read_with_the_stated_unit(tmp_path: Path) -> None:
    entries = frames(make=lambda time_ns, depth: bags.image(time_ns, depth.astype("<f4"), "32FC1"))
    path = write_bag(tmp_path / "bag", entries)

    refused(path, r"is around \d+, which is \d+ m at 1000 mm a step.*--depth-unit-mm, such as 1 ")
    check_frames(path, depth_unit_mm=1.0)


@pytest.mark.parametrize("focal", [0.0, -60.0, 1e-300, 1e308])
def test_matrix_of_no_lens_waits_for_a_valid_one_or_is_named(tmp_path: Path, focal: float) -> None:
    late = write_bag(tmp_path / "late", frames(facts=lambda number: InfoFacts(focal if number < 3 else 60.0)))
    never = write_bag(tmp_path / "never", frames(facts=InfoFacts(focal)))

    check_frames(late)
    assert open_recording(late).intrinsics.fx_px == 60.0
    refused(never, "matrix K in /cam/depth/camera_info is zero or no lens.*--intrinsics")
    check_frames(never, intrinsics=STATED)


def test_binning_and_region_of_interest_are_applied(tmp_path: Path) -> None:
    binned = write_bag(tmp_path / "binned", frames(facts=InfoFacts(120.0, (128, 96), (63.5, 47.5), binning=2)))
    region = InfoFacts(60.0, (128, 96), (63.5, 47.5), roi=(32, 24, HEIGHT_PX, WIDTH_PX))
    cropped = write_bag(tmp_path / "cropped", frames(facts=region))
    unsaid = write_bag(tmp_path / "unsaid", frames(facts=InfoFacts(120.0, (128, 96), (63.5, 47.5))))

    assert open_recording(binned).intrinsics == Intrinsics(64, 48, 60.0, 60.0, 31.5, 23.5)
    assert open_recording(cropped).intrinsics == Intrinsics(64, 48, 60.0, 60.0, 31.5, 23.5)
    refused(unsaid, "are 64x48, and no camera info is for that size .*128x96")


WIDTH_PX, HEIGHT_PX = bags.WIDTH, bags.HEIGHT


def test_changed_matrix_is_a_new_lens(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag", frames(facts=lambda number: InfoFacts(60.0 if number < 20 else 75.0)))

    focal = [frame.intrinsics.fx_px for frame in open_recording(path)]

    assert focal == [60.0] * 20 + [75.0] * 20


def test_changed_size_is_a_new_lens(tmp_path: Path) -> None:
    small = frames(
        facts=InfoFacts(30.0, (32, 24)), make=lambda time_ns, depth: bags.image(time_ns, depth[::2, ::2].copy())
    )
    path = write_bag(tmp_path / "bag", frames(20) + small[40:])

    shapes = [(frame.depth.shape, frame.intrinsics.fx_px) for frame in open_recording(path)]

    assert shapes == [((48, 64), 60.0)] * 20 + [((24, 32), 30.0)] * 20


LENSES = {
    "k1": InfoFacts(d=(-0.35, 0.12, 0.0, 0.0, 0.0)),
    "rational": InfoFacts(d=(-0.3, 0.1, 0.002, -0.002, 0.0, 0.1, 0.05, 0.0), model="rational_polynomial"),
    "fisheye": InfoFacts(d=(0.1, -0.02, 0.0, 0.0), model="equidistant"),
}


@pytest.mark.parametrize("kind", LENSES)
def test_distortion_is_undone(tmp_path: Path, kind: str) -> None:
    """A dot that a pinhole camera sees at one pixel is there again, though the lens shows it elsewhere."""
    facts = LENSES[kind]
    dot = np.array([54.0, 40.0])
    plane = (dot - facts.center) / facts.focal
    seen = np.rint(distort(plane[None], Distortion(facts.model, facts.d))[0] * facts.focal + facts.center).astype(int)
    assert np.abs(seen - dot).max() >= 1  # pixels
    depth = np.full((48, 64), 900, np.uint16)
    depth[seen[1] - 1 : seen[1] + 2, seen[0] - 1 : seen[0] + 2] = 400

    path = write_bag(tmp_path / "bag", frames(1, facts=facts, make=lambda time_ns, _: bags.image(time_ns, depth)))
    (frame,) = open_recording(path)

    rows, columns = np.nonzero(frame.depth == 400)
    assert np.abs([columns.mean() - dot[0], rows.mean() - dot[1]]).max() < 0.8  # pixels


def test_unknown_distortion_is_refused_by_name(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag", frames(facts=InfoFacts(d=(0.9,), model="fov")))

    refused(path, "the model 'fov'.*--intrinsics")
    check_frames(path, intrinsics=STATED)


@pytest.mark.parametrize("form", ["16UC1; png compressed ", "16UC1; compressedDepth png", "32FC1; compressedDepth"])
def test_compressed_depth_is_read(tmp_path: Path, form: str) -> None:
    def make(time_ns: int, depth: Any) -> Any:
        if form.startswith("32FC1"):
            return bags.compressed(time_ns, form, bags.inverse_depth(depth))
        return bags.compressed(time_ns, form, (b"" if " png c" in form[6:] else bytes(12)) + bags.png16(depth))

    found = list(open_recording(write_bag(tmp_path / "bag", frames(make=make, msgtype=bags.COMPRESSED))))

    for number, frame in enumerate(found):
        assert np.abs(frame.depth * frame.depth_unit_mm - depth_of(number)).max() < 0.3  # mm


def test_what_is_no_depth_is_listed_with_the_reason(tmp_path: Path) -> None:
    jpeg = frames(
        make=lambda t, _: bags.compressed(t, "16UC1; jpeg compressed ", b"\xff\xd8\xff"), msgtype=bags.COMPRESSED
    )
    color = Entry("/cam/color", IMAGE, bags.image(START_NS, np.zeros((48, 192), np.uint8), "rgb8"), START_NS)

    told = refused(write_bag(tmp_path / "bag", [color, *jpeg]), "no topic with depth images")

    assert "/cam/color: rgb8 is no depth" in told and "8-bit JPEG" in told


def test_mono16_is_depth_where_it_is_named(tmp_path: Path) -> None:
    entries = [
        replace(one, topic="/cam0/image_raw")
        for one in frames(make=lambda t, d: bags.image(t, d, "mono16"))
        if one.msgtype == IMAGE
    ]
    path = write_bag(tmp_path / "bag", [Entry("/cam0/camera_info", INFO, bags.info(START_NS), START_NS), *entries])

    refused(path, "/cam0/image_raw: mono16 may be infrared; if it is depth, name it with --topic")
    check_frames(path, topic="/cam0/image_raw")


def test_bag_without_metadata_opens(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag", frames())
    (path / "metadata.yaml").unlink()

    check_frames(path)


def test_missing_part_of_a_split_bag_is_named(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag", frames())
    metadata = path / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace("  - bag.mcap\n", "  - bag.mcap\n  - bag_1.mcap\n", 1))

    refused(path, r"files that are missing \(bag_1.mcap\)")


YAML = "fx_px: 60.0\nfy_px: 60.0\ncx_px: 31.5\ncy_px: 23.5\n"


def write_pngs(folder: Path, name: str, count: int = 12) -> Path:
    (folder / "intrinsics.yaml").write_text(YAML)
    for number in range(count):
        write_depth_png(folder / name.format(number), depth_of(number))
    return folder


@pytest.mark.parametrize("name", ["{}.png", "d_{:04}.PNG", "1700000000.{:06}.png", "frame-{}-depth.png"])
def test_pngs_are_in_natural_order(tmp_path: Path, name: str) -> None:
    found = list(open_recording(write_pngs(tmp_path, name)))

    assert all(np.array_equal(frame.depth, depth_of(number)) for number, frame in enumerate(found)) and len(found) == 12


@pytest.mark.parametrize("other", ["{:04}_mask.png", "view_2_{:04}.png"])
def test_several_kinds_of_pngs_need_a_pattern(tmp_path: Path, other: str) -> None:
    mine, pattern = ("{:04}_depth.png", "*_depth.png") if "mask" in other else ("view_1_{:04}.png", "view_1_*.png")
    write_pngs(write_pngs(tmp_path, other), mine)

    assert f"pattern: {pattern!r}" in refused(tmp_path, "PNGs of 2 kinds")
    (tmp_path / "intrinsics.yaml").write_text(YAML + f"pattern: {pattern!r}\n")
    assert len(list(open_recording(tmp_path))) == 12


def test_picture_of_depth_is_called_what_it_is(tmp_path: Path) -> None:
    write_pngs(tmp_path, "{}.png", 0)
    write_picture(tmp_path / "0.png", np.zeros((48, 64), np.uint8))

    refused(tmp_path, "found an 8-bit grayscale image, wanted a 16-bit")


def test_intrinsics_and_unit_of_pngs_can_be_stated(tmp_path: Path) -> None:
    (write_pngs(tmp_path, "{}.png") / "intrinsics.yaml").unlink()

    recording = open_recording(tmp_path, depth_unit_mm=0.5, intrinsics=STATED)

    assert (recording.depth_unit_mm, recording.intrinsics.fx_px) == (0.5, 60.0)
