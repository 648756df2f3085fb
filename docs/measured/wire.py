"""What publishing costs: skeletons and 16 subscribers by the frame, and the age of packets while the control port is flooded.

`.venv/bin/python -m docs.measured.wire cost`, `... clocks` and `... flood [ROUNDS]`; prints what docs/measured/wire.md has. A flood is 20,000
datagrams of junk a second from another process, in turns of ten seconds to the control port and to a port that is closed.
"""

import dataclasses
import itertools
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from handmap.bundle.manifest import read_bundle
from handmap.client.receiver import Receiver, open_receiver, subscribe
from handmap.engines.factory import EngineConfig, open_engines
from handmap.protocol.fields import MessageType
from handmap.recording.reader import open_recording
from handmap.system.notify import Notifier
from handmap.system.timing import StageClock
from handmap.tracking.tracker import TrackerState, track_hands
from handmap.tracking.tracker_settings import TrackingConfig, tracker_settings
from handmap.types.values import Handedness
from runtime.publish import open_publisher
from runtime.publish_config import ControlConfig, PublishConfig, TargetConfig
from runtime.state import DaemonStatus
from tests.handmap.client.test_session import clock_errors_ns

ROOT = Path(__file__).resolve().parents[2]
MODEL, DEMO = ROOT / "models" / "handmap-hand21", ROOT / "models" / "demo_recording"
SUBSCRIBERS = 16
FRAMES = 2000
TURN_S, SETTLE_S = 10.0, 1.0
JUNK_PER_S, BURST = 20_000, 20


def main(arguments: list[str]) -> None:
    """Measures what the arguments name."""
    if arguments[:1] == ["cost"]:
        cost()
    elif arguments[:1] == ["flood"]:
        flood(int(arguments[1]) if arguments[1:] else 6)
    elif arguments[:1] == ["clocks"]:
        clocks()
    elif arguments[:1] == ["junk"]:
        send_junk(int(arguments[1]))
    else:
        sys.exit("wanted: cost, clocks, or flood [ROUNDS]")


def clocks() -> None:
    """Errors of the clock's offset in the exchanges that the tests simulate, ms."""
    errors_ns = [
        clock_errors_ns(offset_ms, drift_ppm, seed)
        for offset_ms, drift_ppm in ((20, 50), (-20, -50), (20, -50), (0, 0))
        for seed in range(10)
    ]
    worst, median = max(map(max, errors_ns)) / 1e6, float(np.median(np.concatenate(errors_ns))) / 1e6
    print_line(f"offset of a clock: off by at most {worst:.2f} ms, by {median:.2f} ms in the median")


def cost() -> None:
    """Time of `Publisher.publish` per frame, ms."""
    hands = two_hands()
    for skeleton, subscribers in itertools.product((False, True), (0, SUBSCRIBERS)):
        port, sink = free_port(), open_receiver("127.0.0.1", 0)
        config = PublishConfig(
            (TargetConfig("127.0.0.1", sink.port),), control=ControlConfig(port=port, max_subscribers=SUBSCRIBERS), skeleton=skeleton
        )  # fmt: skip
        publisher = open_publisher(config)
        receivers = [subscribe("127.0.0.1", port) for _ in range(subscribers)]
        end_s = time.monotonic() + 5
        while (
            publisher.control is not None
            and len(publisher.control.subscribers) < subscribers
            and time.monotonic() < end_s
        ):
            for receiver in receivers:
                receiver.wait(0.01)
        frame, poses, status = hands
        took_ms = []
        for _ in range(FRAMES):
            start_ns = time.perf_counter_ns()
            publisher.publish(frame, poses, status)
            took_ms.append((time.perf_counter_ns() - start_ns) / 1e6)
        shown = f"p50 {np.percentile(took_ms, 50):.3f} ms, p99 {np.percentile(took_ms, 99):.3f} ms"
        print_line(f"two hands, {'with' if skeleton else 'without'} skeletons, {subscribers:2} subscribers: {shown}")
        publisher.close()
        for opened in (*receivers, sink):
            opened.close()


def two_hands() -> tuple:  # type: ignore[type-arg]  # a frame, two poses and a status with their bodies
    """The first hand of the shipped recording, and its mirror image."""
    bundle = read_bundle(MODEL)
    settings = tracker_settings(bundle, TrackingConfig(max_hands=1))
    engines = open_engines(bundle, EngineConfig(), 1)
    state, clock, status = TrackerState(), StageClock(), DaemonStatus(Notifier(None))
    for frame in open_recording(DEMO):
        poses, state = track_hands(frame, state, engines, settings, clock)
        if poses and frame.frame_number > 30:
            break
    engines.close()
    from handmap.skeleton.body import fit_bodies
    from handmap.skeleton.memory import BodyState

    (pose,) = poses
    other = dataclasses.replace(
        pose, xyz_camera_mm=pose.xyz_camera_mm * np.array([-1, 1, 1], np.float32), track_id=2,
        handedness=Handedness.LEFT if pose.handedness is Handedness.RIGHT else Handedness.RIGHT,
    )  # fmt: skip
    status.bodies, _ = fit_bodies([pose, other], BodyState())
    return frame, [pose, other], status


def flood(rounds: int) -> None:
    """Age of packets under the same flood, to the open control port and to a closed one."""
    ages: dict[str, list[float]] = {"control port": [], "closed port": []}
    ratios = []
    with TemporaryDirectory() as scratch, daemon(Path(scratch)) as (receiver, control_port):
        for _ in range(rounds):
            turn = {}
            for name, port in (("control port", control_port), ("closed port", free_port())):
                with junk(port):
                    watch(receiver, SETTLE_S)
                    turn[name] = watch(receiver, TURN_S)
                ages[name] += turn[name]
            ratios.append(p99(turn["control port"]) / p99(turn["closed port"]))
            print_line(
                f"p99 {p99(turn['control port']):.2f} ms, closed {p99(turn['closed port']):.2f} ms, ratio {ratios[-1]:.3f}"
            )
        with open_subscription(control_port) as subscriber:
            watch(subscriber, SETTLE_S)
            with junk(control_port):
                frames = len(watch(subscriber, 3 * TURN_S))
        quiet = watch(receiver, TURN_S)
    print_line(
        f"whole: ratio of p99 {p99(ages['control port']) / p99(ages['closed port']):.3f}, median of rounds {statistics.median(ratios):.3f}"
    )
    print_line(f"without a flood: p99 {p99(quiet):.2f} ms")
    print_line(f"a subscriber during a flood of {3 * TURN_S:.0f} s: {frames} frames, {subscriber.counts.lost} lost")


def open_subscription(port: int) -> Receiver:
    """A receiver that subscribes here."""
    return subscribe("127.0.0.1", port)


@contextmanager
def daemon(folder: Path) -> Iterator[tuple[Receiver, int]]:
    """The daemon with the shipped recording in a process of its own, a receiver of its packets, and its control port."""
    with open_receiver("127.0.0.1", 0) as receiver:
        control_port = free_port()
        (folder / "c.yaml").write_text(
            f"bundle: {MODEL}\ncamera: {{kind: replay, path: {DEMO}}}\ntelemetry: {{port: null}}\nthermal: {{zones: []}}\n"
            f"publish: {{targets: [{{host: 127.0.0.1, port: {receiver.port}}}], control: {{port: {control_port}}}, skeleton: true}}\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "handmap", "run", "--config", str(folder / "c.yaml")],
            cwd=ROOT,
            stderr=subprocess.DEVNULL,
        )
        try:
            watch(receiver, 5)
            yield receiver, control_port
        finally:
            process.terminate()
            process.wait(10)


@contextmanager
def junk(port: int) -> Iterator[None]:
    """The flood, from a process of its own."""
    process = subprocess.Popen([sys.executable, "-m", "docs.measured.wire", "junk", str(port)], cwd=ROOT)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def send_junk(port: int) -> None:
    """Sends until it is killed; what is like a request, with a wrong checksum, costs the most."""
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    data = b"HMAP\x01\x00\x48\x00\x10" + bytes(67)
    next_s = time.monotonic()
    while True:
        for _ in range(BURST):
            out.sendto(data, ("127.0.0.1", port)) if port else None
        next_s += BURST / JUNK_PER_S
        time.sleep(max(next_s - time.monotonic(), 0))


def watch(receiver: Receiver, seconds: float) -> list[float]:
    """Ages in ms of all frames that arrive, from capture to sending."""
    ages, end_s = [], time.monotonic() + seconds
    while (left_s := end_s - time.monotonic()) > 0:
        received = receiver.wait(left_s)
        if received is not None and received.packet.message_type is MessageType.JOINTS:
            ages.append(received.sender_ms)
    return ages


def p99(ages: list[float]) -> float:
    """Their 99th percentile."""
    return float(np.percentile(ages, 99))


def free_port() -> int:
    """A UDP port that nobody has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def print_line(text: str) -> None:
    """Writes a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
