"""The flight recorder as a whole: a fault at a known time is in the snapshot, and the snapshot replayed gives the same packets."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from handmap.protocol.fields import MessageType
from handmap.protocol.packet import Packet, decode
from handmap.recording.flight_file import FlightFile
from handmap.recording.flight_records import FlightFrame
from handmap.recording.reader import open_recording
from handmap.types.arrays import Float32
from runtime.daemon import Daemon
from runtime.flight.facts import FlightFacts
from runtime.retry import StopFlag
from runtime.settings import read_settings
from tests.runtime.watched_daemon import WatchedDaemon
from tests.support.processes import ROOT, listening, port_of

MODEL = ROOT / "models" / "handmap-hand21"
DEMO = ROOT / "models" / "demo_recording"
SAME_MM = 0.1


def write_flight_config(path: Path, camera: str, port: int, folder: Path, recorder: str = "") -> Path:
    path.write_text(
        f"bundle: {MODEL}\n"
        f"camera: {camera}\n"
        f"publish: {{targets: [{{host: 127.0.0.1, port: {port}}}], skeleton: true}}\n"
        "tracking: {max_hands: 2}\n"
        "telemetry: {port: null}\npreview: null\n"
        f"flight_recorder: {{folder: {folder}{recorder}}}\n"
    )
    return path


def flight_facts(daemon: Daemon) -> FlightFacts:
    return daemon._monitor.flight.facts


def wait(is_so: Callable[[], bool], limit_s: float = 30) -> None:
    end_s = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < end_s
        time.sleep(0.02)


def written(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*"))


def read_flight(path: Path) -> FlightFile:
    recording = open_recording(path)
    return FlightFile(recording)  # type: ignore[arg-type]  # it is a bag


def joints_mm(packet: Packet) -> list[Float32]:
    return [hand.xyz_m * 1000 for hand in packet.hands]


def recorded_packets(frames: list[FlightFrame]) -> list[Packet]:
    return [decode(data) for seen in frames for data in seen.packets]


def replayed_packets(folder: Path, snapshot: Path, count: int) -> list[Packet]:
    with listening() as sink:
        camera = f"{{kind: replay, path: {snapshot}, pace: lockstep, loop: false}}"
        config = write_flight_config(folder / "replay.yaml", camera, port_of(sink), folder / "other")
        stop = StopFlag()
        run = WatchedDaemon(Daemon(read_settings(config), stop), stop, sink)
        try:
            wait(lambda: run.error is not None or not run._runner.is_alive(), 60)
        finally:
            run.end()
        assert run.error is None
    return [packet for _, packet in run.packets if packet.message_type is MessageType.JOINTS]


def test_a_fault_is_found_in_the_snapshot_and_replayed_every_packet_is_the_recorded_one(tmp_path: Path) -> None:
    with listening() as sink:
        camera = (
            f"{{kind: faulty, camera: {{kind: replay, path: {DEMO}}}, "
            "faults: [{kind: all_zero, start_s: 5, duration_s: 0.5}, {kind: engine_nan, start_s: 7, duration_s: 0.2}]}"
        )
        config = write_flight_config(tmp_path / "c.yaml", camera, port_of(sink), tmp_path / "shots", ", seconds: 4")
        stop = StopFlag()
        daemon = Daemon(read_settings(config), stop)
        run = WatchedDaemon(daemon, stop, sink)
        try:
            wait(lambda: flight_facts(daemon).written > 0)
        finally:
            run.end()
    (path,) = written(tmp_path / "shots")
    flight = read_flight(path)
    frames = list(flight)
    recorded = recorded_packets(frames)
    degraded_ns = [decode(seen.packets[0]).capture_ns for seen in frames if not seen.frame.depth.any() and seen.packets]
    replayed = replayed_packets(tmp_path, path, len(frames))
    by_number = {packet.frame_number: packet for packet in replayed}

    assert flight.about.trigger == "degraded"
    assert "NaN" in flight.about.reason or "finite" in flight.about.reason
    assert any("state=DEGRADED" in line.text for line in flight.logs())
    assert 2 <= len(degraded_ns) <= 25
    assert max(degraded_ns) - min(degraded_ns) < 0.6e9
    assert len(recorded) > 20  # 120 in four seconds, fewer on a busy machine
    assert any(packet.hands for packet in recorded)
    for packet in recorded:
        again = by_number[packet.frame_number]
        assert [hand.track_id for hand in again.hands] == [hand.track_id for hand in packet.hands]
        for one, other in zip(joints_mm(packet), joints_mm(again), strict=True):
            assert np.abs(one - other).max() < SAME_MM
