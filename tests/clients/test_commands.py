"""The whole path through the real commands: run on one side, listen and the demo on the other."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

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


def demo(config: Path, port: int, view_port: int, web_port: int) -> "subprocess.CompletedProcess[str]":
    """Three seconds of it."""
    command = [sys.executable, "-m", "clients.demo", "--config", str(config), "--seconds", "3", "--port", str(port)]
    command += ["--view-port", str(view_port), "--web-port", str(web_port)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def free_ports() -> tuple[int, int, int]:
    """For the packets of the demo and of its page, and for the page."""
    with listening() as first, listening() as second, socket.create_server(("127.0.0.1", 0)) as page:
        return port_of(first), port_of(second), port_of(page)


@pytest.mark.parametrize(("empty_from", "code"), [(None, 0), (0, 1)])
def test_demo_ends_with_zero_only_if_valid_hands_arrived(tmp_path: Path, empty_from: int | None, code: int) -> None:
    bundle = write_bundle(tmp_path / "b")
    recording = write_blob_recording(tmp_path / "r", 30, empty_from=empty_from)
    ports = free_ports()

    done = demo(write_config(tmp_path / "c.yaml", bundle.path, recording, ports[0]), *ports)

    assert done.returncode == code, done.stderr
    assert "http://localhost:" in done.stdout and ("TRACKING" in done.stdout) == (code == 0)


def test_demo_fails_if_its_page_does(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "b")
    recording = write_blob_recording(tmp_path / "r", 30)
    port, _, web_port = free_ports()
    config = write_config(tmp_path / "c.yaml", bundle.path, recording, port)

    with listening() as taken:
        done = demo(config, port, port_of(taken), web_port)

    assert done.returncode == 1
    assert "Address already in use" in done.stderr and "the daemon or the page failed" in done.stderr
