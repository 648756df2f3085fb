"""The tracker's state as bytes: nothing is lost, and nothing that is not whole and of this version is taken."""

import hashlib
from dataclasses import fields, replace

import msgspec
import numpy as np
import pytest

from handmap.bundle.manifest import read_bundle
from handmap.engines.factory import EngineConfig, open_engines
from handmap.recording.reader import open_recording
from handmap.skeleton.body_pose import BodyPose
from handmap.skeleton.hand_size import HandSize
from handmap.skeleton.memory import NEVER_NS, BodyState, Memory
from handmap.system.timing import StageClock
from handmap.tracking.fitted_hands import UNFITTED
from handmap.tracking.smooth import JointFilter, SmoothingConfig
from handmap.tracking.smooth_bodies import BodyFilter
from handmap.tracking.state_codec import STATE_VERSION, decode_state, encode_state, shift_state
from handmap.tracking.track import Track, Tracks
from handmap.tracking.tracker import TrackerState, track_hands
from handmap.tracking.tracker_settings import TrackerSettings, TrackingConfig, tracker_settings
from handmap.types.arrays import Float32
from handmap.types.errors import RecordingError
from handmap.types.values import DepthFrame
from tests.support.processes import ROOT

LAYOUT = "a4370ef1"  # of version 1
LEFT_OUT = {"proposals"}  # of the newest frame


def run(
    frames: list[DepthFrame], state: TrackerState, settings: TrackerSettings
) -> tuple[list[list[Float32]], TrackerState]:
    bundle = read_bundle(ROOT / "models" / "handmap-hand21")
    found = []
    with open_engines(bundle, EngineConfig(), settings.max_hands) as engines:
        for frame in frames:
            poses, state = track_hands(frame, state, engines, settings, StageClock())
            found.append([pose.xyz_camera_mm for pose in poses])
    return found, state


@pytest.fixture(scope="module")
def frames() -> list[DepthFrame]:
    recording = open_recording(ROOT / "models" / "demo_recording")
    return [frame for _, frame in zip(range(24), recording, strict=False)]


@pytest.fixture(scope="module")
def settings() -> TrackerSettings:
    return tracker_settings(read_bundle(ROOT / "models" / "handmap-hand21"), TrackingConfig(max_hands=2))


@pytest.fixture(scope="module")
def state(frames: list[DepthFrame], settings: TrackerSettings) -> TrackerState:
    """After twelve frames with a hand."""
    found, state = run(frames[:12], TrackerState(), settings)
    assert found[-1]
    return state


def test_work_goes_on_from_a_decoded_state_as_if_it_had_never_stopped(
    frames: list[DepthFrame], settings: TrackerSettings, state: TrackerState
) -> None:
    went_on, _ = run(frames[12:], state, settings)
    began_again, _ = run(frames[12:], decode_state(encode_state(state)), settings)

    for one, other in zip(went_on, began_again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_joint_filters_are_kept_too(frames: list[DepthFrame], settings: TrackerSettings) -> None:
    joint = JointFilter(3, 5, *(np.full((21, 3), value, np.float32) for value in (1, 2, 3)))
    again = decode_state(encode_state(TrackerState(filters=(joint,))))

    assert encode_state(again) == encode_state(TrackerState(filters=(joint,)))
    np.testing.assert_array_equal(again.filters[0].velocity_mm_s, joint.velocity_mm_s)


def test_a_shifted_state_says_the_same_of_shifted_frames(state: TrackerState) -> None:
    later = shift_state(state, 10**12)

    assert [track.capture_ns - 10**12 for track in later.tracks.active] == [
        track.capture_ns for track in state.tracks.active
    ]
    assert encode_state(shift_state(later, -(10**12))) == encode_state(state)


def test_what_was_never_seen_stays_so(state: TrackerState) -> None:
    memory = state.fitted.memory.memory
    assert memory is not None
    unseen = replace(memory, seen_ns=np.full(len(memory.track_ids), NEVER_NS))
    fitted = replace(state.fitted, bodies=None, memory=BodyState(unseen))
    later = shift_state(TrackerState(state.tracks, fitted), 5).fitted.memory.memory

    assert later is not None
    assert (later.seen_ns == NEVER_NS).all()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "damaged"),
        (b"no state", "damaged"),
        (msgspec.msgpack.encode([STATE_VERSION, {}]), "damaged"),
        (msgspec.msgpack.encode([STATE_VERSION + 1, {}]), f"found version {STATE_VERSION + 1}"),
    ],
)
def test_what_is_no_state_of_this_version_is_refused_in_a_sentence(content: bytes, said: str) -> None:
    with pytest.raises(RecordingError, match=said):
        decode_state(content)


def test_bytes_that_were_cut_or_changed_never_raise_anything_else(state: TrackerState) -> None:
    whole = encode_state(state)
    rng = np.random.default_rng(7)
    for _ in range(500):
        changed = bytearray(whole)
        changed[rng.integers(len(whole))] = rng.integers(256)
        for content in (bytes(changed), whole[: rng.integers(len(whole))]):
            try:
                decode_state(content)
            except RecordingError as error:
                assert "camera.resume" in str(error)


def test_the_version_is_raised_when_what_is_kept_changes() -> None:
    """If this fails, raise STATE_VERSION, and write the new layout down here."""
    kinds = (TrackerState, Tracks, Track, Memory, BodyPose, HandSize, BodyFilter, JointFilter)
    layout = ";".join(
        f"{kind.__name__}:" + ",".join(one.name for one in fields(kind) if one.name not in LEFT_OUT) for kind in kinds
    )

    assert (STATE_VERSION, hashlib.sha256(layout.encode()).hexdigest()[:8]) == (1, LAYOUT)


def test_smoothing_by_joint_is_resumed(frames: list[DepthFrame]) -> None:
    bundle = read_bundle(ROOT / "models" / "handmap-hand21")
    settings = tracker_settings(bundle, TrackingConfig(), SmoothingConfig(), UNFITTED)
    _, state = run(frames[:12], TrackerState(), settings)
    went_on, _ = run(frames[12:], state, settings)
    began_again, _ = run(frames[12:], decode_state(encode_state(state)), settings)

    for one, other in zip(went_on, began_again, strict=True):
        np.testing.assert_array_equal(one, other)
