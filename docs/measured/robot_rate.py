"""How long `handmap robot` takes for a frame, and whether it keeps 30 Hz on one core, with the shipped recording's joints.

`python -m docs.measured.robot_rate [FOLDER]` with the extras `host` and `robot`, on Linux; a minute and a half. FOLDER has the makers'
URDFs; without it only the plain hand is measured. The whole verb runs on one core, as a process of its own; packets come in at 30 Hz. JSON.
"""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np

from clients.retarget import Retargeter
from clients.robot_hands import load_hand
from docs.pictures.tracked_hand import tracked_frames
from handmap.protocol.fields import DaemonState, HandFlags, MessageType
from handmap.protocol.packet import Packet, PacketHand, encode
from handmap.types.arrays import Float32
from handmap.types.values import Handedness

FILES = {
    "plain": None,
    "inspire": "inspire_hand_right.urdf",
    "allegro": "allegro_hand_right.urdf",
    "leap": "leap_hand_right.urdf",
}
PORT, RATE_HZ, SECONDS = 5799, 30, 12
START_S = 6.0  # importing PyTorch


def recorded_joints() -> list[Float32]:
    """The joints (21, 3), m, that the daemon would publish of each frame of the recording."""
    return [(poses[0].xyz_camera_mm / 1000).astype(np.float32) for _, poses in tracked_frames() if poses]


def solving_ms(name: str, urdf: Path | None, joints: list[Float32]) -> dict[str, float]:
    """Percentiles of the time for one solution, on this core."""
    solver = Retargeter(load_hand(name, urdf, None))
    times = []
    for xyz_m in joints:
        start_s = time.perf_counter()
        solver.solve(xyz_m)
        times.append(1e3 * (time.perf_counter() - start_s))
    return {f"p{share}_ms": round(float(np.percentile(times, share)), 1) for share in (50, 99)}


def followed(name: str, urdf: Path | None, joints: list[Float32]) -> dict[str, float]:
    """The verb as a process on this core: lines for packets, the time between them, and the share of the core that it took."""
    command = [
        sys.executable,
        "-m",
        "handmap",
        "robot",
        "--hand",
        name,
        "--json",
        "--bind",
        "127.0.0.1",
        "--port",
        str(PORT),
    ]
    command += ["--seconds", str(SECONDS + START_S), *(["--urdf", str(urdf)] if urdf else [])]
    with TemporaryFile("w+") as out, subprocess.Popen(command, stdout=out) as process:
        time.sleep(START_S)
        before_s = cpu_s(process.pid)
        sent = send_joints(joints)
        used_s = cpu_s(process.pid) - before_s
        process.wait()
        out.seek(0)
        lines: list[dict[str, Any]] = [json.loads(line) for line in out]
    live = [line["t_ns"] for line in lines if line["phase"] == "live"]
    gaps_ms = np.diff(live) / 1e6
    return {
        "sent": sent,
        "lines": len(live),
        "hz": round(1e3 / float(np.mean(gaps_ms)), 2),
        "gap_p99_ms": round(float(np.percentile(gaps_ms, 99)), 1),
        "core_share": round(used_s / SECONDS, 2),
    }


def send_joints(joints: list[Float32]) -> int:
    """Sends the recording again and again at 30 Hz; the number of packets."""
    start_s = time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        for number in range(RATE_HZ * SECONDS):
            time.sleep(max(start_s + number / RATE_HZ - time.monotonic(), 0))
            now_ns = time.monotonic_ns()
            xyz_m = joints[number % len(joints)]
            hand = PacketHand(xyz_m, np.full(21, 0.01, np.float32), 1, Handedness.RIGHT, 1.0, 1.0, HandFlags.VALID)
            packet = Packet(MessageType.JOINTS, DaemonState.TRACKING, 7, number, number, now_ns, now_ns, (hand,))
            out.sendto(encode(packet), ("127.0.0.1", PORT))
    return RATE_HZ * SECONDS


def cpu_s(process: int) -> float:
    """The time that a process has spent on cores so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main(folder: Path | None) -> None:
    """Measures every hand on the first core that this process may use."""
    joints = recorded_joints()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for name, file in FILES.items():
        if file is None or folder is not None:
            urdf = folder / file if file and folder else None
            row = {"hand": name, **solving_ms(name, urdf, joints), **followed(name, urdf, joints)}
            sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
