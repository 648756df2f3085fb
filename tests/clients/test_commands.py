"""The whole path through the real commands: run on one side, listen and the demo on the other."""

import json
import subprocess
import sys
from pathlib import Path

from handmap.packet_fields import DEFAULT_PORT
from tests.support.processes import ROOT, handmap, listening, port_of, started
from tests.support.tiny_bundle import write_blob_recording, write_bundle, write_config


def test_listen_prints_what_run_publishes(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "b")
    recording = write_blob_recording(tmp_path / "r", 30)
    with listening() as sink:
        port = port_of(sink)
    config = write_config(tmp_path / "c.yaml", bundle.path, recording, port)

    with started("run", "--config", config):
        done = handmap("listen", "--port", str(port), "--count", "20", "--json")

    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 20 and done.returncode == 0
    assert any(line["hands"] for line in lines)
    assert all(line["bundle_id"] in (bundle.id.hex(), "00" * 8) for line in lines)


def test_listen_on_a_port_in_use_is_one_sentence() -> None:
    with listening() as sink:
        done = handmap("listen", "--bind", "127.0.0.1", "--port", str(port_of(sink)), "--seconds", "1")

    assert done.returncode == 78
    assert done.stderr.count("\n") == 1 and "Address already in use" in done.stderr


def demo(config: Path, seconds: int) -> "subprocess.CompletedProcess[str]":
    command = [
        sys.executable,
        "-m",
        "clients.demo",
        "--config",
        str(config),
        "--seconds",
        str(seconds),
        "--web-port",
        "18090",
    ]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_demo_ends_with_zero_only_if_valid_hands_arrived(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "b")
    hands = write_blob_recording(tmp_path / "hands", 30)
    nothing = write_blob_recording(tmp_path / "nothing", 30, empty_from=0)

    good = demo(write_config(tmp_path / "good.yaml", bundle.path, hands, DEFAULT_PORT), 3)
    bad = demo(write_config(tmp_path / "bad.yaml", bundle.path, nothing, DEFAULT_PORT), 3)

    assert (good.returncode, bad.returncode) == (0, 1), good.stderr + bad.stderr
    assert "TRACKING" in good.stdout and "http://localhost:" in good.stdout
