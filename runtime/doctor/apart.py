"""Checks for several daemons on one machine: the resources that each needs to itself."""

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Final

from handmap.types.errors import ConfigError

from ..cameras.realsense import RealSenseConfig
from ..settings import Settings, read_settings
from .context import Check, DoctorContext, Finding, failed, ok, warning
from .instances import Units, daemons_at_boot

SHARED_PORTS: Final = {
    "telemetry.port": "handmap status and metrics show",
    "publish.control.port": "receivers reach",
    "preview.port": "handmap view shows the picture of",
}


def check_apart(context: DoctorContext) -> Finding:
    """Whether daemons that start together share nothing they must not."""
    found = daemons_at_boot(context.machine)
    readable = {
        units: settings for units in found if (settings := _read(context.machine.path(units.config))) is not None
    }
    for report, shared in ((failed, _same_camera), (warning, _same_ports), (warning, _same_folder)):
        for (one, ones), (other, others) in combinations(readable.items(), 2):
            if both := ", ".join(shared(ones, others)):
                return report(f"{one.daemon} and {other.daemon} share {both}", _edit(context, one, other))
    return ok(f"starting at boot: {', '.join(units.daemon for units in found) or 'none'}")


def _read(config: Path) -> Settings | None:
    """The configuration; None if it is invalid, which that daemon's own check reports."""
    try:
        return read_settings(config)
    except ConfigError:
        return None


def _same_camera(one: Settings, other: Settings) -> Iterator[str]:
    cameras = [settings.camera for settings in (one, other)]
    live = [each for each in cameras if isinstance(each, RealSenseConfig) and each.playback is None]
    serials = [camera.serial for camera in live]
    if len(live) == 2 and (None in serials or serials[0] == serials[1]):
        yield "one camera: give each its own camera.serial" if None in serials else f"one camera.serial, {serials[0]!r}"


def _same_ports(one: Settings, other: Settings) -> Iterator[str]:
    ours, theirs = _listening(one), _listening(other)
    for key, consequence in SHARED_PORTS.items():
        port = ours[key]
        if port is not None and port == theirs[key]:
            yield f"one {key}, {port}: {consequence} whichever starts first"
    targets = [{(target.host, target.port) for target in settings.publish.targets} for settings in (one, other)]
    for host, port in sorted(targets[0] & targets[1]):
        yield f"one receiver, {host}:{port}, which cannot tell their streams apart"


def _listening(settings: Settings) -> dict[str, int | None]:
    """The ports that a daemon listens on, by key; None where it does not."""
    control, preview = settings.publish.control, settings.preview
    return {
        "telemetry.port": settings.telemetry.port,
        "publish.control.port": None if control is None else control.port,
        "preview.port": None if preview is None else preview.port,
    }


def _same_folder(one: Settings, other: Settings) -> Iterator[str]:
    folders = [settings.flight_recorder.folder for settings in (one, other) if settings.flight_recorder.enabled]
    if len(folders) == 2 and folders[0] is not None and folders[0] == folders[1]:
        yield f"one flight_recorder.folder, {str(folders[0])!r}: each removes snapshots of the other to keep its budget"


def _edit(context: DoctorContext, *daemons: Units) -> str:
    files = " ".join(context.here(units.config) for units in daemons)
    again = f" && sudo systemctl restart {' '.join(units.daemon for units in daemons)}"
    return f"sudoedit {files}{again if context.machine.is_running else ''}"


CHECKS: Final = (Check("service.apart", "several daemons do not get in each other's way", check_apart),)
