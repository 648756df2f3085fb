"""`handmap robot`: a robot hand that follows a person's, holds when it is lost, then goes to its rest pose and is left alone.

How joints become angles is in `retarget`; where angles go is in `robot_output`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from handmap.client.hand_state import DEFAULT_TIMING, HandState, HandTiming, Phase
from handmap.client.session import PacketReceiver, Received
from handmap.protocol.fields import MessageType
from handmap.types.arrays import Float32, Float64
from handmap.types.values import Handedness

TICK_S = 1 / 30  # between two frames while nothing arrives
SILENCE_S = 0.1  # without a packet: more than the time between frames of any depth camera, and of jitter
DRAIN_S = 1e-4
LAST_ENGAGEMENT = 0.1  # from here to the rest pose is one step


class Solver(Protocol):
    """Turns a person's joints into angles (J,) of the joints `names`, rad; `rest` is where the robot goes when it is let go."""

    names: tuple[str, ...]
    rest: Float64

    def start_at(self, angles: Float64) -> None:
        """Goes on from these angles."""

    def solve(self, xyz_m: Float32) -> Float64 | None:
        """The angles for joints (21, 3), or None if those are no hand."""


@dataclass(frozen=True, eq=False)
class RobotFrame:
    """Where the robot's joints should be: angles (J,), rad. at_ns is CLOCK_MONOTONIC; age_s, since the hand was heard of."""

    at_ns: int
    phase: Phase
    engagement: float
    age_s: float
    angles: Float64


class RobotFollower:
    """One robot hand: rest + engagement * (solution - rest), by the phases of `HandState`. A hand of the other side is not followed."""

    def __init__(
        self, solver: Solver, side: Handedness, warn: Callable[[str], None], timing: HandTiming = DEFAULT_TIMING
    ) -> None:
        self._solver = solver
        self._side = side
        self._warn = warn
        self._has_warned = False
        self._state = HandState(side, timing)
        self._epoch = 0
        self._engagement = 0.0
        self._solution = solver.rest

    def see(self, received: Received) -> None:
        """Takes in a packet; says once that there are hands, but none of this side."""
        self._state.see(received)
        sides = {hand.handedness for hand in received.packet.hands}
        if sides and self._side not in sides and not self._has_warned:
            found, wanted = " and ".join(sorted(side.name.lower() for side in sides)), self._side.name.lower()
            self._warn(f"-- not followed: a hand whose side is {found}, while the robot's is {wanted}; see --side")
            self._has_warned = True
        elif self._side in sides:
            self._has_warned = False

    def at(self, now_ns: int) -> RobotFrame | None:
        """The frame at this time; None before a hand is seen, and once it has been let go of."""
        held, rest = self._state.at(now_ns), self._solver.rest
        if held is None:
            left, self._engagement, self._solution = self._engagement, 0.0, rest
            is_near = 0 < left <= LAST_ENGAGEMENT
            return RobotFrame(now_ns, Phase.RELAXING, 0.0, 0.0, rest) if is_near else None
        if (
            held.epoch != self._epoch
        ):  # another hand, or one taken up again: it is approached from where the last one was
            self._epoch = held.epoch
            self._solver.start_at(self._solution)
        if held.phase is Phase.LIVE:
            found = self._solver.solve(held.xyz_m)
            self._solution = self._solution if found is None else found
        self._engagement = held.engagement
        angles = rest + held.engagement * (self._solution - rest)
        return RobotFrame(now_ns, held.phase, held.engagement, held.age_s, angles)


def follow_hand(
    receiver: PacketReceiver,
    follower: RobotFollower,
    show: Callable[[RobotFrame], None],
    count: int | None,
    seconds: float | None,
) -> None:
    """Shows a frame for each packet of joints, or at 30 Hz while none comes, until `count` were shown or `seconds` have passed."""
    heard_s = time.monotonic()
    end_s = heard_s + seconds if seconds is not None else float("inf")
    shown = 0
    while (now_s := time.monotonic()) < end_s and (count is None or shown < count) and not receiver.has_ended:
        is_silent = now_s - heard_s >= SILENCE_S
        wait_s = TICK_S if is_silent else SILENCE_S
        is_frame = see_waiting(receiver, follower, min(wait_s, end_s - now_s))
        if is_frame:
            heard_s = time.monotonic()
        elif time.monotonic() - heard_s < SILENCE_S:
            continue  # a heartbeat between two frames
        frame = follower.at(time.monotonic_ns())
        if frame is not None:
            show(frame)
            shown += 1


def see_waiting(receiver: PacketReceiver, follower: RobotFollower, timeout_s: float) -> bool:
    """Takes in all packets that have arrived, the first within the timeout: whether there were joints. Late ones are never queued."""
    is_frame = False
    received = receiver.wait(timeout_s)
    while received is not None:
        follower.see(received)
        is_frame = is_frame or received.packet.message_type is MessageType.JOINTS
        received = receiver.wait(DRAIN_S)
    return is_frame
