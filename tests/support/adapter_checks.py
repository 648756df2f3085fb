"""What bridges write, checked on values: by small readers of our own in CI, by the real packages in tests/adapters."""

import re
import struct
import zlib
from typing import Any, TypeAlias

import numpy as np
import numpy.testing as npt

from handmap.skeleton.orientation import rotations_of

TOLERANCE_M = 5e-6
Array: TypeAlias = "np.ndarray[Any, Any]"
OscMessage: TypeAlias = tuple[str, list[Any]]
UNITY_OF_CAMERA = np.diag([1.0, -1, 1])  # y down becomes y up; both have z away
CHILDREN = {"Thumb": (1, 2, 3), "Index": (5, 6, 7), "Middle": (9, 10, 11), "Ring": (13, 14, 15), "Little": (17, 18, 19)}
# An avatar in T-pose looks along z: its left hand points to -x, its right hand to x, palms down.
T_POSE = {"left": [[0, 0, -1], [0, 1, 0], [1, 0, 0]], "right": [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]}


def osc_messages(datagram: bytes) -> list[OscMessage]:
    """The messages of a bundle."""
    assert datagram[:16] == b"#bundle\0" + (1).to_bytes(8, "big")
    messages, place = [], 16
    while place < len(datagram):
        (size,) = struct.unpack_from(">I", datagram, place)
        messages.append(_osc_message(datagram[place + 4 : place + 4 + size]))
        place += 4 + size
    return messages


def _osc_message(content: bytes) -> OscMessage:
    address, place = _osc_string(content, 0)
    tags, place = _osc_string(content, place)
    values: list[Any] = []
    for tag in tags[1:]:
        if tag == "s":
            value, place = _osc_string(content, place)
            values.append(value)
            continue
        values.append(struct.unpack_from(">" + tag, content, place)[0])
        place += 4
    assert place == len(content)
    return address, values


def _osc_string(content: bytes, place: int) -> tuple[str, int]:
    end = content.index(b"\0", place)
    after = place + (end - place) // 4 * 4 + 4
    assert content[end:after] == bytes(after - end)
    return content[place:end].decode("ascii"), after


def check_vmc_hand(messages: list[OscMessage], row: dict[str, Any], turn_error_m: float = TOLERANCE_M) -> None:
    """An avatar of this hand's size, moved by the messages, has its joints where the row has them."""
    side = row["side"]
    joints = np.array(row["hand21_mm"]) / 1000 @ UNITY_OF_CAMERA
    (serial, *wrist), *bones = [values for _, values in messages]
    assert [address for address, _ in messages] == ["/VMC/Ext/Tra/Pos"] + ["/VMC/Ext/Bone/Pos"] * 15
    assert serial == f"handmap-{side}"
    npt.assert_allclose(wrist[:3], joints[0], atol=TOLERANCE_M)
    poses = {name: (np.array(pose[:3]), rotations_of(np.array(pose[3:]))) for name, *pose in bones}
    hand = rotations_of(np.array(wrist[3:])) @ np.array(T_POSE[side]).T
    for finger, placed in CHILDREN.items():
        at, turn = np.array(wrist[:3]), hand
        for part, joint in zip(("Proximal", "Intermediate", "Distal"), placed, strict=True):
            offset, local = poses[f"{side.capitalize()}{finger}{part}"]
            at, turn = at + turn @ offset, turn @ local
            npt.assert_allclose(at, joints[joint], atol=turn_error_m)
        # A bone lies along the avatar's arm in T-pose: its direction is that from the last joint to the tip.
        if finger != "Thumb":
            along = turn @ np.array([-1.0 if side == "left" else 1.0, 0, 0])
            to_tip = joints[placed[-1] + 1] - joints[placed[-1]]
            # The zero pose fans the fingers out by up to 25 degrees.
            assert along @ to_tip / np.linalg.norm(to_tip) > np.cos(np.radians(30))


LINE = re.compile(r"(Left|Right) (wrist|landmarks) \| f=(\d+) \| t=(\d+):((?:, -?\d+\.\d{6})+)")


def hts_lines(datagram: bytes) -> dict[str, tuple[str, int, int, list[float]]]:
    """Of each kind of line: side, frame, time, numbers."""
    found = {}
    for line in datagram.decode().splitlines():
        match = LINE.fullmatch(line)
        assert match is not None, line
        values = [float(word) for word in match[5].split(",")[1:]]
        found[match[2]] = (match[1], int(match[3]), int(match[4]), values)
    return found


def check_hts_hand(side: str, wrist: list[float], landmarks: list[list[float]], row: dict[str, Any]) -> None:
    """Wrist and landmarks, put together as the SDK does it, are the joints of the row."""
    joints = np.array(row["hand21_mm"]) / 1000 @ UNITY_OF_CAMERA
    assert side == row["side"].capitalize()
    turned = np.array(landmarks) @ rotations_of(np.array(wrist[3:])).T + np.array(wrist[:3])
    npt.assert_allclose(turned, joints, atol=TOLERANCE_M)
    # The middle knuckle is straight ahead of the wrist: z is forward in Unity's hands.
    npt.assert_allclose(np.array(landmarks)[9, :2], 0, atol=TOLERANCE_M)
    assert landmarks[9][2] > 0.05


def check_isaac_joints(
    positions: Array, orientations: Array, is_valid: Array,
    radii: Array, row: dict[str, Any],
) -> None:  # fmt: skip
    """26 joints are those of the row in an OpenXR space; the five that are placed by proportion are not valid."""
    half_turn = np.diag([1.0, -1, -1])
    npt.assert_allclose(positions, np.array(row["positions_mm"]) / 1000 @ half_turn, atol=TOLERANCE_M)
    turned = half_turn @ rotations_of(np.array(row["quaternions"]))
    npt.assert_allclose(rotations_of(orientations.astype(float)), turned, atol=1e-5)
    npt.assert_allclose(radii, np.array(row["radii_mm"]) / 1000, atol=TOLERANCE_M)
    assert np.flatnonzero(~is_valid.astype(bool)).tolist() == [0, 6, 11, 16, 21]


class FlatTable:
    """A table in a FlatBuffer, read by the rules of the format."""

    def __init__(self, buffer: bytes, place: int | None = None) -> None:
        self.buffer = buffer
        self.place = struct.unpack_from("<I", buffer)[0] if place is None else place

    def at(self, number: int) -> int | None:
        """Where a field is, or None for one that is absent."""
        start = self.place - struct.unpack_from("<i", self.buffer, self.place)[0]
        (size,) = struct.unpack_from("<H", self.buffer, start)
        if 4 + 2 * number >= size:
            return None
        (offset,) = struct.unpack_from("<H", self.buffer, start + 4 + 2 * number)
        return self.place + offset if offset else None

    def number(self, number: int, code: str) -> int | None:
        """A number, or None for an absent one."""
        place = self.at(number)
        if place is None:
            return None
        assert place % struct.calcsize(code) == 0, "not aligned"
        found: int = struct.unpack_from("<" + code, self.buffer, place)[0]
        return found

    def table(self, number: int) -> "FlatTable":
        """A table that is there."""
        return FlatTable(self.buffer, self._pointed(number))

    def text(self, number: int) -> str:
        """A string that is there."""
        place = self._pointed(number)
        (size,) = struct.unpack_from("<I", self.buffer, place)
        assert self.buffer[place + 4 + size] == 0
        return self.buffer[place + 4 : place + 4 + size].decode()

    def tables(self, number: int) -> "list[FlatTable]":
        """A vector of tables that is there."""
        place = self._pointed(number)
        (count,) = struct.unpack_from("<I", self.buffer, place)
        at = [place + 4 + 4 * k for k in range(count)]
        return [FlatTable(self.buffer, one + struct.unpack_from("<I", self.buffer, one)[0]) for one in at]

    def _pointed(self, number: int) -> int:
        place = self.at(number)
        assert place is not None and place % 4 == 0
        target: int = place + struct.unpack_from("<I", self.buffer, place)[0]
        assert target % 4 == 0
        return target


def mcap_records(content: bytes) -> list[tuple[int, bytes]]:
    """Opcode and content of each record of an MCAP file without chunks, whose summary's checksum is right."""
    magic = b"\x89MCAP0\r\n"
    assert content.startswith(magic) and content.endswith(magic)
    records, place = [], len(magic)
    while place < len(content) - len(magic):
        opcode, size = struct.unpack_from("<BQ", content, place)
        records.append((opcode, content[place + 9 : place + 9 + size]))
        place += 9 + size
    summary_at, _, crc = struct.unpack("<QQI", records[-1][1])
    assert records[-1][0] == 2 and zlib.crc32(content[summary_at : -len(magic) - 4]) == crc
    return records


def check_ros_hand(
    messages: dict[str, Any], row: dict[str, Any], stamp_ns: int, frame_id: str, turn_error: float = 1e-5
) -> None:
    """The messages of one hand, by topic, have the joints of the row, in the camera frame, at this time."""
    side = row["side"]
    cloud, poses = messages[f"/handmap/{side}/joints"], messages[f"/handmap/{side}/poses"]
    transforms = [one for one in messages["/tf"].transforms if one.child_frame_id.startswith(f"handmap/{side}/")]
    for header in (cloud.header, poses.header, *(one.header for one in transforms)):
        assert (header.stamp.sec * 10**9 + header.stamp.nanosec, header.frame_id) == (stamp_ns, frame_id)
    joints = np.frombuffer(bytes(cloud.data), "<f4").reshape(21, 4)
    npt.assert_allclose(joints[:, :3], np.array(row["hand21_mm"]) / 1000, atol=1e-6)
    npt.assert_allclose(joints[:, 3], 0.004, atol=1e-6)
    assert [(field.name, field.offset, field.datatype) for field in cloud.fields] == [
        ("x", 0, 7), ("y", 4, 7), ("z", 8, 7), ("expected_error", 12, 7),
    ]  # fmt: skip
    positions = np.array(row["positions_mm"]) / 1000
    wanted = rotations_of(np.array(row["quaternions"]))
    placed = [[(one.position, one.orientation) for one in poses.poses]]
    placed += [[(one.transform.translation, one.transform.rotation) for one in transforms]]
    for pairs in placed:
        npt.assert_allclose([[at.x, at.y, at.z] for at, _ in pairs], positions, atol=2e-6)
        turned = rotations_of(np.array([[turn.x, turn.y, turn.z, turn.w] for _, turn in pairs]))
        npt.assert_allclose(turned, wanted, atol=turn_error)
    spheres, lines = (one for one in messages["/handmap/markers"].markers if one.ns == f"handmap/{side}")
    assert (spheres.type, lines.type, spheres.action, lines.action) == (7, 5, 0, 0)
    npt.assert_allclose([[one.x, one.y, one.z] for one in spheres.points], joints[:, :3], atol=1e-7)
    npt.assert_allclose([[one.x, one.y, one.z] for one in lines.points[:2]], joints[:2, :3], atol=1e-7)
    assert len(lines.points) == 40
