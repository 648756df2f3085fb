"""A datagram for each reason to refuse one, by the name that clients/c/handmap.h gives it."""

from typing import Final

from handmap.protocol.packet import encode
from tests.handmap.protocol.test_packet import changed, joints_packet, plain_hand, reseal
from tests.support.codec_cases import golden

FAULTS: Final = {
    "TOO_SHORT": b"HMAP",
    "TOO_LONG": encode(joints_packet()) + bytes(1200),
    "BAD_MAGIC": b"OSC#" + bytes(60),
    "OTHER_VERSION": changed(encode(joints_packet()), "major", 2),
    "BAD_CHECKSUM": encode(joints_packet())[:-1] + b"x",
    "UNKNOWN_FLAGS": changed(encode(joints_packet()), "incompatible", 4),
    "BAD_LENGTHS": changed(encode(joints_packet()), "header_bytes", 8),
    "HANDS_DO_NOT_FIT": changed(encode(joints_packet()), "hand_count", 255),
    "BAD_PART": changed(encode(joints_packet()), "part_count", 9),
    "BAD_BLOCK": reseal(encode(joints_packet())[:-4] + b"\7\0\5\0"),
    "SHORT_SKELETON": reseal(encode(joints_packet())[:-4] + b"\1\0\0\0"),
    "STRAY_SKELETON": reseal(encode(joints_packet())[:-4] + b"\1\0\xbc\0" + bytes(188)),
    "BAD_ORIENTATION": reseal(encode(joints_packet(plain_hand()))[:-4] + b"\1\0\xbc\0" + bytes(188)),
    "NOT_FINITE": reseal(encode(joints_packet(plain_hand()))[:-8] + b"\0\0\xc0\x7f"),
    "UNKNOWN_TYPE": changed(encode(joints_packet()), "message_type", 9),
    "UNKNOWN_JOINT_ORDER": changed(encode(joints_packet()), "joint_order", 2),
    "UNKNOWN_FRAME": changed(encode(joints_packet()), "frame_of_reference", 2),
    "UNKNOWN_CLOCK": changed(encode(joints_packet()), "clock", 2),
    "UNKNOWN_HANDEDNESS": reseal(golden()["one_right_hand"][:64] + b"\3" + golden()["one_right_hand"][65:-4]),
}
SEALED_FAULTS: Final = {
    "NOT_AUTHENTICATED": golden()["no_hand"],
    "UNKNOWN_KEY": reseal(golden()["sealed_no_hand"][:60] + b"none" + golden()["sealed_no_hand"][64:-4]),
    "BAD_TAG": changed(golden()["sealed_no_hand"], "sequence", 8),
}
FAULTY: Final = (*(("P", data) for data in FAULTS.values()), *(("p", data) for data in SEALED_FAULTS.values()))
