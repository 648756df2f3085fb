"""The daemon at 60 frames a second for a long time: memory, age of what is published, regularity; `make soak` runs an hour.

`.venv/bin/python -m docs.measured.soak MINUTES FOLDER`: a synthetic hand in motion is the camera, every packet is received,
and its telemetry is asked for every few seconds. Writes
soak.json and soak.png into FOLDER; the exit code is 1 where a limit is not kept.
"""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from urllib.request import urlopen

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from handmap.client.receiver import open_receiver
from handmap.protocol.fields import MessageType
from handmap.types.arrays import Float64
from training.synthesis.synthesize import write_recording

ROOT = Path(__file__).resolve().parents[2]
FPS = 60.0
LOOP_S = 10.0
WARM_UP_SHARE, MAX_WARM_UP_S = 0.2, 300.0
SAMPLE_S = 5.0
PERIOD_MS = 1000 / FPS
PROCESSING_MS = 10.0  # what `handmap bench` shows for the whole path, with room for a busy machine
LIMITS = {"memory_mb_per_hour": 1.0, "age_p99_ms": PERIOD_MS + PROCESSING_MS, "interval_max_to_min": 2.5}


class Soak(NamedTuple):
    """Seconds since the start and ms of each packet's age and interval to the one before; seconds and MB of each look at the memory."""

    at_s: Float64
    age_ms: Float64
    interval_ms: Float64
    looked_s: Float64
    rss_mb: Float64
    lost: int


def main(minutes: float, folder: Path) -> int:
    """Runs and reports; gives the exit code."""
    with TemporaryDirectory() as scratch:
        soak = run(minutes * 60, Path(scratch))
    figures = judge(soak, minutes)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "soak.json").write_text(json.dumps(figures, indent=1) + "\n")
    draw(soak, folder / "soak.png")
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")
    return 0 if figures["kept"] else 1


def run(seconds: float, scratch: Path) -> Soak:
    """The daemon in a process of its own, and everything that it sends."""
    write_recording(scratch / "hand", 1, LOOP_S, FPS)
    port, metrics_port = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_STREAM)
    config = scratch / "soak.yaml"
    config.write_text(
        f"bundle: {ROOT / 'models' / 'handmap-hand21'}\n"
        f"camera: {{kind: replay, path: {scratch / 'hand'}}}\n"
        f"publish: {{targets: [{{host: 127.0.0.1, port: {port}}}]}}\n"
        f"telemetry: {{port: {metrics_port}}}\nthermal: {{zones: []}}\n"
    )
    receiver = open_receiver("127.0.0.1", port)
    daemon = subprocess.Popen([sys.executable, "-m", "handmap", "run", "--config", str(config)], cwd=ROOT)
    at, ages, sent, looks, rss = [], [], [], [], []
    started = time.monotonic()
    looked = started
    try:
        while time.monotonic() - started < seconds:
            got = receiver.wait(0.5)
            now = time.monotonic()
            if daemon.poll() is not None:
                raise SystemExit(f"the daemon left with code {daemon.returncode}")
            if now - looked >= SAMPLE_S:
                looked = now
                looks.append(now - started)
                rss.append(resident_mb(daemon.pid))
                scrape(metrics_port)
            if got is None or got.packet.message_type is not MessageType.JOINTS:
                continue
            at.append(now - started)
            ages.append((got.packet.publish_ns - got.packet.capture_ns) / 1e6)
            sent.append(got.packet.publish_ns / 1e6)
        lost = receiver.counts.lost
    finally:
        daemon.terminate()
        daemon.wait(10)
        receiver.close()
    intervals = np.diff(np.array(sent), prepend=np.nan)
    return Soak(np.array(at), np.array(ages), intervals, np.array(looks), np.array(rss), lost)


def free_port(kind: socket.SocketKind) -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket(socket.AF_INET, kind) as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def scrape(port: int) -> None:
    """Asks for the telemetry, as Prometheus would."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=2) as answer:
        answer.read()


def resident_mb(pid: int) -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def judge(soak: Soak, minutes: float) -> dict[str, object]:
    """Figures after the warm-up, beside the limits.

    max to min is of the 99.9th and 0.1st percentiles of the intervals: a scheduler's single hiccup in an hour is not the daemon's.
    """
    warm_s = min(minutes * 60 * WARM_UP_SHARE, MAX_WARM_UP_S)
    is_warm, is_looked = soak.at_s > warm_s, soak.looked_s > warm_s
    slope_mb_h = float(np.polyfit(soak.looked_s[is_looked] / 3600, soak.rss_mb[is_looked], 1)[0])
    ages, intervals = soak.age_ms[is_warm], soak.interval_ms[is_warm]
    low, high = np.percentile(intervals, (0.1, 99.9))
    found = {
        "memory_mb_per_hour": slope_mb_h,
        "age_p99_ms": float(np.percentile(ages, 99)),
        "interval_max_to_min": float(high / low),
    }
    return {
        "minutes": minutes,
        **{name: round(value, 3) for name, value in found.items()},
        "limits": {name: round(limit, 2) for name, limit in LIMITS.items()},
        "kept": all(found[name] <= limit for name, limit in LIMITS.items()),
        "packets_per_s": round(len(ages) / float(soak.at_s[-1] - warm_s), 2),
        "age_p50_ms": round(float(np.median(ages)), 3),
        "interval_longest_ms": round(float(intervals.max()), 1),
        "rss_mb": round(float(soak.rss_mb[-1]), 1),
        "lost_packets": soak.lost,
        "load_average": [round(value, 2) for value in os.getloadavg()],
    }


def draw(soak: Soak, path: Path) -> None:
    """Memory and age over time."""
    matplotlib.use("Agg")
    figure = Figure(figsize=(9, 5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    above.plot(soak.looked_s / 60, soak.rss_mb, color="#2b6cb0")
    above.set_ylabel("memory, MB")
    above.set_ylim(0, float(soak.rss_mb.max()) * 1.2)
    below.plot(soak.at_s / 60, soak.age_ms, ",", color="#c05621")
    below.axhline(LIMITS["age_p99_ms"], color="#888", linewidth=0.8)
    below.set_ylabel("age when sent, ms")
    below.set_xlabel("minutes")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    raise SystemExit(main(float(sys.argv[1]), Path(sys.argv[2])))
