"""The units of a daemon: of the only one, or of one of several that a template makes, each with a configuration of its own."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .machine import Machine

CONFIGS: Final = Path("/etc/handmap")
DEFAULT_CONFIG: Final = CONFIGS / "config.yaml"
ETC: Final = Path("/etc/systemd/system")
# Links made by systemctl lie in /etc, those that packages bring lie beside the units.
LINKS: Final = (ETC, Path("/usr/lib/systemd/system"))
BOOT_TARGETS: Final = ("multi-user.target", "graphical.target", "default.target")


@dataclass(frozen=True)
class Units:
    """What systemd runs of one daemon."""

    daemon: str
    engine: str  # builds its engine
    config: Path  # as the machine names it


ONLY: Final = Units("handmap.service", "handmap-engine.service", DEFAULT_CONFIG)


def units_of(machine: Machine, config: Path) -> Units:
    """The units that go by a configuration: those of an instance, if one of that name was enabled."""
    return next((units for units in _instances(machine) if machine.path(units.config) == config), ONLY)


def daemons_at_boot(machine: Machine) -> list[Units]:
    """All daemons that start with the machine."""
    return [
        units
        for units in (ONLY, *_instances(machine))
        if machine.link(ETC / units.daemon) != "/dev/null" and starts_at_boot(machine, units.daemon)
    ]


def starts_at_boot(machine: Machine, unit: str, behind: tuple[str, ...] = ()) -> bool:
    """Whether links lead from a target of the boot to the unit, over other units or not; those `behind` were looked at."""
    if unit in BOOT_TARGETS:
        return True
    folders = [folder for place in LINKS for folder in machine.entries(place, "*.wants")]
    wanted_by = [folder.name.removesuffix(".wants") for folder in folders if machine.link(folder / unit) is not None]
    behind = (*behind, unit)
    return any(starts_at_boot(machine, other, behind) for other in wanted_by if other not in behind)


def _instances(machine: Machine) -> list[Units]:
    """The daemons that `systemctl enable handmap@NAME` made."""
    links = (link.name for place in LINKS for link in machine.entries(place, "*.wants/handmap@*.service"))
    names = sorted({name.removeprefix("handmap@").removesuffix(".service") for name in links} - {""})
    return [
        Units(f"handmap@{name}.service", f"handmap-engine@{name}.service", CONFIGS / f"{name}.yaml") for name in names
    ]
