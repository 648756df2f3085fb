"""The RealSense camera on the SDK itself: its software device, and files recorded with the SDK."""

import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from handmap.bundle.manifest import Bundle
from handmap.types.distortion import Distortion, undistortion
from handmap.types.errors import CameraLost, ConfigError, RecordingError
from handmap.types.values import DepthFrame, TimestampSource
from runtime.cameras import realsense
from runtime.cameras.realsense import RealSenseConfig, RealSenseSource
from runtime.cameras.realsense_device import lens_of
from runtime.daemon import Daemon
from runtime.retry import RestartRequired, StopFlag
from runtime.settings import read_settings
from tests.support.processes import ROOT, drain, listening, port_of
from tests.support.realsense import SoftwareCamera, sdk, write_sdk_recording
from tests.support.tiny_bundle import CAMERA, blob_center_mm, blob_frame

CONFIG = RealSenseConfig(fps=30)


@pytest.fixture(autouse=True, scope="module")
def rs() -> Any:
    return sdk()


def camera(serial: str = "111", unit_mm: float = 1.0) -> SoftwareCamera:
    return SoftwareCamera(replace(blob_frame(0), depth_unit_mm=unit_mm), serial, (30, 60))


def source(*cameras: SoftwareCamera, config: RealSenseConfig = CONFIG) -> RealSenseSource:
    return RealSenseSource(config, lambda: [one.device for one in cameras])


def frame_now(number: int) -> DepthFrame:
    return replace(blob_frame(number), capture_ns=time.monotonic_ns() - 10**12)  # the camera was switched on earlier


def test_frames_have_unit_intrinsics_and_mapped_time() -> None:
    soft = camera(unit_mm=0.125)
    opened = source(soft).open()

    shown, before_ns = frame_now(4), time.monotonic_ns()
    soft.show(shown)
    found = opened.wait_frame(1)
    opened.close()

    assert found is not None
    np.testing.assert_array_equal(found.depth, shown.depth)
    assert (found.depth_unit_mm, found.intrinsics, found.frame_number) == (0.125, CAMERA, 5)
    assert before_ns <= found.capture_ns <= time.monotonic_ns()
    assert found.timestamp_source is TimestampSource.CAMERA


def test_without_gpu_frames_in_the_sdk_host_frames_are_used() -> None:
    soft = camera()
    opened = source(soft, config=RealSenseConfig(fps=30, gpu_frames=True)).open()
    soft.show(frame_now(4))
    found = opened.wait_frame(1)
    opened.close()

    assert found is not None and found.on_gpu is None
    np.testing.assert_array_equal(found.depth, blob_frame(4).depth)


def test_spacing_is_the_cameras_and_frames_without_a_time_are_marked_as_arrival() -> None:
    soft = camera()
    opened = source(soft).open()
    times = []
    for number in range(2):
        soft.show(replace(blob_frame(number), capture_ns=10**9 + number * 33_000_000))
        time.sleep(0.05 * number)  # held up
        frame = opened.wait_frame(1)
        assert frame is not None
        times.append(frame.capture_ns)
    soft.show(frame_now(9), "system_time")
    without = opened.wait_frame(1)
    opened.close()

    assert times[1] - times[0] <= 33_000_000
    assert without is not None and without.timestamp_source is TimestampSource.ARRIVAL
    assert 0 <= time.monotonic_ns() - without.capture_ns < 10**9


def test_only_the_newest_frame_waits() -> None:
    soft = camera()
    opened = source(soft).open()

    for number in range(5):
        soft.show(frame_now(number))
    newest, none = opened.wait_frame(1), opened.wait_frame(0.05)
    opened.close()

    assert newest is not None and newest.frame_number == 5
    assert none is None and not opened.has_ended


def test_of_two_cameras_only_the_named_one_is_opened() -> None:
    first, second = camera("111"), camera("222")

    opened = source(first, second, config=RealSenseConfig(fps=30, serial="222")).open()
    second.show(frame_now(1))
    found = opened.wait_frame(1)
    opened.close()

    assert found is not None and "222" in opened.name
    assert first.device.query_sensors()[0].get_active_streams() == []


def test_two_cameras_and_no_serial_is_refused_with_both() -> None:
    with pytest.raises(ConfigError, match=r"2 RealSense cameras .*'111', '222'; set camera\.serial"):
        source(camera("111"), camera("222")).open()


def test_a_second_camera_that_comes_later_is_left_alone() -> None:
    cameras = [camera("111")]
    found = RealSenseSource(CONFIG, lambda: [one.device for one in cameras])
    found.open().close()

    cameras.append(camera("000"))
    again = found.open()
    again.close()
    del cameras[0]

    assert "111" in again.name
    with pytest.raises(CameraLost, match="no RealSense camera has serial '111', plugged in are '000'"):
        found.open()


def test_a_missing_camera_is_transient() -> None:
    with pytest.raises(CameraLost, match="the SDK finds no RealSense camera"):
        source().open()


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (
            RealSenseConfig(fps=90),
            "no depth stream of 640x480 at 90 frames/s, it has 640x480 at 30, 640x480 at 60; set",
        ),
        (RealSenseConfig(fps=30, laser_power=400), "laser_power is 400, the device has 0 to 360 in steps of 30"),
        (RealSenseConfig(fps=30, laser_power=100), "laser_power is 100, the device has 0 to 360 in steps of 30"),
        (RealSenseConfig(fps=30, exposure_us=9000), "exposure_us is 9000, but the device has no such option"),
        (
            RealSenseConfig(fps=30, preset="sharp"),
            "no preset 'sharp', it has custom, default, hand, high_accuracy; correct",
        ),
    ],
)
def test_unsupported_settings_are_refused_with_the_supported_ones(
    rs: Any, config: RealSenseConfig, sentence: str
) -> None:
    soft = camera()
    soft.offer(rs.option.laser_power, 0, 360, 30)
    soft.offer(rs.option.visual_preset, 0, 3, 1)

    with pytest.raises(ConfigError, match=sentence):
        source(soft, config=config).open()


def test_options_are_set_on_the_device(rs: Any) -> None:
    soft = camera()
    for option, high, step in (
        (rs.option.laser_power, 360, 30), (rs.option.visual_preset, 5, 1), (rs.option.exposure, 165000, 1),
        (rs.option.enable_auto_exposure, 1, 1), (rs.option.emitter_enabled, 1, 1),
    ):  # fmt: skip
        soft.offer(option, 0, high, step)
    soft.sensor.set_option(rs.option.enable_auto_exposure, 1)

    config = RealSenseConfig(fps=30, preset="high_accuracy", laser_power=90, exposure_us=8000)
    source(soft, config=config).open().close()

    names = ("laser_power", "visual_preset", "exposure", "enable_auto_exposure", "emitter_enabled")
    assert [soft.sensor.get_option(getattr(rs.option, name)) for name in names] == [90, 3, 8000, 0, 1]


def test_a_camera_on_usb_2_is_waited_for(rs: Any) -> None:
    soft = camera()
    soft.device.register_info(rs.camera_info.usb_type_descriptor, "2.1")

    with pytest.raises(CameraLost, match=r"connected over USB 2\.1, wanted USB 3"):
        source(soft).open()


def test_a_stalled_stream_is_restarted_then_the_device_reset_then_reopened_then_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(realsense, "FIRST_FRAME_S", 0.05)
    soft = camera()
    found = source(soft)
    opened = found.open()
    time.sleep(0.1)

    assert opened.wait_frame(0.01) is None  # restarted
    soft.show(frame_now(1))
    assert opened.wait_frame(0.5) is not None

    monkeypatch.setattr(opened, "_stall_s", 0.05)
    soft.show(frame_now(2))
    assert opened.wait_frame(0.5) is not None
    time.sleep(0.1)
    assert opened.wait_frame(0.01) is None  # restarted: the last frame began the steps anew
    time.sleep(0.1)
    with pytest.raises(CameraLost, match="resetting the device"):  # which a software device cannot do
        opened.wait_frame(0.01)
    opened.close()
    for wanted, sentence in ((CameraLost, "reopen the device"), (RestartRequired, "no frame arrived after restarting")):
        opened = found.open()
        time.sleep(0.1)
        with pytest.raises(wanted, match=sentence):
            opened.wait_frame(0.01)
        opened.close()
    steps = [line.split("step=")[1] for line in caplog.messages]
    assert steps == ["'restart the stream'"] * 2 + ["'reset the device'", "'reopen the device'", "'exit'"]


def test_a_device_that_does_not_open_is_eventually_given_up() -> None:
    soft = camera()
    found = source(soft)
    holder = found.open()  # streams, so that it cannot be opened a second time

    raised = []
    for _ in range(4):
        with pytest.raises((CameraLost, RestartRequired)) as caught:
            found.open()
        raised.append(caught.type is RestartRequired)
    holder.close()

    assert raised == [False, False, False, True]


def test_a_file_of_the_sdk_is_played_to_its_end(tmp_path: Path) -> None:
    stream = [blob_frame(number) for number in range(10)]
    path = write_sdk_recording(tmp_path / "r.db3", stream, spacing_s=0.03)
    opened = RealSenseSource(RealSenseConfig(playback=path)).open()

    frames = []
    end_s = time.monotonic() + 30
    while not opened.has_ended and time.monotonic() < end_s:
        frame = opened.wait_frame(0.2)
        frames += [] if frame is None else [frame]
    opened.close()

    assert opened.has_ended and len(frames) >= 5  # in real time a busy machine may miss some
    for frame in frames:
        np.testing.assert_array_equal(frame.depth, stream[frame.frame_number - 1].depth)
        assert frame.timestamp_source is TimestampSource.RECORDING
    times = [frame.capture_ns for frame in frames]
    assert times == sorted(set(times)) and time.monotonic_ns() - 10**10 < times[0] <= times[-1] <= time.monotonic_ns()


def test_an_invalid_playback_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.db3").write_text("no recording")

    for name in ("r.db3", "missing.db3"):
        with pytest.raises(RecordingError, match=f"playback '.*{name}' cannot be played"):
            RealSenseSource(RealSenseConfig(playback=tmp_path / name)).open()


def test_the_daemon_finds_the_hand_in_a_file_of_the_sdk(tmp_path: Path, bundle: Bundle) -> None:
    path = write_sdk_recording(tmp_path / "r.db3", map(blob_frame, range(60)), spacing_s=0.03)
    with listening() as sink:
        (tmp_path / "c.yaml").write_text(
            f"bundle: {bundle.path}\n"
            f"camera: {{kind: realsense, playback: {path}}}\n"
            f"publish: {{targets: [{{host: 127.0.0.1, port: {port_of(sink)}}}]}}\n"
            "telemetry: {port: null}\npreview: null\nsmoothing: {enabled: false}\n"
        )
        Daemon(read_settings(tmp_path / "c.yaml"), StopFlag()).run()
        packets = [packet for packet in drain(sink) if packet.hands]

    assert len(packets) >= 10
    for packet in packets:
        center_mm = packet.hands[0].xyz_m.mean(axis=0)[:2] * 1000
        assert np.abs(center_mm - blob_center_mm(packet.frame_number - 1)[:2]).max() < 6  # mm
        assert packet.timestamp_source is TimestampSource.RECORDING


def test_the_shipped_configuration_shows_every_default() -> None:
    shipped = read_settings(ROOT / "configs" / "realsense.yaml")

    assert shipped.camera == RealSenseConfig()


def test_options_of_a_file_are_refused(tmp_path: Path) -> None:
    text = "bundle: b\ncamera: {kind: realsense, playback: r.db3, laser_power: 90}\npublish: {targets: [{host: h}]}\n"
    (tmp_path / "c.yaml").write_text(text)

    with pytest.raises(ConfigError, match=r"line 2: .*with playback, leave out .*laser_power"):
        read_settings(tmp_path / "c.yaml")


def test_distortion_of_a_live_camera_is_undone_as_in_a_recording(rs: Any) -> None:
    optics = rs.intrinsics()
    optics.width, optics.height, optics.fx, optics.fy, optics.ppx, optics.ppy = 64, 48, 60.0, 60.0, 31.5, 23.5
    optics.model, optics.coeffs = rs.distortion.brown_conrady, [-0.35, 0.12, 0.0, 0.0, 0.0]
    profile = SimpleNamespace(as_video_stream_profile=lambda: SimpleNamespace(get_intrinsics=lambda: optics))

    intrinsics, found = lens_of(profile)

    wanted = undistortion(intrinsics, Distortion("plumb_bob", (-0.35, 0.12, 0.0, 0.0, 0.0)))
    assert found is not None and np.abs(found.source - wanted.source).max() == 0
    optics.model = rs.distortion.ftheta
    with pytest.raises(ConfigError, match="ftheta"):
        lens_of(profile)
