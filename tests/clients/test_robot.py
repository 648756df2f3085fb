"""The robot follows, holds, relaxes and is then left alone; its angles go out as text, JSON and datagrams."""

import json
import socket
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from clients.robot import RobotFollower, RobotFrame, follow_hand
from clients.robot_commands import robot
from clients.robot_output import AngleSender, as_json_line, as_text, resolve_target
from handmap.client.hand_state import HandTiming, Phase
from handmap.client.receiver import Receiver, open_receiver
from handmap.client.session import Received
from handmap.protocol.fields import DaemonState, HandFlags, MessageType
from handmap.protocol.packet import Packet, PacketHand, encode
from handmap.types.arrays import Float32, Float64
from handmap.types.errors import ConfigError, DependencyError
from handmap.types.values import Handedness
from tests.support.processes import listening, port_of

MS = 1_000_000
TIMING = HandTiming(stale_s=0.1, hold_s=0.2, relax_s=0.5, engage_s=0.1)
REST = np.array([0.5, 0.2])
NAMES: tuple[str, ...] = ("index_flexion", "thumb_flexion")


class WristSolver:
    """Its two angles are the wrist's x and y in m; joints at 9 m are no hand."""

    def __init__(self) -> None:
        self.names, self.rest = NAMES, REST
        self.starts: list[Float64] = []

    def start_at(self, angles: Float64) -> None:
        self.starts.append(angles)

    def solve(self, xyz_m: Float32) -> Float64 | None:
        return None if xyz_m[0, 0] > 8 else xyz_m[0, :2].astype(np.float64)


def received(at_ms: float, x_m: float | None, side: Handedness = Handedness.RIGHT, track_id: int = 1) -> Received:
    joints = np.full((21, 3), 0.4, np.float32)
    hands: tuple[PacketHand, ...] = ()
    if x_m is not None:
        joints[:, 0] = x_m
        hands = (PacketHand(joints, np.full(21, 0.01, np.float32), track_id, side, 1.0, 1.0, HandFlags.VALID),)
    state = DaemonState.TRACKING if hands else DaemonState.NO_HAND
    packet = Packet(MessageType.JOINTS, state, 7, round(at_ms), 0, 0, 0, hands)
    return Received(packet, round(at_ms * MS), False, 0, True)


def following(until_ms: int, x_m: float = 1.0) -> tuple[RobotFollower, WristSolver, list[str]]:
    """A robot that has followed a hand at a hundred frames a second."""
    solver, warnings = WristSolver(), list[str]()
    follower = RobotFollower(solver, Handedness.RIGHT, warnings.append, TIMING)
    for at_ms in range(0, until_ms + 1, 10):
        follower.see(received(at_ms, x_m))
        follower.at(at_ms * MS)
    return follower, solver, warnings


def at(follower: RobotFollower, at_ms: float) -> RobotFrame:
    frame = follower.at(round(at_ms * MS))
    assert frame is not None
    return frame


def test_nothing_moves_before_a_hand_is_seen() -> None:
    follower = RobotFollower(WristSolver(), Handedness.RIGHT, print, TIMING)
    follower.see(received(10, None))

    assert follower.at(20 * MS) is None


def test_a_hand_is_taken_up_from_the_rest_pose() -> None:
    follower = RobotFollower(WristSolver(), Handedness.RIGHT, print, TIMING)
    places = []
    for at_ms in range(0, 200, 20):
        follower.see(received(at_ms, 1.0))
        places.append(float(at(follower, at_ms).angles[0]))

    assert places == pytest.approx([0.5, 0.6, 0.7, 0.8, 0.9, 1, 1, 1, 1, 1], abs=1e-6)


def test_a_lost_hand_is_held_then_relaxed_to_the_rest_pose_then_nothing_comes() -> None:
    follower, _, _ = following(500)

    held = [at(follower, at_ms) for at_ms in (605, 700, 795)]
    relaxing = [at(follower, at_ms) for at_ms in range(805, 1300, 15)]
    last, after = follower.at(1310 * MS), [follower.at(at_ms * MS) for at_ms in (1320, 1400, 9000)]

    assert {frame.phase for frame in held} == {Phase.HELD}
    assert all(frame.angles == pytest.approx([1.0, 0.4]) for frame in held)
    assert {frame.phase for frame in relaxing} == {Phase.RELAXING}
    for frame in relaxing:
        assert frame.angles == pytest.approx(REST + frame.engagement * (np.array([1.0, 0.4]) - REST), abs=1e-6)
    assert np.all(np.diff([frame.angles[0] for frame in relaxing]) < 0)
    assert last is not None and last.engagement == 0 and last.angles == pytest.approx(REST)
    assert after == [None, None, None]


def test_a_robot_that_was_not_asked_for_a_while_does_not_jump_to_its_rest_pose() -> None:
    follower, _, _ = following(500)

    assert follower.at(9000 * MS) is None


@pytest.mark.parametrize("lost", ["no hand", "other side", "not valid"])
def test_what_is_not_the_hand_never_moves_the_robot(lost: str) -> None:
    follower, _, warnings = following(500)
    other = {"no hand": received(510, None), "other side": received(510, 3.0, Handedness.LEFT, 2)}
    if lost == "not valid":
        packet = received(510, 3.0).packet
        hand = packet.hands[0]
        unseen = PacketHand(hand.xyz_m, hand.expected_error_m, 1, hand.handedness, 1.0, 1.0, HandFlags.NONE)
        state = Packet(MessageType.JOINTS, DaemonState.TRACKING, 7, 511, 0, 0, 0, (unseen,))
        other[lost] = Received(state, 510 * MS, False, 0, True)

    follower.see(other[lost])

    assert at(follower, 520).phase is Phase.HELD
    assert at(follower, 520).angles == pytest.approx([1.0, 0.4])
    assert (warnings != []) is (lost == "other side")


def test_another_hand_starts_the_solver_where_the_robot_was_led() -> None:
    follower, solver, _ = following(500)
    assert len(solver.starts) == 1 and solver.starts[0] == pytest.approx(REST)

    follower.see(received(510, 3.0, track_id=2))
    frame = at(follower, 510)

    assert len(solver.starts) == 2 and solver.starts[1] == pytest.approx([1.0, 0.4])
    assert frame.angles == pytest.approx([1.0, 0.4]), "it is approached, not jumped to"


def test_joints_that_are_no_hand_leave_the_angles_as_they_were() -> None:
    follower, _, _ = following(500)

    follower.see(received(510, 9.0))

    assert at(follower, 510).angles == pytest.approx([1.0, 0.4])


def send_frames(port: int, until_s: float, stop: threading.Event) -> None:
    """A daemon at 50 frames a second that then falls silent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        end_s, number = time.monotonic() + until_s, 0
        while time.monotonic() < end_s and not stop.is_set():
            packet = received(0, 1.0).packet
            out.sendto(
                encode(Packet(packet.message_type, packet.state, 7, number, number, 0, 0, packet.hands)),
                ("127.0.0.1", port),
            )
            number += 1
            time.sleep(0.02)


def follow(receiver: Receiver, follower: RobotFollower, count: int | None, seconds: float) -> list[RobotFrame]:
    frames: list[RobotFrame] = []
    follow_hand(receiver, follower, frames.append, count, seconds)
    return frames


def test_a_daemon_that_falls_silent_lets_the_robot_relax_and_rest() -> None:
    receiver = open_receiver("127.0.0.1", 0)
    stop = threading.Event()
    sender = threading.Thread(target=send_frames, args=(receiver.port, 0.5, stop))
    sender.start()
    try:
        frames = follow(receiver, RobotFollower(WristSolver(), Handedness.RIGHT, print, TIMING), None, 2.5)
    finally:
        stop.set()
        sender.join()
        receiver.close()

    phases = [frame.phase for frame in frames]
    assert 15 <= phases.count(Phase.LIVE) <= 30
    assert 4 <= phases.count(Phase.HELD) <= 9  # 0.2 s at 30 Hz
    assert 10 <= phases.count(Phase.RELAXING) <= 19  # 0.5 s at 30 Hz
    assert phases == sorted(phases, key=[Phase.LIVE, Phase.HELD, Phase.RELAXING].index)
    assert frames[-1].angles == pytest.approx(REST)


def test_late_frames_are_dropped_and_not_queued() -> None:
    receiver = open_receiver("127.0.0.1", 0)
    send_frames(receiver.port, 0.2, threading.Event())

    frames = follow(receiver, RobotFollower(WristSolver(), Handedness.RIGHT, print, TIMING), 1, 1.0)

    assert len(frames) == 1 and receiver.wait(0.01) is None
    receiver.close()


FRAME = RobotFrame(123, Phase.HELD, 0.5, 0.25, np.array([0.123456, -1.0]))


def test_lines_name_every_joint() -> None:
    assert as_text(NAMES, FRAME) == "held     0.50  index_flexion +0.12  thumb_flexion -1.00"
    assert json.loads(as_json_line(NAMES, FRAME)) == {
        "t_ns": 123, "phase": "held", "engagement": 0.5, "age_s": 0.25,
        "joints": {"index_flexion": 0.12346, "thumb_flexion": -1.0},
    }  # fmt: skip


def test_a_datagram_is_the_json_line() -> None:
    with listening() as driver:
        sender = AngleSender(f"127.0.0.1:{port_of(driver)}", NAMES, print)
        sender(FRAME)
        data = driver.recv(2000)
        sender.close()

    assert data.decode() == as_json_line(NAMES, FRAME)


def test_what_cannot_be_sent_is_said_once() -> None:
    warnings: list[str] = []
    sender = AngleSender("255.255.255.255:9", NAMES, warnings.append)  # broadcasting is not allowed

    sender(FRAME)
    sender(FRAME)
    sender.close()

    assert len(warnings) == 1 and "255.255.255.255:9" in warnings[0]


@pytest.mark.parametrize(
    ("target", "address"), [("127.0.0.1:5700", ("127.0.0.1", 5700)), ("[::1]:5700", ("::1", 5700))]
)
def test_targets(target: str, address: tuple[str, int]) -> None:
    assert resolve_target(target)[1][:2] == address


@pytest.mark.parametrize(
    "target", ["", "5700", ":5700", "host", "host:", "host:0", "host:70000", "host:5e3", "::1:5700", "[]:1"]
)
def test_a_target_of_another_form_is_refused(target: str) -> None:
    with pytest.raises(ConfigError, match="wanted HOST:PORT"):
        resolve_target(target)


def test_a_target_that_does_not_resolve_is_refused() -> None:
    with pytest.raises(ConfigError, match="does not resolve"):
        resolve_target("no-such-host.invalid:5700")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--hand", "shadow"], "wanted one of plain, inspire, allegro, leap"),
        (["--hand", "leap"], "name the file with --urdf"),
        (["--urdf", "pyproject.toml"], "pyproject.toml"),
    ],
)
def test_the_verb_refuses_a_wrong_hand_before_it_needs_any_library(arguments: list[str], words: str) -> None:
    done = CliRunner().invoke(robot, arguments)

    assert isinstance(done.exception, ConfigError) and words in str(done.exception)


@pytest.mark.skipif(find_spec("dex_retargeting") is not None, reason="dex-retargeting is installed")
def test_without_its_libraries_the_verb_names_the_extra() -> None:
    done = CliRunner().invoke(robot, ["--seconds", "1"])

    assert isinstance(done.exception, DependencyError)
    assert "pip install 'handmap-edge[robot]'" in str(done.exception) and "\n" not in str(done.exception)


def test_a_side_that_is_none_is_a_usage_error(tmp_path: Path) -> None:
    assert CliRunner().invoke(robot, ["--side", "both"]).exit_code == 2
