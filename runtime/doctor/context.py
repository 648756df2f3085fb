"""The input and output of a check: a machine with its daemon's configuration, and a finding."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeAlias, cast

import msgspec

from handmap.bundle.manifest import Bundle, read_bundle
from handmap.engines.cache_dir import engine_cache_dir
from handmap.system.jetpack import NO_BOARD, RELEASE_FILE, JetPack, find_jetpack, parse_version, read_l4t_release
from handmap.types.errors import ConfigError, HandmapError

from ..cameras.realsense import RealSenseConfig
from ..faults.camera import FaultyConfig
from ..settings import Settings, read_settings
from .account import Account, find_account, read_unit, this_account
from .below_root import below_root
from .instances import DEFAULT_CONFIG, Units, units_of
from .isolation import daemons_python, isolation
from .machine import Answer, Machine, NotApplicable

Status: TypeAlias = Literal["failed", "warning", "ok", "not applicable"]


@dataclass(frozen=True)
class Finding:
    """What a check found: its status, the details behind it, and the shell command that fixes it or shows more."""

    status: Status
    details: str
    fix: str = ""


def ok(details: str) -> Finding:
    """Nothing is wrong."""
    return Finding("ok", details)


def warning(details: str, fix: str) -> Finding:
    """Hands are tracked, but not as well as they could be, or not for long."""
    return Finding("warning", details, fix)


def failed(details: str, fix: str) -> Finding:
    """The daemon cannot work like this."""
    return Finding("failed", details, fix)


class DoctorContext:
    """A machine and the configuration of its daemon; facts that several checks need are read once.

    Raises ConfigError if links or this user's rights prevent finding the configuration.
    """

    def __init__(self, machine: Machine, config: Path | None = None) -> None:
        self.machine = machine
        try:
            self.config = machine.path(config or DEFAULT_CONFIG)
        except OSError as error:
            raise ConfigError(
                f"doctor: the path of the configuration {str(config or DEFAULT_CONFIG)!r} cannot be followed ({error}); correct it, or "
                "run as a user who has access, for example with sudo"
            ) from error

    @cached_property
    def settings(self) -> Settings:
        """The configuration, with its paths placed below the machine's root.

        Raises ConfigError if it cannot be read.
        """
        found = read_settings(self.config)
        here = self.machine.path
        cache_dir = found.engine.cache_dir
        return msgspec.structs.replace(
            found,
            bundle=here(found.bundle),
            camera=below_root(cast(msgspec.Struct, found.camera), here),  # guaranteed by its plug-in group
            engine=msgspec.structs.replace(found.engine, cache_dir=None if cache_dir is None else here(cache_dir)),
            thermal=msgspec.structs.replace(found.thermal, sysfs=here(found.thermal.sysfs)),
        )

    @property
    def valid_settings(self) -> Settings:
        """The configuration; raises NotApplicable if it cannot be read, which only one check reports."""
        try:
            return self.settings
        except HandmapError as error:
            raise NotApplicable("there is no valid configuration") from error

    @cached_property
    def bundle(self) -> Bundle:
        """The configured bundle, every file hashed.

        Raises NotApplicable without a configuration, BundleError if the bundle is damaged.
        """
        return read_bundle(self.valid_settings.bundle)

    @property
    def whole_bundle(self) -> Bundle:
        """The configured bundle; raises NotApplicable if it is damaged, which only one check reports."""
        try:
            return self.bundle
        except HandmapError as error:
            raise NotApplicable("the bundle is damaged") from error

    @cached_property
    def units(self) -> Units:
        """The units of the daemon that uses this configuration."""
        return units_of(self.machine, self.config)

    @cached_property
    def unit(self) -> dict[str, str] | None:
        """The keys of the daemon's unit; None if it is not installed."""
        return read_unit(self.machine, self.units.daemon)

    @property
    def account(self) -> Account:
        """The account the daemon runs as: the unit's user or, without a unit, the user running the doctor.

        Raises NotApplicable if the unit names a user that does not exist, which only one check reports.
        """
        if self.unit is None:
            if not self.machine.is_running:
                raise NotApplicable("no unit is installed, so the daemon's user is unknown")
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
        """The daemon's Python interpreter."""
        return daemons_python(self.machine)

    def run_python(self, *arguments: str, environment: dict[str, str] | None = None) -> Answer:
        """Runs the daemon's Python, isolated: nothing in the current folder can stand in for a library, whoever runs the doctor."""
        return self.machine.run(self.python, *isolation(self.python), *arguments, environment=environment)

    @cached_property
    def sdk_answer(self) -> Answer:
        """What `runtime.doctor.sdk` prints when run with the daemon's Python."""
        return self.run_python("-m", "handmap.runtime.doctor.sdk")

    @cached_property
    def l4t(self) -> str:
        """The L4T release, such as 36.4.3."""
        return read_l4t_release(self.machine.path(RELEASE_FILE))

    @property
    def jetpack(self) -> JetPack | None:
        """The JetPack of that release; None if it is unknown."""
        return find_jetpack(parse_version(self.l4t))

    def need_running(self) -> None:
        """Raises NotApplicable if the machine is an image."""
        if not self.machine.is_running:
            raise NotApplicable("this can only be checked on a running machine")

    def need_jetson(self) -> None:
        """Raises NotApplicable if the machine is not a Jetson."""
        if self.l4t == NO_BOARD:
            raise NotApplicable("this is not a Jetson")

    def need_unit(self) -> dict[str, str]:
        """The keys of the daemon's unit; raises NotApplicable without one."""
        if self.unit is None:
            raise NotApplicable(f"{self.units.daemon} is not installed")
        return self.unit

    def need_tensorrt(self) -> None:
        """Raises NotApplicable unless TensorRT is configured or, without a valid configuration, this is a Jetson."""
        try:
            backend = self.settings.engine.backend
        except HandmapError:
            self.need_jetson()
            return
        if backend != "tensorrt":
            raise NotApplicable("the configuration does not use TensorRT")

    def need_camera(self) -> RealSenseConfig:
        """The configured RealSense camera; raises NotApplicable if there is none."""
        camera = self.valid_settings.camera
        camera = camera.camera if isinstance(camera, FaultyConfig) else camera
        if not isinstance(camera, RealSenseConfig) or camera.playback is not None:
            raise NotApplicable("the configured camera is not a RealSense on USB")
        return camera

    def install(self, package: str) -> str:
        """The command that installs a Debian package on the machine."""
        if self.machine.is_running:
            return f"sudo apt install {package}"
        folder = shlex.quote(str(self.machine.root.parent))
        return f"sudo handmap flash-overlay {folder} --deb handmap.deb --config config.yaml --extra-debs debs  # with {package} in debs"

    def install_python(self, package: str) -> str:
        """The command that installs a Python package for the daemon; our package's environment contains them all, but no pip."""
        return (
            self.install("--reinstall ./handmap.deb")
            if self.unit is not None
            else f"{self.python} -m pip install {package}"
        )

    def apply_binaries(self) -> str:
        """NVIDIA's command that installs L4T into an image."""
        return f"cd {shlex.quote(str(self.machine.root.parent))} && sudo ./apply_binaries.sh"

    def edit_config(self) -> str:
        """The command to edit the configuration and validate it."""
        config = self.here(self.config)
        if not self.machine.is_running:
            return f"sudoedit {config} && handmap doctor --image {self.here('/')}"
        judge = f"{config} && handmap run --config {config} --validate"
        if self.unit is None:
            return f"editor {judge}"
        return f"sudoedit {judge} && sudo systemctl restart {self.units.daemon}"

    def here(self, name: str | Path) -> str:
        """A path of the machine, quoted for a shell on this one."""
        return shlex.quote(str(self.machine.path(name)))


@dataclass(frozen=True)
class Check:
    """One check: its name in the output, what it checks, and the function that does it."""

    id: str
    title: str
    look: Callable[[DoctorContext], Finding]
