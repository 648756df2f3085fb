"""What every check is given and gives: a machine with the configuration that its daemon goes by, and a finding."""

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Literal, TypeAlias, cast

import msgspec

from handmap.bundle.manifest import Bundle, read_bundle
from handmap.engines.cache import engine_cache_dir
from handmap.system.jetpack import NO_BOARD, RELEASE_FILE, JetPack, find_jetpack, parse_version, read_l4t_release
from handmap.types.errors import ConfigError, HandmapError

from ..cameras.realsense import RealSenseConfig
from ..faults.camera import FaultyConfig
from ..settings import Settings, read_settings
from .account import Account, find_account, read_unit, this_account
from .below_root import below_root
from .instances import DEFAULT_CONFIG, Units, units_of
from .machine import LIVE_ROOT, Answer, Machine, NotApplicable

VENV: Final = Path("/usr/lib/handmap/venv")

Status: TypeAlias = Literal["failed", "warning", "ok", "not applicable"]


@dataclass(frozen=True)
class Finding:
    """What a check found: the verdict, what it rests on, and the shell command that mends it or shows more."""

    status: Status
    details: str
    fix: str = ""


def ok(details: str) -> Finding:
    """All is well."""
    return Finding("ok", details)


def warning(details: str, fix: str) -> Finding:
    """Hands are tracked, but not as well as they could be, or not for long."""
    return Finding("warning", details, fix)


def failed(details: str, fix: str) -> Finding:
    """The daemon cannot do its work like this."""
    return Finding("failed", details, fix)


class DoctorContext:
    """A machine and the configuration of its daemon. What several checks need is read once.

    Raises ConfigError where links, or rights of this user, do not let the configuration be looked for.
    """

    def __init__(self, machine: Machine, config: Path | None = None) -> None:
        self.machine = machine
        try:
            self.config = machine.path(config or DEFAULT_CONFIG)
        except OSError as error:
            raise ConfigError(
                f"doctor: the way to the configuration {str(config or DEFAULT_CONFIG)!r} cannot be followed ({error}); mend it, or "
                "take a user who may go it, by sudo"
            ) from error

    @cached_property
    def settings(self) -> Settings:
        """The configuration, its paths below the machine's root.

        Raises ConfigError if it cannot be read.
        """
        found = read_settings(self.config)
        here = self.machine.path
        cache_dir = found.engine.cache_dir
        return msgspec.structs.replace(
            found,
            bundle=here(found.bundle),
            camera=below_root(cast(msgspec.Struct, found.camera), here),  # as its group of plug-ins demands
            engine=msgspec.structs.replace(found.engine, cache_dir=None if cache_dir is None else here(cache_dir)),
            thermal=msgspec.structs.replace(found.thermal, sysfs=here(found.thermal.sysfs)),
        )

    @property
    def valid_settings(self) -> Settings:
        """The configuration; raises NotApplicable if it cannot be read, which one check alone says."""
        try:
            return self.settings
        except HandmapError as error:
            raise NotApplicable("there is no valid configuration to go by") from error

    @cached_property
    def bundle(self) -> Bundle:
        """The configured bundle, every file hashed.

        Raises NotApplicable without a configuration, BundleError if the bundle is not whole.
        """
        return read_bundle(self.valid_settings.bundle)

    @property
    def whole_bundle(self) -> Bundle:
        """The configured bundle; raises NotApplicable if it is not whole, which one check alone says."""
        try:
            return self.bundle
        except HandmapError as error:
            raise NotApplicable("the bundle is not whole") from error

    @cached_property
    def units(self) -> Units:
        """The units of the daemon that goes by this configuration."""
        return units_of(self.machine, self.config)

    @cached_property
    def unit(self) -> dict[str, str] | None:
        """The keys of the daemon's unit, None where none is installed."""
        return read_unit(self.machine, self.units.daemon)

    @property
    def account(self) -> Account:
        """Whose rights the daemon has: those of the unit's user, without a unit of whoever runs the doctor.

        Raises NotApplicable if the unit names a user that the machine lacks, which one check alone says.
        """
        if self.unit is None:
            if not self.machine.is_running:
                raise NotApplicable("no unit is installed, so nobody is known to run the daemon")
            return this_account(self.machine)
        user = self.unit.get("User") or "root"
        found = find_account(self.machine, user, self.unit.get("SupplementaryGroups", ""))
        if found is None:
            raise NotApplicable(f"there is no user {user!r}")
        return found

    @property
    def cache_dir(self) -> Path:
        """Where the daemon looks for engines."""
        configured = self.valid_settings.engine.cache_dir
        if configured is not None:
            return configured
        if self.unit is None:
            return engine_cache_dir()
        return self.machine.path(
            engine_cache_dir({"CACHE_DIRECTORY": f"/var/cache/{self.unit.get('CacheDirectory', 'handmap')}"})
        )

    @property
    def python(self) -> str:
        """The interpreter of the daemon."""
        installed = VENV / "bin/python"
        if self.machine.has(installed):
            return str(installed)
        if self.machine.root != LIVE_ROOT:
            raise NotApplicable(f"there is no {str(installed)!r}")
        return sys.executable

    @cached_property
    def sdk_answer(self) -> Answer:
        """What `runtime.doctor.sdk` answers, run by the daemon's Python."""
        return self.machine.run(self.python, "-m", "handmap.runtime.doctor.sdk")

    @cached_property
    def l4t(self) -> str:
        """The L4T release, such as 36.4.3."""
        return read_l4t_release(self.machine.path(RELEASE_FILE))

    @property
    def jetpack(self) -> JetPack | None:
        """The JetPack of that release, None where it is unknown."""
        return find_jetpack(parse_version(self.l4t))

    def need_running(self) -> None:
        """Raises NotApplicable for an image."""
        if not self.machine.is_running:
            raise NotApplicable("only a running machine can tell")

    def need_jetson(self) -> None:
        """Raises NotApplicable for any other machine."""
        if self.l4t == NO_BOARD:
            raise NotApplicable("this is no Jetson")

    def need_unit(self) -> dict[str, str]:
        """The keys of the daemon's unit; raises NotApplicable without one."""
        if self.unit is None:
            raise NotApplicable(f"{self.units.daemon} is not installed")
        return self.unit

    def need_tensorrt(self) -> None:
        """Raises NotApplicable if the configuration is valid and names another backend, or without one if this is no Jetson."""
        try:
            backend = self.settings.engine.backend
        except HandmapError:
            self.need_jetson()
            return
        if backend != "tensorrt":
            raise NotApplicable("the configuration names no TensorRT engine")

    def need_camera(self) -> RealSenseConfig:
        """The configured RealSense camera; raises NotApplicable if another is configured, or none."""
        camera = self.valid_settings.camera
        camera = camera.camera if isinstance(camera, FaultyConfig) else camera
        if not isinstance(camera, RealSenseConfig) or camera.playback is not None:
            raise NotApplicable("the configured camera is not a RealSense on USB")
        return camera

    def install(self, package: str) -> str:
        """The command that puts a Debian package into the machine."""
        if self.machine.is_running:
            return f"sudo apt install {package}"
        folder = shlex.quote(str(self.machine.root.parent))
        return f"sudo handmap flash-overlay {folder} --deb handmap.deb --config config.yaml --extra-debs debs  # with {package} in debs"

    def install_python(self, package: str) -> str:
        """The command that puts a Python package into the daemon's environment: ours comes with all of them, and without pip."""
        return (
            self.install("--reinstall ./handmap.deb")
            if self.unit is not None
            else f"{self.python} -m pip install {package}"
        )

    def apply_binaries(self) -> str:
        """The command of NVIDIA's that puts L4T into an image."""
        return f"cd {shlex.quote(str(self.machine.root.parent))} && sudo ./apply_binaries.sh"

    def edit_config(self) -> str:
        """The command to change the configuration and have it judged."""
        config = self.here(self.config)
        if not self.machine.is_running:
            return f"sudoedit {config} && handmap doctor --image {self.here('/')}"
        judge = f"{config} && handmap run --config {config} --validate"
        if self.unit is None:
            return f"editor {judge}"
        return f"sudoedit {judge} && sudo systemctl restart {self.units.daemon}"

    def here(self, name: str | Path) -> str:
        """A path of the machine as a shell on this one names it."""
        return shlex.quote(str(self.machine.path(name)))


@dataclass(frozen=True)
class Check:
    """One thing to look at: its name in the output, what it asks, and who looks."""

    id: str
    title: str
    look: Callable[[DoctorContext], Finding]
