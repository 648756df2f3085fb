"""The daemon as a whole: a recording goes in, packets come out, and every way to its end is a clean one."""

import gc
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from handmap.bundle.manifest import Bundle, read_bundle
from handmap.engines.factory import open_engines
from handmap.protocol.fields import DaemonState, HandFlags, MessageType
from handmap.protocol.packet import Packet
from handmap.recording.reader import open_recording
from handmap.system.timing import StageClock
from handmap.tracking.tracker import TrackerState, track_hands
from handmap.tracking.tracker_settings import tracker_settings
from handmap.types.values import HandPose
from runtime.cameras.replay import ReplayConfig, shifted
from runtime.daemon import Daemon
from runtime.retry import StopFlag
from runtime.settings import Settings, read_settings
from tests.support.processes import ROOT, drain, handmap, listening, port_of, receive, started
from tests.support.tiny_bundle import blob_center_mm, write_blob_recording, write_config

MODEL = ROOT / "models" / "handmap-hand21"
DEMO = ROOT / "models" / "demo_recording"


def settings_for(tmp_path: Path, bundle: Path, recording: Path, port: int, pace: str = "lockstep") -> Settings:
    return read_settings(write_config(tmp_path / "c.yaml", bundle, recording, port, pace, False))


def joints_only(packets: list[Packet]) -> list[Packet]:
    return [packet for packet in packets if packet.message_type is MessageType.JOINTS]


def offline(settings: Settings) -> list[list[HandPose]]:
    """What `track_hands` says of each frame, without a daemon."""
    bundle = read_bundle(settings.bundle)
    engines = open_engines(bundle, settings.engine, settings.tracking.max_hands)
    state, results = TrackerState(), []
    how = tracker_settings(bundle, settings.tracking, settings.smoothing, settings.skeleton)
    assert isinstance(settings.camera, ReplayConfig)
    for frame in shifted(open_recording(settings.camera.path), False, start_ns=0):
        poses, state = track_hands(frame, state, engines, how, StageClock())
        results.append(poses)
    engines.close()
    return results


@pytest.mark.parametrize("which", ["tiny", "shipped"])
def test_lockstep_joints_on_the_wire_are_the_offline_ones(
    tmp_path: Path, bundle: Bundle, recording: Path, which: str
) -> None:
    if which == "shipped" and not (MODEL.exists() and DEMO.exists()):
        pytest.skip("the shipped bundle or recording is not in this checkout")
    model, frames = (bundle.path, recording) if which == "tiny" else (MODEL, DEMO)

    with listening() as sink:
        settings = settings_for(tmp_path, model, frames, port_of(sink))
        Daemon(settings, StopFlag()).run()
        packets = joints_only(drain(sink))

    expected = offline(settings)
    assert [packet.frame_number for packet in packets] == list(range(len(expected)))
    hands = 0
    for packet, poses in zip(packets, expected, strict=True):
        assert len(packet.hands) == len(poses)
        for hand, pose in zip(packet.hands, poses, strict=True):
            assert np.abs(hand.xyz_m * 1000 - pose.xyz_camera_mm).max() <= 1.0  # mm
            hands += 1
    assert hands > len(expected) / 2


def test_long_lived_objects_are_excluded_from_garbage_collection(
    tmp_path: Path, bundle: Bundle, recording: Path
) -> None:
    gc.unfreeze()
    frozen = []
    with listening() as sink:
        for _ in range(2):
            Daemon(settings_for(tmp_path, bundle.path, recording, port_of(sink)), StopFlag()).run()
            frozen.append(gc.get_freeze_count())

    assert frozen[0] > 10_000
    assert frozen[1] <= frozen[0], "what comes later is looked through"
    gc.unfreeze()


def test_joints_follow_the_blob(tmp_path: Path, bundle: Bundle, recording: Path) -> None:
    with listening() as sink:
        Daemon(settings_for(tmp_path, bundle.path, recording, port_of(sink)), StopFlag()).run()
        packets = drain(sink)

    for packet in joints_only(packets)[1:]:
        (hand,) = packet.hands
        center_mm = hand.xyz_m.mean(axis=0) * 1000
        assert np.abs(center_mm[:2] - blob_center_mm(packet.frame_number)[:2]).max() < 5  # mm
        assert hand.flags == HandFlags.VALID | HandFlags.TRACKED
    assert packets[0].state is DaemonState.STARTING
    assert packets[-1].state is DaemonState.STOPPING
    assert [packet.sequence for packet in packets] == list(range(len(packets)))


def test_frames_without_a_hand_are_published_as_such(tmp_path: Path, bundle: Bundle) -> None:
    recording = write_blob_recording(tmp_path / "r", 12, empty_from=6)
    with listening() as sink:
        Daemon(settings_for(tmp_path, bundle.path, recording, port_of(sink)), StopFlag()).run()
        packets = joints_only(drain(sink))

    assert [len(packet.hands) for packet in packets] == [1] * 6 + [0] * 6
    assert packets[5].state is DaemonState.TRACKING
    assert {packet.state for packet in packets[6:]} == {DaemonState.NO_HAND}


def test_daemon_ends_on_sigterm_and_says_so(tmp_path: Path, bundle: Bundle, recording: Path) -> None:
    with listening() as sink:
        config = write_config(tmp_path / "c.yaml", bundle.path, recording, port_of(sink))
        with started("run", "--config", config) as process:
            while not receive(sink).hands:
                pass
            process.send_signal(signal.SIGTERM)
            code = process.wait(10)
        packets = drain(sink)

    assert code == 0
    assert packets[-1].state is DaemonState.STOPPING


def test_after_a_stop_of_the_process_no_old_frame_is_published(tmp_path: Path, bundle: Bundle, recording: Path) -> None:
    with listening() as sink:
        config = write_config(tmp_path / "c.yaml", bundle.path, recording, port_of(sink))
        with started("run", "--config", config) as process:
            while not receive(sink).hands:
                pass
            process.send_signal(signal.SIGSTOP)
            time.sleep(3)
            drain(sink)
            process.send_signal(signal.SIGCONT)
            sink.settimeout(10)
            packets = [receive(sink) for _ in range(30)]

    frames = joints_only(packets)
    assert frames
    assert max(packet.publish_ns - packet.capture_ns for packet in frames) < 1.2e9


def test_daemon_imports_neither_torch_nor_numba_and_stays_below_300_mb(
    tmp_path: Path, bundle: Bundle, recording: Path
) -> None:
    config = write_config(tmp_path / "c.yaml", bundle.path, recording, 9, "lockstep", False)
    program = (
        "import sys\nfrom handmap.__main__ import cli\n"
        f"cli.main(['run', '--config', {str(config)!r}], standalone_mode=False)\n"
        "print(sorted({'torch', 'numba', 'viser', 'matplotlib', 'scipy', 'rich'} & set(sys.modules)))\n"
        # Not getrusage: its peak counts the process that this one was forked from.
        "status = dict(line.split(':', 1) for line in open('/proc/self/status'))\n"
        "print(int(status['VmHWM'].split()[0]) // 1024)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )

    imported, peak_mb = done.stdout.splitlines()
    assert imported == "[]"
    assert int(peak_mb) <= 300


def test_finished_replay_exits_with_zero(tmp_path: Path, bundle: Bundle, recording: Path) -> None:
    config = write_config(tmp_path / "c.yaml", bundle.path, recording, 9, "flat_out", False)

    done = handmap("run", "--config", config)

    assert done.returncode == 0, done.stderr
    assert "state=TRACKING" in done.stderr and "state=STOPPING" in done.stderr


def no_bundle(folder: Path) -> None:
    shutil.rmtree(folder / "bundle")


def truncated_graph(folder: Path) -> None:
    graph = folder / "bundle" / "hand.fp32.onnx"
    graph.write_bytes(graph.read_bytes()[:100])


def changed_graph(folder: Path) -> None:
    graph = folder / "bundle" / "hand.fp32.onnx"
    content = bytearray(graph.read_bytes())
    content[500] ^= 1
    graph.write_bytes(content)


def truncated_manifest(folder: Path) -> None:
    manifest = folder / "bundle" / "manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:200])


def no_recording(folder: Path) -> None:
    shutil.rmtree(folder / "recording")


def truncated_recording(folder: Path) -> None:
    (bag,) = (folder / "recording").glob("*.mcap")
    os.truncate(bag, bag.stat().st_size // 2)


def unknown_key(folder: Path) -> None:
    with (folder / "c.yaml").open("a") as config:
        config.write("enigne: {}\n")


def duplicate_key(folder: Path) -> None:
    with (folder / "c.yaml").open("a") as config:
        config.write("bundle: elsewhere\n")


def wrong_type(folder: Path) -> None:
    with (folder / "c.yaml").open("a") as config:
        config.write("engine: {threads: many}\n")


def no_config(folder: Path) -> None:
    (folder / "c.yaml").unlink()


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (no_bundle, "bundle '"),
        (truncated_graph, "sha256"),
        (changed_graph, "sha256"),
        (truncated_manifest, "manifest"),
        (no_recording, "nothing is there"),
        (truncated_recording, "is not a recording that can be read"),
        (unknown_key, "did you mean 'engine'"),
        (duplicate_key, "is given twice"),
        (wrong_type, "engine.threads"),
        (no_config, "cannot be read"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_78(
    tmp_path: Path, bundle: Bundle, recording: Path, harm: Callable[[Path], None], sentence: str
) -> None:
    shutil.copytree(bundle.path, tmp_path / "bundle")
    shutil.copytree(recording, tmp_path / "recording")
    write_config(tmp_path / "c.yaml", Path("bundle"), Path("recording"), 9)
    harm(tmp_path)

    done = handmap("run", "--config", tmp_path / "c.yaml")

    assert done.returncode == 78
    assert "Traceback" not in done.stderr
    (last,) = [line for line in done.stderr.splitlines() if line.startswith("handmap: ")]
    assert sentence in last and last == done.stderr.splitlines()[-1]


def test_validate_reports_the_verdict_and_runs_nothing(tmp_path: Path, bundle: Bundle, recording: Path) -> None:
    config = write_config(tmp_path / "c.yaml", bundle.path, recording, 9)

    good = handmap("run", "--config", config, "--validate")
    wrong_type(tmp_path)
    bad = handmap("run", "--config", config, "--validate")

    assert (good.returncode, bad.returncode) == (0, 78)
    assert "is valid" in good.stdout
