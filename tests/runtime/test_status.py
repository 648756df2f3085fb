"""`handmap status` against a running daemon, against nothing, and against a program that is not a daemon."""

import http.server
import json
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from clients.preview_client import PreviewClient
from handmap.bundle.manifest import Bundle
from handmap.protocol.fields import DaemonState
from handmap.skeleton.body import fit_bodies
from handmap.skeleton.hand_size import LEARNING_S
from handmap.skeleton.memory import BodyState
from handmap.system.notify import Notifier
from handmap.types.errors import ConfigError, NoAnswer
from runtime.ask_daemon import ask_daemon
from runtime.state import DaemonStatus
from runtime.status import status_port
from tests.handmap.skeleton.sequences import MODEL, moving_hands, tracked
from tests.support.processes import ROOT, handmap, started
from tests.support.running import free_port, wait_for
from tests.support.tiny_bundle import write_config

SHIPPED, DEMO = ROOT / "models" / "handmap-hand21", ROOT / "models" / "demo_recording"


def test_a_running_daemon_reports_its_status(tmp_path: Path, bundle: Bundle, recording: Path) -> None:
    port = free_port()
    config = write_config(tmp_path / "c.yaml", bundle.path, recording, 9, telemetry=port)
    with started("run", "--config", config) as process:
        wait_for(port, lambda now: now.state == "TRACKING" and now.rate_hz > 0)

        as_json = handmap("status", "--config", config, "--json")
        as_text = handmap("status", "--port", str(port))

    facts = json.loads(as_json.stdout)
    assert (facts["pid"], facts["state"], facts["hands"]) == (process.pid, "TRACKING", 1)
    assert facts["config"] == str(config) and facts["bundle"] == bundle.id.hex()
    assert facts["published"] > 5 and facts["targets"][0]["name"] == "127.0.0.1:9"
    assert facts["stages"]["total"]["p50_ms"] > 0
    assert as_text.returncode == 0
    rows = {line.split()[0]: line for line in as_text.stdout.splitlines() if line}
    assert "TRACKING" in rows["state"] and "frames/s" in rows["hands"] and "p50 ms" in rows["stage"]
    assert max(len(line) for line in as_text.stdout.splitlines() if str(tmp_path) not in line) <= 110


def test_who_looks_is_reported_and_that_nobody_can(tmp_path: Path, bundle: Bundle, recording: Path) -> None:
    port, preview = free_port(), free_port()
    config = write_config(tmp_path / "c.yaml", bundle.path, recording, 9, telemetry=port)
    config.write_text(config.read_text().replace("preview: null", f"preview: {{port: {preview}, max_viewers: 2}}"))

    def row() -> str:
        text = handmap("status", "--port", str(port)).stdout
        return next(line for line in text.splitlines() if line.startswith("preview "))

    def metric(name: str) -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as page:
            lines = page.read().decode().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"handmap_preview_{name} "))

    with socket.create_server(("127.0.0.1", preview)) as other, started("run", "--config", config):
        wait_for(port, lambda now: now.preview is not None and now.preview.problem.startswith("Address"))
        taken, is_open = row(), metric("open")
        other.close()
        wait_for(port, lambda now: now.preview is not None and not now.preview.problem)
        with closing(PreviewClient("127.0.0.1", preview)) as viewer:
            viewer.want(True)
            wait_for(port, lambda now: now.preview is not None and now.preview.pictures > 0)
            looked_at, viewers = row(), metric("viewers")

    assert f"127.0.0.1:{preview}: NOT OPEN, Address already in use" in taken and is_open == 0
    assert f"127.0.0.1:{preview}: 1 of 2 viewers; " in looked_at and "0 refused" in looked_at and viewers == 1


def test_the_size_of_a_fitted_hand_is_reported(tmp_path: Path) -> None:
    port = free_port()
    config = write_config(tmp_path / "c.yaml", SHIPPED, DEMO, 9, telemetry=port)
    config.write_text(config.read_text().replace("skeleton: {enabled: false}", "skeleton: {enabled: true}"))
    with started("run", "--config", config):
        # The window of stage times has just begun now and then, and is empty.
        facts = wait_for(port, lambda now: bool(now.hand_sizes) and "skeleton" in now.stages)

        as_text = handmap("status", "--port", str(port))

    (size,) = facts.hand_sizes
    assert (size.track_id, size.hand) == (1, "right")
    assert 150 < size.length_mm < 220 and 0 < size.expected_error_mm < 20
    assert size.is_held == (size.learned_s >= LEARNING_S)
    assert facts.stages["skeleton"].p50_ms > 0
    (row,) = (line for line in as_text.stdout.splitlines() if line.startswith("size "))
    assert "track 1, right: " in row and " mm long" in row


def test_the_daemon_of_another_configuration_is_not_accepted(tmp_path: Path, bundle: Bundle, recording: Path) -> None:
    port = free_port()
    left, right = (
        write_config(tmp_path / name, bundle.path, recording, 9, telemetry=port) for name in ("l.yaml", "r.yaml")
    )
    with started("run", "--config", left):
        wait_for(port, lambda now: now.state == "TRACKING")

        asked, by_port = handmap("status", "--config", right), handmap("status", "--port", str(port))

    assert asked.returncode == 1 and asked.stdout == ""
    assert f"uses configuration '{left}', wanted '{right}'" in asked.stderr and "telemetry.port" in asked.stderr
    assert by_port.returncode == 0


def test_no_answer_is_one_sentence_and_exit_code_1() -> None:
    done = handmap("status", "--port", str(free_port()))

    assert done.returncode == 1
    assert done.stdout == "" and done.stderr.count("\n") == 1
    assert "no daemon answers" in done.stderr and "handmap run" in done.stderr


@contextmanager
def answering(status: int, body: bytes) -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("status", "body"), [(404, b""), (200, b"hello"), (200, b"{}"), (200, b"[1]")])
def test_a_program_that_is_not_a_daemon_is_refused(status: int, body: bytes) -> None:
    with answering(status, body) as port, pytest.raises(NoAnswer, match="pass another --port"):
        ask_daemon(port)


@pytest.mark.parametrize(
    "answer",
    [
        b"\x1b[2J\x1b]0;mine\x07\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 \x1b[31m\r\n\r\n",
        b"\x00\xff\x9b31m" * 2000,
        b"HTTP/1.1 200 OK\r\nX: " + b"\x1b" * 70_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n\x1b",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\x1b[31m\r\n",
        b'HTTP/1.1 200 OK\r\n\r\n{"\x1b[31m\n": 1}',
    ],
)
def test_what_another_program_answers_is_told_in_printable_characters(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def serve() -> None:
            client, _ = server.accept()
            with client:
                client.recv(4096)
                client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(NoAnswer) as refused:
            ask_daemon(port)
        thread.join()

    said = str(refused.value)
    assert said.isprintable() and len(said) < 300
    assert f"the program at 127.0.0.1:{port}" in said and said.endswith("pass another --port")


def test_the_port_is_the_given_one_or_the_configured_one(tmp_path: Path, bundle: Bundle) -> None:
    config = write_config(tmp_path / "c.yaml", bundle.path, tmp_path, 9, telemetry=1234)
    silent = write_config(tmp_path / "d.yaml", bundle.path, tmp_path, 9)

    assert status_port(None, 77) == 77
    assert status_port(config, None) == 1234
    assert status_port(None, None) == 9400
    with pytest.raises(ConfigError, match="disables telemetry"):
        status_port(silent, None)
    with pytest.raises(ConfigError, match="--config and --port both"):
        status_port(config, 77)


def test_no_size_is_reported_of_a_hand_that_no_camera_sees() -> None:
    status = DaemonStatus(Notifier(None))
    hand = moving_hands(np.zeros((1, MODEL.shape_count)), 1, np.random.default_rng(0))[0]
    status.bodies, _ = fit_bodies([tracked(hand.joints_mm[0], np.full(21, 6.0), 0)], BodyState())
    assert status.bodies is not None

    status.enter(DaemonState.NO_CAMERA, "lost")

    assert status.bodies is None
