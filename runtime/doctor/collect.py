"""`handmap doctor --collect`: what somebody else needs to see what is wrong, without secrets, in one file.

What cannot be had is named in the file `missing.txt`; it never keeps the rest from being written.
"""

import json
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Final

import msgspec

from handmap import __version__
from handmap.files.archive import write_archive
from handmap.files.outputs import refuse_taken
from handmap.files.reading import read_bytes
from handmap.system.drop_ins import drop_in_folder
from handmap.system.redact import redacted_yaml, without_keys, without_secrets
from handmap.system.yaml_file import read_document
from handmap.types.errors import ConfigError, HandmapError

from ..ask_daemon import ask_daemon, ask_page, refuse_other
from ..settings import TelemetryConfig
from ..snapshot import Snapshot
from .context import DoctorContext
from .report import Report, format_report

FOLDER: Final = "handmap-support"
ENDING: Final = ".tar.zst"
PICTURES: Final = "snapshot/"  # what is under it is no text
JOURNAL_LINES: Final = "20000"
MAX_TEXT_BYTES: Final = 1 << 20
MAX_SNAPSHOT_BYTES: Final = 1 << 30


class Missing(Exception):
    """Something that cannot be had; the message says why."""


@dataclass(frozen=True)
class Wanted:
    """What is only collected on request: depth images, and what takes a minute."""

    snapshot: bool
    bench: bool


def refuse_out(out: Path) -> None:
    """Raises ConfigError if a bundle cannot have this name, or something has it; FileError if nothing can be written there."""
    if not out.name.endswith(ENDING):
        raise ConfigError(
            f"doctor: --collect writes a {ENDING} archive, found {str(out)!r}; choose a name that ends in {ENDING}"
        )
    refuse_taken(out, "--collect")


def collect_support(out: Path, context: DoctorContext, report: Report, wanted: Wanted) -> list[str]:
    """Writes the bundle, mode 0600, and returns the names of what could not be had.

    Raises FileError if it cannot be written.
    """
    sources: dict[str, Callable[[], dict[str, bytes]]] = {
        "configuration": lambda: _configuration(context),
        "effective configuration": lambda: {"config_effective.json": _json(without_secrets(context.settings))},
        "drop-ins": lambda: _drop_ins(context, missing),
        "status": lambda: {"status.json": _json(msgspec.to_builtins(_status(context)))},
        "metrics": lambda: {"metrics.txt": _metrics(context)},
        "journal": lambda: _journal(context),
        "doctor": lambda: {"doctor.txt": format_report(report).encode(), "doctor.json": _json(report.as_json())},
        "versions": lambda: {"versions.json": _json(_versions(context))},
        "bench": lambda: _bench(context, wanted.bench),
        "snapshot": lambda: _snapshot(context, wanted.snapshot),
    }
    contents: dict[str, bytes] = {}
    missing: dict[str, str] = {}
    for name, collect in sources.items():
        try:
            contents |= collect()
        except Exception as error:  # noqa: BLE001  whatever is broken is why somebody collects
            missing[name] = " ".join(str(error).split()) or type(error).__name__
    contents["missing.txt"] = "".join(f"{name}: {why}\n" for name, why in missing.items()).encode()
    write_archive(out, FOLDER, dict(_without_keys(name, content) for name, content in contents.items()))
    return list(missing)


def _configuration(context: DoctorContext) -> dict[str, bytes]:
    return {"config.yaml": _redacted(context.machine.path(context.config))}


def _drop_ins(context: DoctorContext, missing: dict[str, str]) -> dict[str, bytes]:
    """Every file beside the drop-ins too: one that is passed over or refused may be why somebody collects."""
    found = {}
    for path in context.machine.entries(drop_in_folder(context.config), "*"):
        name = f"{path.parent.name}/{path.name}"
        try:
            found[name] = _redacted(context.machine.path(path))
        except (OSError, ValueError, HandmapError) as error:
            missing[f"drop-in {name}"] = " ".join(str(error).split())
    return found


def _redacted(path: Path) -> bytes:
    return redacted_yaml(read_bytes(path, MAX_TEXT_BYTES).decode("utf-8-sig", "replace")).encode()


def _without_keys(name: str, content: bytes) -> tuple[str, bytes]:
    """A file of the bundle without keys that were put where they do not belong: messages quote what they refuse."""
    if name.startswith(PICTURES):
        return name, content
    return without_keys(name), without_keys(content.decode(errors="surrogateescape")).encode(errors="surrogateescape")


def _status(context: DoctorContext) -> Snapshot:
    """What the daemon of this configuration says. Raises NoAnswer if there is none, or another one's answers."""
    port = _port(context)
    facts = ask_daemon(port)
    refuse_other(facts, context.config, port)
    return facts


def _metrics(context: DoctorContext) -> bytes:
    _status(context)
    return ask_page(_port(context), "/metrics")


def _port(context: DoctorContext) -> int:
    context.need_running()
    try:
        port = context.settings.telemetry.port
    except Exception:  # noqa: BLE001  a broken configuration: the daemon runs on with an older one, most likely of the same port
        port = _stated_port(context.config)
    if port is None:
        raise Missing("telemetry.port is null, so the daemon cannot be asked")
    return port


def _stated_port(config: Path) -> int | None:
    """The port in a configuration file that the daemon would refuse; the default if none can be read from it."""
    default = TelemetryConfig().port
    try:
        port = read_document(config).data["telemetry"]["port"]
    except (HandmapError, OSError, KeyError, TypeError):
        return default
    return port if port is None or (type(port) is int and 0 < port < 1 << 16) else default


def _journal(context: DoctorContext) -> dict[str, bytes]:
    answer = context.machine.run(
        "journalctl", "--namespace=+handmap", "--unit=handmap*", f"--lines={JOURNAL_LINES}", "--no-pager", "--output=short-iso",
    )  # fmt: skip
    if answer.code:
        raise Missing(answer.err or f"journalctl exits with {answer.code}")
    return {"journal.txt": answer.out.encode()}


def _versions(context: DoctorContext) -> dict[str, object]:
    running = context.machine.is_running
    jetpack = context.machine.text("/etc/nv_tegra_release")
    return {
        "handmap": __version__,
        "python": sys.version,
        "kernel": platform.uname()._asdict() if running else None,
        "os_release": context.machine.text("/etc/os-release"),
        "jetpack": None if jetpack is None else jetpack.partition("\n")[0],
        "packages": {one.metadata["Name"]: one.version for one in distributions()} if running else None,
    }


def _bench(context: DoctorContext, is_wanted: bool) -> dict[str, bytes]:
    if not is_wanted:
        raise Missing("it was not asked for, with --bench")
    from handmap.engines.factory import open_engines
    from handmap.recording.stated import RecordingAt
    from handmap.tracking.tracker_settings import tracker_settings

    from ..bench import run_bench

    context.need_running()
    settings, bundle = context.settings, context.bundle
    at = RecordingAt(bundle.path.parent / "demo_recording")
    with open_engines(bundle, settings.engine) as engines:
        how = tracker_settings(bundle, settings.tracking, settings.smoothing, settings.skeleton)
        return {"bench.json": _json(run_bench(bundle, engines, settings.engine.threads, at, how).as_json())}


def _snapshot(context: DoctorContext, is_wanted: bool) -> dict[str, bytes]:
    if not is_wanted:
        raise Missing("it was not asked for, with --snapshot")
    facts = _status(context).flight
    if facts is None or not facts.newest:
        raise Missing("the daemon has written none since its start; write one with: handmap snapshot")
    newest = Path(facts.newest)
    files = [path for path in sorted(newest.iterdir()) if path.is_file()]
    return {f"{PICTURES}{path.name}": read_bytes(path, MAX_SNAPSHOT_BYTES) for path in files}


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1, default=str).encode() + b"\n"
