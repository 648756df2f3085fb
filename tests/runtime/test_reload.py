"""SIGHUP to the real daemon: what is applied, what is reopened, what is refused, and that heartbeats never pause."""

import itertools
import os
import select
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import pytest

from handmap.bundle.manifest import GOLDEN, MANIFEST, Bundle, encode_manifest
from handmap.protocol.fields import DaemonState, MessageType
from handmap.protocol.packet import Packet
from runtime.cameras.replay import ReplayConfig
from runtime.publish_config import PublishConfig, TargetConfig
from runtime.reload import reopening
from runtime.settings import LogConfig, Settings, TelemetryConfig
from tests.support.processes import handmap, listening, port_of, receive, started
from tests.support.running import free_port, wait_for
from tests.support.tiny_bundle import write_blob_recording

LONGEST_GAP_S = 1.9  # one is sent each second, and none is missed


@dataclass
class Running:
    """A daemon under test: its file, its process, and what it sent."""

    config: Path
    process: "subprocess.Popen[str]"
    port: int
    sinks: list[socket.socket]
    packets: list[Packet] = field(default_factory=list)

    def reload(self, text: str) -> None:
        self.config.write_text(text)
        self.process.send_signal(signal.SIGHUP)

    def until(self, is_enough: Callable[[Packet], bool], timeout_s: float = 60) -> Packet:
        """Takes packets until one is as wanted."""
        end_s = time.monotonic() + timeout_s
        while (left_s := end_s - time.monotonic()) > 0:
            for sink in select.select(self.sinks, [], [], left_s)[0]:
                self.packets.append(receive(sink))
                if is_enough(self.packets[-1]):
                    return self.packets[-1]
        raise AssertionError(f"no such packet within {timeout_s} s")

    def for_seconds(self, seconds: float) -> None:
        """Takes all packets of the next seconds."""
        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0:
            for sink in select.select(self.sinks, [], [], left_s)[0]:
                self.packets.append(receive(sink))

    def longest_gap_s(self) -> float:
        beats = sorted(p.publish_ns for p in self.packets if p.message_type is MessageType.HEARTBEAT)
        assert len(beats) > 2
        return max(after - before for before, after in itertools.pairwise(beats)) / 1e9


def settings_text(bundle: Path, camera: str, udp_port: int, http_port: int, more: str = "") -> str:
    return (
        f"bundle: {bundle}\ncamera: {camera}\npublish: {{targets: [{{host: 127.0.0.1, port: {udp_port}}}]}}\n"
        f"telemetry: {{port: {http_port}}}\npreview: null\n{more}"
    )


def replay(recording: Path) -> str:
    return f"{{kind: replay, path: {recording}}}"


def is_tracking(packet: Packet) -> bool:
    return packet.state is DaemonState.TRACKING and packet.message_type is MessageType.JOINTS


def test_targets_tracking_and_log_are_applied_while_the_camera_keeps_running(
    tmp_path: Path, bundle: Bundle, recording: Path
) -> None:
    port = free_port()
    config = tmp_path / "c.yaml"
    with listening() as old, listening() as new:
        config.write_text(settings_text(bundle.path, replay(recording), port_of(old), port))
        with started("run", "--config", config) as process:
            running = Running(config, process, port, [old, new])
            before = running.until(is_tracking)
            more = "tracking: {max_depth_mm: 300}\nlog: {format: json, stats_interval_s: 0.2}\n"  # the blob is half a meter away
            running.reload(settings_text(bundle.path, replay(recording), port_of(new), port, more))
            running.until(lambda packet: packet.state is DaemonState.NO_HAND)
            running.for_seconds(2.5)
            now = wait_for(port, lambda now: now.reload.taken == 1)
            after = receive(new)
            process.send_signal(signal.SIGTERM)
            log = process.communicate()[1]

    sequences = [packet.sequence for packet in running.packets]
    assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))  # over both targets: nothing was lost
    assert after.stream_id == before.stream_id
    assert now.restarts == {"camera": 0, "engine": 0, "hung": 0}
    assert running.longest_gap_s() <= LONGEST_GAP_S
    assert "changed=log,publish,tracking" in log and '"logger": "handmap.stats"' in log


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda text: text + "trackin: {}\n", "did you mean 'tracking'"),
        (lambda text: text.replace("bundle: ", "bundle: nowhere"), "bundle '"),
        (lambda text: text.replace("kind: replay, path: ", "kind: replay, path: /nowhere"), "nothing is there"),
        (lambda text: text + "engine: {precision: fp16}\n", "fp16"),
        (lambda text: "", "is missing"),
    ],
    ids=["unknown-key", "no-bundle", "no-recording", "no-such-precision", "empty"],
)
def test_a_bad_file_is_refused_and_the_old_configuration_kept(
    tmp_path: Path, bundle: Bundle, recording: Path, spoil: Callable[[str], str], sentence: str
) -> None:
    port = free_port()
    config = tmp_path / "c.yaml"
    with listening() as sink:
        good = settings_text(bundle.path, replay(recording), port_of(sink), port)
        config.write_text(good)
        with started("run", "--config", config) as process:
            running = Running(config, process, port, [sink])
            running.until(is_tracking)
            running.reload(spoil(good))
            refused = wait_for(port, lambda now: now.reload.refused == 1)
            text = handmap("status", "--port", str(port)).stdout
            running.until(is_tracking)
            running.reload(good)
            mended = wait_for(port, lambda now: now.reload.taken == 1)
            process.send_signal(signal.SIGTERM)
            log = process.communicate()[1]

    assert sentence in refused.reload.refusal and "\n" not in refused.reload.refusal
    assert "last reload refused" in text
    assert mended.reload.refusal == "" and mended.restarts["camera"] == 0
    assert log.count("configuration=kept") == 1
    assert process.returncode == 0


def test_drop_ins_are_read_again_and_a_bad_one_is_refused_by_its_line(
    tmp_path: Path, bundle: Bundle, recording: Path
) -> None:
    port = free_port()
    config, drop_in = tmp_path / "c.yaml", tmp_path / "c.d/50-site.yaml"
    drop_in.parent.mkdir()
    with listening() as sink:
        text = settings_text(bundle.path, replay(recording), port_of(sink), port)
        config.write_text(text)
        with started("run", "--config", config) as process:
            running = Running(config, process, port, [sink])
            running.until(is_tracking)
            drop_in.write_text("tracking: {max_depth_mm: 300}\n")  # the blob is half a meter away
            running.reload(text)
            running.until(lambda packet: packet.state is DaemonState.NO_HAND)
            drop_in.write_text("\ntracking: {max_dept_mm: 900}\n")
            running.reload(text)
            refused = wait_for(port, lambda now: now.reload.refused == 1)
            drop_in.unlink()
            running.reload(text)
            running.until(is_tracking)

    assert f"{str(drop_in)!r}, line 2: unknown key 'tracking.max_dept_mm'" in refused.reload.refusal


def test_another_camera_is_opened_without_interrupting_heartbeats(
    tmp_path: Path, bundle: Bundle, recording: Path
) -> None:
    port = free_port()
    config = tmp_path / "c.yaml"
    empty = write_blob_recording(tmp_path / "empty", 10, empty_from=0)
    with listening() as sink:
        config.write_text(settings_text(bundle.path, replay(recording), port_of(sink), port))
        with started("run", "--config", config) as process:
            running = Running(config, process, port, [sink])
            first = running.until(is_tracking)
            running.for_seconds(1.2)
            running.reload(settings_text(bundle.path, replay(empty), port_of(sink), port))
            second = running.until(lambda packet: packet.state is DaemonState.NO_HAND)
            running.for_seconds(1.2)
            now = wait_for(port, lambda now: now.restarts["camera"] >= 1)

    assert second.stream_id == first.stream_id
    assert now.restarts["engine"] == 0 and str(empty) in now.camera
    assert running.longest_gap_s() <= LONGEST_GAP_S


def test_a_missing_camera_is_fixed_by_a_reload(tmp_path: Path, bundle: Bundle, recording: Path) -> None:
    port = free_port()
    config = tmp_path / "c.yaml"
    absent = f"{{kind: faulty, camera: {replay(recording)}, faults: [{{kind: unplugged}}]}}"
    with listening() as sink:
        config.write_text(settings_text(bundle.path, absent, port_of(sink), port))
        with started("run", "--config", config) as process:
            running = Running(config, process, port, [sink])
            running.until(lambda packet: packet.state is DaemonState.NO_CAMERA)
            running.reload(settings_text(bundle.path, replay(recording), port_of(sink), port))
            running.until(is_tracking)


def test_wrong_engines_are_rolled_back_to_the_old_ones(tmp_path: Path, bundle: Bundle, recording: Path) -> None:
    """The check reads manifest and hashes; that the engine computes something else shows when it is opened."""
    wrong = tmp_path / "wrong"
    shutil.copytree(bundle.path, wrong)
    with np.load(wrong / GOLDEN) as golden:
        np.savez(wrong / GOLDEN, depth=golden["depth"], joints=golden["joints"] + np.float32(0.5))
    manifest = msgspec.structs.replace(bundle.manifest, golden_sha256=sha256_of(wrong / GOLDEN))
    (wrong / MANIFEST).write_bytes(encode_manifest(manifest))
    port = free_port()
    config = tmp_path / "c.yaml"
    with listening() as sink:
        config.write_text(settings_text(bundle.path, replay(recording), port_of(sink), port))
        with started("run", "--config", config) as process:
            running = Running(config, process, port, [sink])
            running.until(is_tracking)
            running.for_seconds(1.2)
            running.reload(settings_text(wrong, replay(recording), port_of(sink), port))
            wait_for(port, lambda now: now.reload.refused == 1)
            running.until(is_tracking)
            running.for_seconds(1.2)
            now = wait_for(port, lambda now: now.state == "TRACKING")

    assert "golden samples" in now.reload.refusal
    assert now.bundle == bundle.id.hex()
    assert running.longest_gap_s() <= LONGEST_GAP_S


def test_a_camera_that_can_never_be_opened_is_rolled_back_to_the_old_one(
    tmp_path: Path, bundle: Bundle, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That its library is missing shows only when it is opened: a configuration can be checked on another machine."""
    absent = "raise ModuleNotFoundError('not here', name='pyrealsense2')\n"
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "pyrealsense2.py").write_text(absent)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "without"))
    port = free_port()
    config = tmp_path / "c.yaml"
    with listening() as sink:
        config.write_text(settings_text(bundle.path, replay(recording), port_of(sink), port))
        with started("run", "--config", config) as process:
            running = Running(config, process, port, [sink])
            running.until(is_tracking)
            running.reload(settings_text(bundle.path, "{kind: realsense}", port_of(sink), port))
            now = wait_for(port, lambda now: now.reload.refused == 1)
            running.until(is_tracking)

    assert "pyrealsense2" in now.reload.refusal


def sha256_of(file: Path) -> str:
    import hashlib

    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_systemd_is_sent_reloading_with_the_time_and_then_ready(
    tmp_path: Path, bundle: Bundle, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order that `systemctl reload` waits for; see sd_notify(3)."""
    address = tmp_path / "notify"
    config = tmp_path / "c.yaml"
    good = settings_text(bundle.path, replay(recording), 9, free_port())
    config.write_text(good)
    monkeypatch.setenv("NOTIFY_SOCKET", str(address))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(address))
        systemd.settimeout(60)

        def next_with(word: str) -> str:
            end_s = time.monotonic() + 60
            while word not in (heard := systemd.recv(4000).decode()):
                assert time.monotonic() < end_s, f"{word} was not heard"
            return heard

        with started("run", "--config", config) as process:
            next_with("READY=1")
            for text, status in ((good, "configuration reloaded"), ("bundle: [\n", "old configuration kept")):
                config.write_text(text)
                asked_ns = time.monotonic_ns()
                process.send_signal(signal.SIGHUP)
                reloading = next_with("RELOADING=1")
                ready = next_with("READY=1")

                (stamp,) = [line for line in reloading.splitlines() if line.startswith("MONOTONIC_USEC=")]
                assert asked_ns // 1000 <= int(stamp.partition("=")[2]) <= time.monotonic_ns() // 1000
                assert f"STATUS={status}" in ready


def test_many_signals_at_once_are_answered_and_stop_nothing(tmp_path: Path, bundle: Bundle, recording: Path) -> None:
    port = free_port()
    config = tmp_path / "c.yaml"
    with listening() as sink:
        config.write_text(settings_text(bundle.path, replay(recording), port_of(sink), port))
        with started("run", "--config", config) as process:
            running = Running(config, process, port, [sink])
            running.until(is_tracking)
            for _ in range(200):
                os.kill(process.pid, signal.SIGHUP)
            wait_for(port, lambda now: now.reload.taken >= 1)
            running.until(is_tracking)
            process.send_signal(signal.SIGTERM)

            assert process.wait(30) == 0


REPLAY = ReplayConfig(Path("/r"))
BASE = Settings(Path("/b"), REPLAY, PublishConfig((TargetConfig("127.0.0.1"),)))


@pytest.mark.parametrize(
    ("change", "needed"),
    [
        ({}, None),
        ({"log": LogConfig(level="debug"), "telemetry": TelemetryConfig(None)}, None),
        ({"publish": PublishConfig((TargetConfig("10.0.0.1"),))}, None),
        ({"tracking": msgspec.structs.replace(BASE.tracking, min_depth_mm=200.0)}, None),
        ({"tracking": msgspec.structs.replace(BASE.tracking, max_hands=2)}, True),
        ({"camera": ReplayConfig(Path("/other"))}, False),
        ({"engine": msgspec.structs.replace(BASE.engine, threads=2)}, True),
        ({"bundle": Path("/other")}, True),
    ],
)
def test_what_a_change_reopens(change: dict[str, object], needed: bool | None) -> None:
    found = reopening(BASE, msgspec.structs.replace(BASE, **change))

    assert (found and found.engines) is needed if needed is not None else found is None
