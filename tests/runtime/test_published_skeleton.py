"""Skeletons and the frame of reference on the wire: what the daemon sends of the shipped recording, in two frames, is one hand."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from handmap.protocol.fields import FrameOfReference, MessageType
from handmap.protocol.packet import Packet
from handmap.skeleton.degrees_of_freedom import MAX_ANGLES, MIN_ANGLES
from handmap.skeleton.orientation import rotations_of
from handmap.types.joints import FINGERTIPS, PARENTS
from runtime.daemon import Daemon
from runtime.retry import StopFlag
from runtime.settings import read_settings
from tests.support.processes import ROOT, drain, listening, port_of

MODEL, DEMO = ROOT / "models" / "handmap-hand21", ROOT / "models" / "demo_recording"
QUATERNION = np.array([0.5, -0.5, 0.5, 0.5])
POSITION_M = np.array([0.1, -2.0, 0.75])
FRAME = "frame: {name: base, position_m: [0.1, -2.0, 0.75], quaternion: [0.5, -0.5, 0.5, 0.5]}"


def published(folder: Path, keys: str) -> list[Packet]:
    with listening() as sink:
        (folder / "c.yaml").write_text(
            f"bundle: {MODEL}\ncamera: {{kind: replay, path: {DEMO}, pace: lockstep, loop: false}}\n"
            f"publish: {{targets: [{{host: 127.0.0.1, port: {port_of(sink)}}}], {keys}}}\n"
            "telemetry: {port: null}\npreview: null\n"
        )
        Daemon(read_settings(folder / "c.yaml"), StopFlag()).run()
        return [packet for packet in drain(sink) if packet.message_type is MessageType.JOINTS]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[Packet], list[Packet]]]:
    folder = tmp_path_factory.mktemp("frames")
    yield published(folder, "skeleton: true"), published(folder, f"skeleton: true, {FRAME}")


def test_a_frame_moves_joints_and_orientations_alike(both: tuple[list[Packet], list[Packet]]) -> None:
    rotation = rotations_of(QUATERNION)
    compared = 0
    for camera, base in zip(*both, strict=True):
        assert (camera.frame_of_reference, base.frame_of_reference) == (
            FrameOfReference.CAMERA,
            FrameOfReference.CONFIGURED,
        )
        for seen, moved in zip(camera.hands, base.hands, strict=True):
            assert np.abs(moved.xyz_m - (seen.xyz_m @ rotation.T + POSITION_M)).max() < 1e-6
            assert np.array_equal(moved.expected_error_m, seen.expected_error_m)
            assert seen.skeleton is not None and moved.skeleton is not None
            turned = rotation @ rotations_of(seen.skeleton.quaternions.astype(float))
            assert np.abs(turned - rotations_of(moved.skeleton.quaternions.astype(float))).max() < 2e-4
            assert np.array_equal(seen.skeleton.angles, moved.skeleton.angles)
            compared += 1
    assert compared > 30


def test_the_skeleton_is_that_of_the_joints(both: tuple[list[Packet], list[Packet]]) -> None:
    degrees, lengths = [], []
    for packet in both[0]:
        for hand in packet.hands:
            assert hand.skeleton is not None
            turns = rotations_of(hand.skeleton.joint_quaternions.astype(float))
            for tip in FINGERTIPS:
                along = hand.xyz_m[PARENTS[tip]] - hand.xyz_m[tip]
                cosine = turns[tip][:, 2] @ along / np.linalg.norm(along)
                degrees.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
            middle = (0, 9, 10, 11, 12)
            bones = np.diff(hand.xyz_m[list(middle)], axis=0)
            lengths.append(hand.skeleton.hand_length_m / np.linalg.norm(bones, axis=1).sum())
            assert (hand.skeleton.angles >= MIN_ANGLES - 1e-3).all() and (
                hand.skeleton.angles <= MAX_ANGLES + 1e-3
            ).all()
            assert ((hand.skeleton.pinch_strength >= 0) & (hand.skeleton.pinch_strength <= 1)).all()
    assert np.median(degrees) < 3 and max(degrees) < 12  # the axes are the rig's, not those between two joints
    assert np.abs(np.array(lengths) - 1).max() < 0.01
