"""A preview on a port of its own, fed with frames, and pictures as it sends them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from handmap.protocol.fields import DaemonState
from handmap.protocol.preview import Cube, Picture, PreviewHand, deflate
from handmap.system.notify import Notifier
from handmap.system.timing import StageClock
from handmap.types.intrinsics import Intrinsics
from handmap.types.values import DepthFrame, Handedness, HandPose, HandRoi
from runtime.preview import Preview
from runtime.settings import PreviewConfig
from runtime.state import DaemonStatus

from .running import free_port

CENTER_MM = (20.0, -10.0, 400.0)
CUBE_MM = 200.0


def joints_mm() -> np.ndarray:
    """Joints (21, 3) spread about CENTER_MM."""
    return (np.array(CENTER_MM) + np.random.default_rng(1).uniform(-60, 60, (21, 3))).astype(np.float32)


def hand_frame(number: int = 0, width: int = 640) -> DepthFrame:
    """A frame with a square of 120 mm at CENTER_MM, nothing beside it."""
    height, focal = width * 3 // 4, width * 0.9
    lens = Intrinsics(width, height, focal, focal, width / 2, height / 2)
    depth = np.zeros((height, width), np.uint16)
    columns = [round(lens.cx_px + focal * (CENTER_MM[0] + off) / CENTER_MM[2]) for off in (-60, 60)]
    rows = [round(lens.cy_px + focal * (CENTER_MM[1] + off) / CENTER_MM[2]) for off in (-60, 60)]
    depth[slice(*rows), slice(*columns)] = round(CENTER_MM[2] / 0.25)
    return DepthFrame(depth, 0.25, lens, number, number * 33_000_000)


def hand_pose(side: Handedness = Handedness.RIGHT) -> HandPose:
    """A pose of these joints."""
    roi = HandRoi(np.array(CENTER_MM, np.float32), CUBE_MM, False)
    return HandPose(joints_mm(), np.full(21, 6.0, np.float32), roi, 3, side, 0.9, 0.8, True, True, False, 0, 0)


def hand_picture(*sides: Handedness, step: int = 2) -> Picture:
    """What is sent of `hand_frame` with hands of these sides."""
    frame, pose = hand_frame(), hand_pose()
    lens, depth = frame.intrinsics, frame.depth[::step, ::step]
    cube = Cube(CENTER_MM, CUBE_MM)
    hands = tuple(
        PreviewHand(
            number,
            side,
            cube,
            tuple(map(tuple, pose.xyz_camera_mm.tolist())),
            tuple(pose.expected_error_mm.tolist()),
            0.8,
            True,
        )
        for number, side in enumerate(sides)
    )
    return Picture(
        7, 1_000, DaemonState.TRACKING, "", depth.shape[1], depth.shape[0], lens.fx_px / step, lens.fy_px / step, lens.cx_px / step,
        lens.cy_px / step, frame.depth_unit_mm, deflate(depth), hands, (Cube((0.0, 0.0, 500.0), 150.0),), {"infer": 8.0},
    )  # fmt: skip


@dataclass
class Fed:
    """A preview, its port, and what feeds it."""

    preview: Preview
    port: int
    status: DaemonStatus = field(default_factory=lambda: DaemonStatus(Notifier(None)))
    clock: StageClock = field(default_factory=StageClock)
    number: int = 0

    def feed(self) -> None:
        """Offers the next frame, as the main loop does."""
        self.number += 1
        self.preview.offer(hand_frame(self.number), [hand_pose()], [], self.status, self.clock)


@contextmanager
def fed_preview(max_hz: float = 60.0, max_viewers: int = 4) -> Iterator[Fed]:
    """A running preview."""
    port = free_port()
    with Preview(PreviewConfig(port=port, max_hz=max_hz, max_viewers=max_viewers)) as preview:
        while preview.problem:
            time.sleep(0.005)
        yield Fed(preview, port)
