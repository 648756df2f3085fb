"""Metrics and status over HTTP: their contents, and that no client can harm the daemon."""

import errno
import http.client
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import pytest

from handmap.protocol.fields import DaemonState
from handmap.system.notify import Notifier
from handmap.system.timing import BUCKETS_MS, StageClock
from runtime import telemetry as telemetry_module
from runtime.ask_daemon import ask_daemon
from runtime.publish import open_publisher
from runtime.publish_config import PublishConfig, TargetConfig
from runtime.quality import Quality
from runtime.reload import Reload
from runtime.settings import ThermalConfig
from runtime.snapshot import Snapshot, Sources
from runtime.state import DaemonStatus
from runtime.stats import StatsLog
from runtime.telemetry import LONGEST_S, MAX_CONNECTIONS, Telemetry
from runtime.thermal import ThermalWatch
from tests.support.running import free_port
from tests.support.scraping import scraped


def sources(sysfs: Path) -> Sources:
    notifier, clock = Notifier(None), StageClock()
    thermal = ThermalWatch(ThermalConfig(sysfs=sysfs), lambda _: None)
    quality = Quality()
    stats = StatsLog(clock, 10.0, quality)
    return Sources(DaemonStatus(notifier), clock, stats, thermal, Reload(None, notifier), quality)


def get(port: int, path: str, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@contextmanager
def serving(facts: Sources) -> Iterator[int]:
    port = free_port()
    with Telemetry(port, facts):
        wait_until_open(port)
        yield port


def wait_until_open(port: int) -> None:
    end_s = time.monotonic() + 30
    while time.monotonic() < end_s:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise AssertionError(f"nobody listens at {port}")


def wait_until_refused(port: int) -> None:
    end_s = time.monotonic() + 30
    while time.monotonic() < end_s:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED:
                return
        time.sleep(0.01)
    raise AssertionError(f"somebody still listens at {port}")


def test_metrics_match_the_counts(tmp_path: Path) -> None:
    zone = tmp_path / "class/thermal/thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "type").write_text("cpu-thermal\n")
    (zone / "temp").write_text("61500\n")
    facts = sources(tmp_path)
    facts.thermal.read_once()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        target = TargetConfig("127.0.0.1", sink.getsockname()[1])
        publisher = open_publisher(PublishConfig((target,)))
        facts.targets = lambda: publisher.targets
        publisher.heartbeat(facts.status)
        publisher.close()
        sent_bytes = len(sink.recv(2000))
    for duration_ms in (0.2, 3.0, 3.0, 5000.0):
        facts.clock.record("infer", round(duration_ms * 1e6))
    facts.clock.record("age", 7_000_000)
    facts.status.counts.dropped = 4
    facts.status.counts.camera_openings = 3
    facts.status.enter(DaemonState.NO_CAMERA, "unplugged")

    with serving(facts) as port:
        found = scraped(port)
        status = msgspec.json.decode(get(port, "/status.json")[1], type=Snapshot)

    name = f"127.0.0.1:{target.port}"
    assert found["handmap_stage_seconds_count", (("stage", "infer"),)] == 4
    assert found["handmap_stage_seconds_sum", (("stage", "infer"),)] == pytest.approx(5.0062)
    assert found["handmap_stage_seconds_bucket", (("le", "0.00025"), ("stage", "infer"))] == 1
    assert found["handmap_stage_seconds_bucket", (("le", "0.005"), ("stage", "infer"))] == 3
    assert found["handmap_stage_seconds_bucket", (("le", "1"), ("stage", "infer"))] == 3
    assert found["handmap_age_at_send_seconds_count", ()] == 1
    assert found["handmap_frames_dropped_total", ()] == 4
    assert found["handmap_restarts_total", (("kind", "camera"),)] == 2
    assert found["handmap_state", (("state", "NO_CAMERA"),)] == 1
    assert found["handmap_state", (("state", "TRACKING"),)] == 0
    assert found["handmap_temperature_celsius", (("zone", "cpu-thermal"),)] == 61.5
    assert found["handmap_sent_bytes_total", (("target", name),)] == sent_bytes
    assert (status.state, status.reason, status.inferences) == ("NO_CAMERA", "unplugged", 4)
    assert status.targets[0].sent_bytes == sent_bytes
    assert len(BUCKETS_MS) + 1 == sum(key == "handmap_age_at_send_seconds_bucket" for key, _ in found)


def test_anything_else_is_not_found(tmp_path: Path) -> None:
    with serving(sources(tmp_path)) as port:
        assert get(port, "/")[0] == 404
        assert get(port, "/metrics", "POST")[0] == 404
        assert get(port, "/metrics?name=x")[0] == 200


def test_only_the_loopback_address_is_used(tmp_path: Path) -> None:
    with serving(sources(tmp_path)) as port:
        lines = Path("/proc/net/tcp").read_text().splitlines() + Path("/proc/net/tcp6").read_text().splitlines()
        listening = [line.split()[1] for line in lines if line.split()[1].endswith(f":{port:04X}") and " 0A " in line]

    assert listening == [f"0100007F:{port:04X}"]


def test_clients_that_send_nothing_or_do_not_read_use_no_resources(tmp_path: Path) -> None:
    with serving(sources(tmp_path)) as port:
        threads = threading.active_count()
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(4 * MAX_CONNECTIONS)]
        for client in idle[::2]:
            client.sendall(b"GET /metrics HTTP/1.1\r\nX: y\r\n")
        assert threading.active_count() == threads

        start_s = time.monotonic()
        status, _ = get(port, "/status.json")  # all places are taken: it gets that of the oldest
        answered_s = time.monotonic() - start_s
        for client in idle:
            client.settimeout(LONGEST_S + 3)
            with pytest.raises(ConnectionResetError) if is_reset(client) else nothing():
                assert client.recv(1) == b""
            client.close()

    assert status == 200
    assert answered_s < LONGEST_S / 2


def test_slow_clients_do_not_keep_status_waiting(tmp_path: Path) -> None:
    with serving(sources(tmp_path)) as port, ExitStack() as idle:
        is_over = threading.Event()

        def press() -> None:
            """Takes every place again as soon as it is free."""
            while not is_over.is_set():
                client = idle.enter_context(socket.create_connection(("127.0.0.1", port)))
                client.sendall(b"GET /metrics HTTP/1.1\r\n")
                time.sleep(0.001)

        crowd = threading.Thread(target=press)
        crowd.start()
        try:
            time.sleep(0.1)
            states = [ask_daemon(port).state for _ in range(20)]
        finally:
            is_over.set()
            crowd.join()

    assert states == ["STARTING"] * 20


def is_reset(client: socket.socket) -> bool:
    """Whether reading will say that the other end has cut the connection, rather than closed it."""
    try:
        return client.recv(1, socket.MSG_PEEK) != b""
    except ConnectionResetError:
        return False


@contextmanager
def nothing() -> Iterator[None]:
    yield


def test_a_request_without_end_is_cut_off(tmp_path: Path) -> None:
    with serving(sources(tmp_path)) as port, socket.create_connection(("127.0.0.1", port)) as client:
        client.settimeout(30)
        with pytest.raises(OSError):
            while True:
                client.sendall(b"x" * 4096)


def test_a_taken_port_is_logged_once_and_used_when_free(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(telemetry_module, "BIND_AGAIN_S", 0.05)
    first, second = sources(tmp_path), sources(tmp_path)
    second.camera = "the second"
    port = free_port()
    first_telemetry = Telemetry(port, first)
    with first_telemetry:
        wait_until_open(port)
        second_telemetry = Telemetry(port, second)
        second_telemetry.__enter__()
        time.sleep(0.4)
        assert msgspec.json.decode(get(port, "/status.json")[1], type=Snapshot).camera == ""
    try:
        wait_until_open(port)
        assert msgspec.json.decode(get(port, "/status.json")[1], type=Snapshot).camera == "the second"
    finally:
        second_telemetry.__exit__(None, None, None)

    assert caplog.text.count("telemetry=off") == 1


def test_the_port_can_be_changed_and_disabled(tmp_path: Path) -> None:
    one, other = free_port(), free_port()
    with Telemetry(one, sources(tmp_path)) as telemetry:
        wait_until_open(one)
        telemetry.configure(other)
        wait_until_open(other)
        wait_until_refused(one)
        telemetry.configure(None)
        wait_until_refused(other)
