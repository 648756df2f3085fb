"""Runs the daemon with every section of its configuration, and notes which keys are read while it runs.

The keys are found by walking the structs, so a new one cannot be forgotten. Only those of a RealSense camera
and of the log lines are looked for in the source.
"""

import ast
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
from msgspec import inspect as types
from PIL import Image

from handmap.client.receiver import subscribe
from handmap.recording.reader import open_recording
from handmap.system.notify import Notifier
from runtime.cameras.realsense import RealSenseConfig
from runtime.daemon import Daemon
from runtime.publish import open_publisher
from runtime.reference import OPEN
from runtime.retry import StopFlag
from runtime.settings import LogConfig, Settings, read_settings
from runtime.state import DaemonStatus
from runtime.thermal import ThermalWatch
from tests.support.processes import ROOT, free_port, free_tcp_port, listening, port_of
from tests.support.tiny_bundle import CAMERA, blob_frame, write_frames

CAMERAS: Final = ROOT / "runtime" / "cameras"
LOGS: Final = (ROOT / "runtime" / "logs.py",)
SHIPPED: Final = ROOT / "models" / "handmap-hand21"
DEMO: Final = ROOT / "models" / "demo_recording"
FRAMES: Final = 12
SECTIONS: Final = """
engine: {{backend: tensorrt, fallback: onnx, cache_dir: {folder}/cache, precision: int8}}
tracking: {{min_depth_mm: 100.0}}
smoothing: {{extrapolate: true}}
thermal: {{sysfs: {folder}/sys}}
telemetry: {{port: null}}
preview: {{port: {preview_port}}}
publish:
  targets: [{{host: 127.0.0.1, port: {port}}}]
  multicast: {{group: 239.255.77.1, interface: lo, port: {port}}}
  broadcast: {{address: 127.255.255.255, port: {port}}}
  control: {{port: {control_port}}}
  frame: {{name: base, position_m: [1.0, 0.0, 0.0], quaternion: [0.0, 0.0, 0.0, 1.0]}}
bundle: {bundle}
"""
PNGS: Final = (
    f"{{fx_px: {CAMERA.fx_px}, fy_px: {CAMERA.fy_px}, cx_px: {CAMERA.cx_px}, cy_px: {CAMERA.cy_px}, "
    "distortion: [0.01, 0.0, 0.0, 0.0, 0.0]}"
)
INTRINSICS: Final = PNGS
BAG: Final = (
    "{{kind: replay, path: {folder}/bag, pace: lockstep, loop: false, intrinsics: "
    + INTRINSICS.replace("{", "{{").replace("}", "}}")
    + "}}"
)
FOLDER: Final = (
    "{{kind: replay, path: {folder}/pngs, pace: lockstep, loop: false, png_folder: "
    + PNGS.replace("{", "{{").replace("}", "}}")
    + "}}"
)
FAULTY: Final = (
    "{{kind: faulty, camera: "
    + FOLDER
    + ", faults: [{{kind: all_zero, start_s: 0.0, duration_s: 0.1, period_s: 1.0}}]}}"
)


def unread_settings() -> dict[str, bool]:
    """Whether each key of the configuration is read while the daemon runs, by struct and key."""
    structs = {struct.__name__: struct for struct in _structs(types.type_info(Settings))}
    read: set[str] = set()
    with tempfile.TemporaryDirectory() as folder, listening() as sink:
        root = Path(folder)
        zone = root / "sys" / "class" / "thermal" / "thermal_zone0"
        zone.mkdir(parents=True)
        (zone / "type").write_text("cpu-thermal\n")
        (zone / "temp").write_text("50000\n")
        write_frames(root / "bag", list(islice(open_recording(DEMO), FRAMES)))
        _write_pngs(root / "pngs")
        for camera in (BAG, FAULTY):
            text = (SECTIONS + f"camera: {camera}\n").format(
                folder=folder,
                port=port_of(sink),
                control_port=free_port(),
                preview_port=free_tcp_port(),
                bundle=SHIPPED,
            )
            (root / "c.yaml").write_text(text)
            settings = read_settings(root / "c.yaml")
            with _noting_reads(structs, read):
                Daemon(settings, StopFlag()).run()
                _cool_down(settings, zone / "temp")
                _subscribe(settings)
    for struct, paths in ((RealSenseConfig, CAMERAS.glob("realsense*.py")), (LogConfig, LOGS)):
        read |= {f"{struct.__name__}.{name}" for name in _attributes(paths)}
    return {
        f"{name}.{field.encode_name}": f"{name}.{field.name}" in read
        for name, struct in structs.items()
        for field in _fields(struct)
    }


def _cool_down(settings: Settings, temperature: Path) -> None:
    """From warm to just below the threshold, which a run of a few frames is too short for."""
    watch = ThermalWatch(settings.thermal, lambda band: None)
    for milli_c in (90_000, 84_000):
        temperature.write_text(f"{milli_c}\n")
        watch.read_once()


def _subscribe(settings: Settings) -> None:
    """A subscription with the facts about the daemon, which a run of a few frames is too short for."""
    control = settings.publish.control
    assert control is not None
    publisher = open_publisher(settings.publish)
    with subscribe(control.bind, control.port) as receiver:
        end_s = time.monotonic() + 30
        while (receiver.info is None or not receiver.counts.received) and time.monotonic() < end_s:
            publisher.heartbeat(DaemonStatus(Notifier(None)))
            receiver.wait(0.05)
    publisher.close()


def _write_pngs(folder: Path) -> None:
    folder.mkdir()
    for number in range(FRAMES):
        Image.fromarray(np.asarray(blob_frame(number).depth)).save(folder / f"{number}.png")


@contextmanager
def _noting_reads(structs: dict[str, type], read: set[str]) -> Iterator[None]:
    """Adds every attribute of these structs that is read to `read`, as Struct.field."""

    def noting(self: object, name: str) -> Any:
        read.add(f"{type(self).__name__}.{name}")
        return object.__getattribute__(self, name)

    for struct in structs.values():
        struct.__getattribute__ = noting  # type: ignore[method-assign,assignment]  # for the time of the run
    try:
        yield
    finally:
        for struct in structs.values():
            del struct.__getattribute__


def _structs(kind: Any) -> Iterator[type]:
    """The struct of this type and all below, those of the built-in cameras included."""
    if isinstance(kind, types.StructType):
        yield kind.cls
        for field in kind.fields:
            yield from _structs(field.type)
    elif isinstance(kind, types.UnionType):
        for one in kind.types:
            yield from _structs(one)
    elif isinstance(kind, types.VarTupleType):
        yield from _structs(kind.item_type)
    elif isinstance(kind, types.CustomType):
        for struct in OPEN.get(kind.cls, ()):
            if struct.__name__ != "FaultyConfig":
                yield from _structs(types.type_info(struct))
            else:  # its camera is of the same kinds again
                yield struct
                faults = next(field for field in _fields(struct) if field.name == "faults")
                yield from _structs(faults.type)


def _fields(struct: type) -> tuple[Any, ...]:
    found = types.type_info(struct)
    assert isinstance(found, types.StructType)
    return found.fields


def _attributes(paths: Iterable[Path]) -> set[str]:
    """The names of all attributes that the source in these files reads."""
    return {
        node.attr
        for path in paths
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    }
