"""Without a TensorRT engine, the daemon waits for it or runs on the configured fallback, and switches once it is built.

No GPU is needed: an engine of ONNX Runtime stands behind the cache's folder of engines, found or not found there.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from handmap.bundle.manifest import Bundle
from handmap.engines.engine_keys import BuilderOptions
from handmap.engines.onnx_engine import OnnxEngine, open_onnx_engine
from handmap.protocol.fields import DaemonState, MessageType
from handmap.protocol.packet import Packet
from handmap.types.errors import DependencyError, EngineUnusable
from runtime.daemon import Daemon
from runtime.engine_loader import CacheWatch
from runtime.retry import StopFlag
from runtime.settings import read_settings
from tests.support.processes import listening, port_of, receive

STORED = "stored"


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device on which TensorRT finds an engine if the cache has a folder of the name `stored`."""
    gpu_engine = pytest.importorskip("handmap.engines.gpu_engine")

    def open_stored(bundle: Bundle, precision: str, batch: int, _: BuilderOptions, cache_dir: Path) -> OnnxEngine:
        if not (cache_dir / STORED).is_dir():
            raise EngineUnusable("absent", "engine cache: there is none for this graph; build it")
        return open_onnx_engine(bundle.graph_path("hand", precision), batch, 1, precision)

    monkeypatch.setattr(gpu_engine, "open_gpu_engine", open_stored)


class Running:
    """The daemon in a thread, and a socket that receives its packets."""

    def __init__(self, daemon: Daemon, config: Path, cache_dir: Path, receive_one: Callable[[], Packet]) -> None:
        self.config, self.cache_dir, self.counts = config, cache_dir, daemon.counts
        self.reload = daemon.request_reload
        self._receive = receive_one

    def until(self, is_wanted: Callable[[Packet], bool]) -> Packet:
        """The first packet from now on that is as wanted; the socket's timeout ends the wait."""
        for _ in range(2000):
            if is_wanted(packet := self._receive()):
                return packet
        raise AssertionError("no such packet among 2000")


def text_of(bundle: Bundle, recording: Path, port: int, engine: str) -> str:
    return (
        f"bundle: {bundle.path}\ncamera: {{kind: replay, path: {recording}}}\nengine: {{{engine}}}\n"
        f"publish: {{targets: [{{host: 127.0.0.1, port: {port}}}]}}\ntelemetry: {{port: null}}\npreview: null\n"
    )


@contextmanager
def running(folder: Path, bundle: Bundle, recording: Path, engine: str) -> Iterator[Running]:
    """A daemon whose engine section is this, with the cache at folder/cache."""
    with listening() as sink:
        config, cache_dir, stop = folder / "c.yaml", folder / "cache", StopFlag()
        config.write_text(text_of(bundle, recording, port_of(sink), engine + f", cache_dir: {cache_dir}"))
        daemon = Daemon(read_settings(config), stop, config)
        thread = threading.Thread(target=daemon.run)
        thread.start()
        try:
            yield Running(daemon, config, cache_dir, lambda: receive(sink))
        finally:
            stop.set()
            thread.join(30)
        assert not thread.is_alive()


def is_tracking(packet: Packet) -> bool:
    return packet.message_type is MessageType.JOINTS and packet.state is DaemonState.TRACKING


def is_degraded(packet: Packet) -> bool:
    return packet.state is DaemonState.DEGRADED


def test_the_daemon_waits_for_an_engine_and_uses_it_once_built(
    tmp_path: Path, bundle: Bundle, recording: Path, board: None
) -> None:
    with running(tmp_path, bundle, recording, "backend: tensorrt") as daemon:
        for _ in range(6):  # longer than engines that fail would be tried
            waiting = daemon.until(lambda packet: packet.message_type is MessageType.HEARTBEAT)
        opened = daemon.counts.engine_openings
        (daemon.cache_dir / STORED).mkdir(parents=True)
        daemon.until(is_tracking)

    assert waiting.state is DaemonState.DEGRADED
    assert opened == 0
    assert daemon.counts.engine_openings == 1


def test_the_fallback_gives_joints_until_the_engine_is_built(
    tmp_path: Path, bundle: Bundle, recording: Path, board: None
) -> None:
    with running(tmp_path, bundle, recording, "backend: tensorrt, fallback: onnx") as daemon:
        fallen = daemon.until(lambda packet: packet.message_type is MessageType.JOINTS)
        (daemon.cache_dir / STORED).mkdir(parents=True)
        daemon.until(is_tracking)

    assert fallen.state is DaemonState.DEGRADED and fallen.hands
    assert daemon.counts.engine_openings == 2


def test_without_tensorrt_only_a_fallback_keeps_the_daemon_running(
    tmp_path: Path, bundle: Bundle, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_nothing(*_: object) -> OnnxEngine:
        raise DependencyError("TensorRT cannot be imported")

    monkeypatch.setattr("handmap.engines.gpu_engine.open_gpu_engine", open_nothing)

    with running(tmp_path, bundle, recording, "backend: tensorrt, fallback: onnx") as daemon:
        daemon.until(lambda packet: bool(packet.hands) and is_degraded(packet))
    config = tmp_path / "none.yaml"
    config.write_text(text_of(bundle, recording, 9, "backend: tensorrt"))
    with pytest.raises(DependencyError, match="cannot be imported"):
        Daemon(read_settings(config), StopFlag()).run()


def test_a_reload_to_an_engine_that_is_not_built_is_refused(
    tmp_path: Path, bundle: Bundle, recording: Path, board: None
) -> None:
    with running(tmp_path, bundle, recording, "backend: onnx") as daemon:
        daemon.until(is_tracking)
        daemon.config.write_text(daemon.config.read_text().replace("backend: onnx", "backend: tensorrt"))
        daemon.reload()
        while daemon.counts.engine_openings < 2:
            daemon.until(lambda packet: True)
        daemon.until(is_tracking)

    assert daemon.counts.engine_openings == 2


def test_half_written_engines_are_not_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.engine_loader.LOOK_EVERY_S", 0.0)
    settings = read_settings(write_minimal(tmp_path))
    watch = CacheWatch(settings.engine)

    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / ".half.tmp").mkdir()
    (tmp_path / "cache" / "build.lock").write_text("")
    before = watch.has_changed()
    (tmp_path / "cache" / STORED).mkdir()

    assert not before
    assert watch.has_changed()


def write_minimal(folder: Path) -> Path:
    path = folder / "c.yaml"
    path.write_text(
        "bundle: b\ncamera: {kind: replay, path: r}\npublish: {targets: [{host: localhost}]}\nengine: {cache_dir: cache}\n"
    )
    return path
