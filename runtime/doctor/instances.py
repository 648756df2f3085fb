"""The systemd units of a daemon: the only one, or one instance of the template, each with its own configuration."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .machine import Machine

CONFIGS: Final = Path("/etc/handmap")
DEFAULT_CONFIG: Final = CONFIGS / "config.yaml"
ETC: Final = Path("/etc/systemd/system")
# Links made by systemctl are in /etc, those from packages beside the units.
LINKS: Final = (ETC, Path("/usr/lib/systemd/system"))
BOOT_TARGETS: Final = ("multi-user.target", "graphical.target", "default.target")


@dataclass(frozen=True)
class Units:
    """The units that belong to one daemon."""

    daemon: str
    engine: str  # builds its engine
    config: Path  # path on the machine itself


ONLY: Final = Units("handmap.service", "handmap-engine.service", DEFAULT_CONFIG)


def units_of(machine: Machine, config: Path) -> Units:
    """The units that use a configuration: those of an instance if one with that name is enabled."""
    return next((units for units in _instances(machine) if machine.path(units.config) == config), ONLY)


def daemons_at_boot(machine: Machine) -> list[Units]:
    """All daemons that start at boot."""
    return [
        units
        for units in (ONLY, *_instances(machine))
        if machine.link(ETC / units.daemon) != "/dev/null" and starts_at_boot(machine, units.daemon)
    ]


def starts_at_boot(machine: Machine, unit: str, behind: tuple[str, ...] = ()) -> bool:
    """Whether a boot target pulls in the unit, directly or through other units; those in `behind` were visited already."""
    if unit in BOOT_TARGETS:
        return True
    folders = [folder for place in LINKS for folder in machine.entries(place, "*.wants")]
    wanted_by = [folder.name.removesuffix(".wants") for folder in folders if machine.link(folder / unit) is not None]
    behind = (*behind, unit)
    return any(starts_at_boot(machine, other, behind) for other in wanted_by if other not in behind)


def _instances(machine: Machine) -> list[Units]:
    """The daemons created by `systemctl enable handmap@NAME`."""
    links = (link.name for place in LINKS for link in machine.entries(place, "*.wants/handmap@*.service"))
    names = sorted({name.removeprefix("handmap@").removesuffix(".service") for name in links} - {""})
    return [
        Units(f"handmap@{name}.service", f"handmap-engine@{name}.service", CONFIGS / f"{name}.yaml") for name in names
    ]
