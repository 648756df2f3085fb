"""Measures the flight recorder: bytes for a frame, the ring's memory, what it costs the main loop, and the process.

python -m docs.measured.flight bytes            bytes and time for a frame, by way of compressing, on several kinds of depth
python -m docs.measured.flight loop             time that handing over a frame and a state takes the loop
python -m docs.measured.flight memory           the daemon's memory with a full ring and without one
python -m docs.measured.flight age --seconds 60 age of packets with the recorder and without it, in turns
"""

import argparse
import os
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from handmap.files.images import read_depth_png
from handmap.protocol.fields import MessageType
from handmap.protocol.packet import decode
from handmap.recording.depth_codec import pack_depth, unpack_depth, zstd
from handmap.recording.reader import open_recording
from handmap.recording.writer import RecordingWriter
from handmap.tracking.tracker import TrackerState
from handmap.types.arrays import Uint16
from handmap.types.intrinsics import Intrinsics
from handmap.types.values import DepthFrame
from runtime.daemon import Daemon
from runtime.flight.config import FlightRecorderConfig
from runtime.flight.model import Model
from runtime.flight.recorder import FlightRecorder
from runtime.flight.ring import Seen
from runtime.retry import StopFlag
from runtime.settings import read_settings

ROOT = Path(__file__).resolve().parents[2]
CAMERA = Intrinsics(640, 480, 475.0, 475.0, 320.0, 240.0)
TURNS = 3
RING_MB = 64


def say(line: str) -> None:
    """Prints a line."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def full_frames(sigma_mm: float, count: int = 8) -> list[Uint16]:
    """640x480 with no pixel empty but a tenth: a slope with a ball on it, and white noise, which no camera's is."""
    rng = np.random.default_rng(1)
    v, u = np.mgrid[:480, :640]
    surface = 900 + 0.5 * u + 0.3 * v - 200 * (np.hypot(u - 320, v - 240) < 120)
    frames = [surface + rng.normal(0, sigma_mm, surface.shape) for _ in range(count)]
    return [np.where(rng.random(surface.shape) < 0.1, 0, np.rint(one)).astype(np.uint16) for one in frames]


def kinds() -> dict[str, list[Uint16]]:
    """Depth images by what they are."""
    demo = open_recording(ROOT / "models" / "demo_recording")
    real = sorted((ROOT / "tests" / "data" / "real_depth" / "sr305").glob("*.png"))
    return {
        "demo recording": [frame.depth for frame in demo][:60],
        "SR305, real, 3 frames": [read_depth_png(path) for path in real],
        **{f"full image, white noise of {sigma_mm} mm": full_frames(sigma_mm) for sigma_mm in (1, 2, 4)},
    }


def measure_bytes() -> None:
    """Prints bytes and CPU time for a frame."""
    ways: dict[str, Callable[[Uint16], bytes]] = {
        "zstd 1 of the image": lambda depth: zstd.compress(depth.tobytes(), level=1),
        "zstd 3 of the image": lambda depth: zstd.compress(depth.tobytes(), level=3),
        "as the recorder does": pack_depth,
    }
    say(f"{'depth':<36}{'way':<24}{'kB':>8}{'ms':>8}{'10 s at 30 fps, MB':>20}")
    for kind, frames in kinds().items():
        for name, pack in ways.items():
            start_s = time.thread_time()
            packed = [pack(frame) for frame in frames]
            ms = (time.thread_time() - start_s) / len(frames) * 1e3
            mean = statistics.mean(map(len, packed))
            say(f"{kind:<36}{name:<24}{mean / 1e3:>8.1f}{ms:>8.2f}{mean * 300 / 2**20:>20.1f}")
            if pack is pack_depth:
                again = [unpack_depth(one, frame.shape) for one, frame in zip(packed, frames, strict=True)]
                assert all((one == frame).all() for one, frame in zip(again, frames, strict=True))


def measure_loop() -> None:
    """Prints what `saw` takes."""
    frame = DepthFrame(full_frames(2, 1)[0], 1.0, CAMERA, 0, 0)
    state, times_ns = TrackerState(), []
    with (
        tempfile.TemporaryDirectory() as folder,
        FlightRecorder(FlightRecorderConfig(folder=Path(folder)), lambda: Model("", "", {}), lambda: False) as recorder,
    ):
        for number in range(300):
            seen = Seen(
                DepthFrame(frame.depth, 1.0, CAMERA, number, number * 33_333_333), state, state, (b"x" * 900,), 0
            )
            start_ns = time.perf_counter_ns()
            recorder.saw(seen)
            times_ns.append(time.perf_counter_ns() - start_ns)
            time.sleep(1 / 60)
        facts = recorder.facts
    p50, p99 = np.percentile(times_ns, (50, 99)) / 1e3
    say(f"handing over a frame: p50 {p50:.1f} us, p99 {p99:.1f} us; {facts.frames} kept, {facts.skipped} skipped")


class Run:
    """A daemon on a recording of full noisy images, in a thread of this process, and the ages of its packets."""

    def __init__(self, folder: Path, recording: Path, is_on: bool) -> None:
        self.sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sink.bind(("127.0.0.1", 0))
        self.sink.settimeout(0.1)
        config = folder / "c.yaml"
        config.write_text(
            f"bundle: {ROOT / 'models' / 'handmap-hand21'}\ncamera: {{kind: replay, path: {recording}}}\n"
            f"publish: {{targets: [{{host: 127.0.0.1, port: {self.sink.getsockname()[1]}}}]}}\ntelemetry: {{port: null}}\n"
            f"flight_recorder: {{enabled: {str(is_on).lower()}, folder: {folder / 'shots'}, memory_mb: {RING_MB}, on_degraded: false}}\n"
        )
        self.stop = StopFlag()
        self.daemon = Daemon(read_settings(config), self.stop)
        self.thread = threading.Thread(target=self.daemon.run)
        self.thread.start()

    def ages_ms(self, seconds: float) -> list[float]:
        """Ages at arrival over so long."""
        ages, end_s = [], time.monotonic() + seconds
        while time.monotonic() < end_s:
            try:
                packet = decode(self.sink.recv(2000))
            except TimeoutError:
                continue
            if packet.message_type is MessageType.JOINTS:
                ages.append((time.monotonic_ns() - packet.capture_ns) / 1e6)
        return ages

    def end(self) -> None:
        """Ends the daemon."""
        self.stop.set()
        self.thread.join()
        self.sink.close()


def noisy_recording(path: Path) -> Path:
    """The demo recording's hand in front of a full image with white noise of 2 mm."""
    background = full_frames(2)
    demo = open_recording(ROOT / "models" / "demo_recording")
    with RecordingWriter(path, demo.intrinsics, demo.depth_unit_mm) as writer:
        for number, frame in enumerate(demo):
            depth = np.where(frame.depth > 0, frame.depth, background[number % len(background)])
            writer.write(DepthFrame(depth, 1.0, frame.intrinsics, number, frame.capture_ns))
    return path


def resident_mb() -> float:
    """Memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure_memory() -> None:
    """Prints the memory with the ring full and without it; the recorder off comes first, as memory is seldom given back."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        recording = noisy_recording(folder / "noisy")
        without_mb = 0.0
        for is_on in (False, True):
            run = Run(folder, recording, is_on)
            run.ages_ms(25)
            mb, ring = resident_mb(), run.daemon._monitor.flight.facts
            run.end()
            without_mb = without_mb or mb
            say(
                f"recorder {'on ' if is_on else 'off'}: {mb:.1f} MB; ring {ring.bytes / 2**20:.1f} MB, {ring.frames} frames, "
                f"{ring.seconds:.1f} s, {ring.skipped} skipped; {mb - without_mb - ring.bytes / 2**20:+.1f} MB beside the ring"
            )


def measure_age(seconds: float) -> None:
    """Prints the ages with and without the recorder, in turns, so that what else the machine does falls on both."""
    found: dict[bool, list[float]] = {False: [], True: []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        recording = noisy_recording(folder / "noisy")
        for turn in range(2 * TURNS):
            run = Run(folder, recording, bool(turn % 2))
            run.ages_ms(5)  # engines open, caches fill
            found[bool(turn % 2)] += run.ages_ms(seconds / TURNS)
            run.end()
    figures = {is_on: np.percentile(ages, (50, 99)) for is_on, ages in found.items()}
    for is_on, (p50, p99) in figures.items():
        say(f"recorder {'on ' if is_on else 'off'}: p50 {p50:.2f} ms, p99 {p99:.2f} ms, {len(found[is_on])} packets")
    say(f"p99 {figures[True][1] / figures[False][1]:.3f} x; load average {os.getloadavg()[0]:.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("bytes", "loop", "memory", "age"))
    parser.add_argument("--seconds", type=float, default=60.0, help="for age: how long with and how long without")
    asked = parser.parse_args()
    if asked.what == "age":
        measure_age(asked.seconds)
    else:
        {"bytes": measure_bytes, "loop": measure_loop, "memory": measure_memory}[asked.what]()
