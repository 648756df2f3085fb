"""What the daemon adds to single frames: smoothing, extrapolation, and a reset on new intrinsics."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import msgspec
import numpy as np
import pytest

from handmap.bundle.manifest import Bundle
from handmap.protocol.fields import HandFlags, MessageType
from handmap.protocol.packet import Packet
from handmap.recording.datasets import LabeledFrame
from handmap.recording.reader import Recording
from handmap.tracking.smooth import SmoothingConfig
from handmap.types.arrays import Float32
from handmap.types.intrinsics import Intrinsics
from handmap.types.values import DepthFrame
from runtime.cameras import replay as replay_file
from runtime.daemon import Daemon
from runtime.retry import StopFlag
from runtime.settings import read_settings
from tests.support.processes import drain, listening, port_of
from tests.support.tiny_bundle import CAMERA, FPS, blob_frame_at, write_config, write_frames

SPEED_MM_S = 600.0
PLAIN = SmoothingConfig(enabled=False)
SMOOTH = SmoothingConfig()
AHEAD = SmoothingConfig(extrapolate=True)


def packets_of(folder: Path, bundle: Bundle, recording: Path, smoothing: SmoothingConfig, pace: str) -> list[Packet]:
    """The packets with hands that a daemon sends of a recording."""
    with listening() as sink:
        config = write_config(folder / "c.yaml", bundle.path, recording, port_of(sink), pace, False)
        settings = msgspec.structs.replace(read_settings(config), smoothing=smoothing)
        Daemon(settings, StopFlag()).run()
        return [packet for packet in drain(sink) if packet.message_type is MessageType.JOINTS and packet.hands]


def joints_mm(packets: list[Packet]) -> Float32:
    """Joints (N, 21, 3) of the one hand of each packet."""
    return np.stack([packet.hands[0].xyz_m * np.float32(1000) for packet in packets])


def test_joints_of_a_resting_hand_jitter_less_than_the_networks(tmp_path: Path, bundle: Bundle) -> None:
    random = np.random.default_rng(0)
    places = np.array([0, 0, 500]) + random.normal(0, 0.7, (90, 3))
    recording = write_frames(tmp_path / "r", [blob_frame_at(n, place) for n, place in enumerate(places)])

    raw, shown = (
        joints_mm(packets_of(tmp_path, bundle, recording, smoothing, "lockstep"))[30:] for smoothing in (PLAIN, SMOOTH)
    )

    # From frame to frame: besides, the tiny network wanders slowly by itself.
    raw_mm, shown_mm = (float(np.sqrt((np.diff(joints, axis=0) ** 2).sum(axis=-1).mean())) for joints in (raw, shown))
    assert shown_mm < 0.7 * raw_mm
    np.testing.assert_allclose(shown.mean(axis=0), raw.mean(axis=0), atol=1)


def test_joints_of_a_moving_hand_are_extrapolated_to_the_publish_time(tmp_path: Path, bundle: Bundle) -> None:
    places = [np.array([-300 + SPEED_MM_S / FPS * n, 0, 500], np.float32) for n in range(30)]
    recording = write_frames(tmp_path / "r", [blob_frame_at(n, place) for n, place in enumerate(places)])

    behind, ahead = (
        {one.frame_number: one for one in packets_of(tmp_path, bundle, recording, smoothing, "recorded")[8:]}
        for smoothing in (SMOOTH, AHEAD)
    )

    both = [(behind[number], ahead[number]) for number in behind.keys() & ahead.keys()]
    ages_s = [min((one.publish_ns - one.capture_ns) / 1e9, AHEAD.max_extrapolation_ms / 1e3) for _, one in both]
    moves_mm = [float((joints_mm([one]) - joints_mm([other]))[..., 0].mean()) for other, one in both]
    assert len(both) > 8
    assert all(one.hands[0].flags & HandFlags.EXTRAPOLATED for _, one in both)
    assert not any(one.hands[0].flags & HandFlags.EXTRAPOLATED for one, _ in both)
    assert sum(moves_mm) == pytest.approx(SPEED_MM_S * sum(ages_s), rel=0.25)


class OneAfterTheOther:
    """Frames of several cameras as one recording."""

    path = Path("joined")
    intrinsics: Intrinsics = CAMERA
    depth_unit_mm = 1.0
    fps = float(FPS)
    cut = ""

    def __init__(self, frames: list[DepthFrame]) -> None:
        self._frames = frames

    def __len__(self) -> int:
        return len(self._frames)

    def __iter__(self) -> Iterator[DepthFrame]:
        return iter(self._frames)

    def endless(self) -> Iterator[DepthFrame]:
        return cycle(self._frames)

    def labeled_count(self) -> int:
        return 0

    def labeled(self) -> Iterator[LabeledFrame]:
        return iter(())


@pytest.mark.parametrize(("focal_px", "ids"), [(475.0, {1}), (500.0, {1, 2})])
def test_a_hand_seen_with_other_intrinsics_is_a_new_one(
    tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch, focal_px: float, ids: set[int]
) -> None:
    intrinsics_list = [CAMERA] * 5 + [replace(CAMERA, fx_px=focal_px, fy_px=focal_px)] * 5
    place = np.array([0, 0, 500], np.float32)
    recording: Recording = OneAfterTheOther(
        [blob_frame_at(n, place, intrinsics) for n, intrinsics in enumerate(intrinsics_list)]
    )
    monkeypatch.setattr(replay_file, "open_recording", lambda *_: recording)

    packets = packets_of(tmp_path, bundle, write_frames(tmp_path / "r", list(recording)[:1]), PLAIN, "lockstep")

    assert [packet.frame_number for packet in packets] == list(range(10))
    assert {packet.hands[0].track_id for packet in packets} == ids
