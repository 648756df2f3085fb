"""Temperatures and throttling from sysfs, and the thermal band that follows from them.

The band lowers the frame rate before the board lowers its own clocks. Reading is slow on some boards, where a sensor sits
behind another processor, so a separate thread does it.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Final

from .settings import ThermalConfig

LOG = logging.getLogger("handmap.thermal")

JOIN_S: Final = 0.3
# A passive trip point of 0 or below is the kernel's way of saying that there is none.
ALERT_SUFFIX: Final = "-throttle-alert"  # Orin, Thor: cooling devices with a state above 0 while clocks are lowered
OVERCURRENT: Final = "soctherm_oc"  # Orin: hwmon device that counts under-voltage and over-current events


class Band(IntEnum):
    """How hot the device is; only every value-th frame is processed."""

    COOL = 1
    WARM = 2
    HOT = 4


@dataclass(frozen=True)
class ThermalFacts:
    """The last readings from sysfs. Any of them can be empty: boards differ in what they report."""

    temperatures_c: dict[str, float] = field(default_factory=dict)  # by type of zone
    throttles_from_c: float | None = None  # lowest temperature from which the kernel lowers clocks
    throttling: dict[str, bool] = field(default_factory=dict)  # by the board's name for what is throttled
    throttle_events: dict[str, int] = field(default_factory=dict)  # counted by the board since it booted
    cpu_mhz: dict[str, tuple[float, float]] = field(default_factory=dict)  # by policy: current and hardware maximum


def read_facts(sysfs: Path, zones: tuple[str, ...] | None) -> ThermalFacts:
    """Everything readable below a sysfs; zones are the thermal zone types to include, None for all."""
    temperatures_c: dict[str, float] = {}
    trips_c: list[float] = []
    for zone in _folders(sysfs / "class/thermal", "thermal_zone*"):
        kind, milli_c = _text(zone / "type"), _number(zone / "temp")
        if kind is None or (zones is not None and kind not in zones):
            continue
        trips_c += _passive_trips_c(zone)
        if milli_c is not None:
            # Nothing but the reading distinguishes two zones of one type: the hotter one counts.
            temperatures_c[kind] = max(milli_c / 1000, temperatures_c.get(kind, float("-inf")))
    return ThermalFacts(
        temperatures_c, min(trips_c, default=None), _alerts(sysfs), _throttle_events(sysfs), _cpu_mhz(sysfs)
    )


def next_band(band: Band, hottest_c: float, config: ThermalConfig) -> Band:
    """The band at a temperature: entered at its threshold, left only below the threshold minus the hysteresis."""
    if hottest_c >= config.hot_c or (band is Band.HOT and hottest_c > config.hot_c - config.hysteresis_c):
        return Band.HOT
    if hottest_c >= config.warm_c or (band is not Band.COOL and hottest_c > config.warm_c - config.hysteresis_c):
        return Band.WARM
    return Band.COOL


class ThermalWatch:
    """Reads for the duration of a `with` block; on_band is called with each new band. The main loop calls `lets_through` per frame."""

    def __init__(self, config: ThermalConfig, on_band: Callable[[Band], None]) -> None:
        self._config = config
        self._on_band = on_band
        self._wake = threading.Event()
        self._is_stopping = False
        self._frames = 0
        self.band = Band.COOL
        self.facts = ThermalFacts()
        self._thread = threading.Thread(target=self._watch, name="thermal", daemon=True)

    def __enter__(self) -> "ThermalWatch":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_stopping = True
        self._wake.set()
        self._thread.join(JOIN_S)

    def configure(self, config: ThermalConfig) -> None:
        """Uses other thresholds or zones from now on."""
        self._config = config
        self._wake.set()

    def lets_through(self) -> bool:
        """Counts a frame, and returns whether to process it."""
        self._frames += 1
        return self._frames % self.band == 0

    def read_once(self) -> None:
        """Reads sysfs and enters the resulting band; while no zone can be read the band stays."""
        config = self._config
        self.facts = read_facts(config.sysfs, config.zones)
        if config.zones == ():
            self._enter(Band.COOL, None)
        elif self.facts.temperatures_c:
            hottest_c = max(self.facts.temperatures_c.values())
            self._enter(next_band(self.band, hottest_c, config), hottest_c)

    def _enter(self, band: Band, hottest_c: float | None) -> None:
        if band is self.band:
            return
        was, self.band = self.band, band
        degrees = "" if hottest_c is None else f" hottest_c={hottest_c:.1f}"
        LOG.log(
            logging.WARNING if band > was else logging.INFO,
            "thermal=%s was=%s every_nth_frame=%d%s", band.name, was.name, band.value, degrees,
        )  # fmt: skip
        self._on_band(band)

    def _watch(self) -> None:
        warned_of: float | None = None
        while not self._is_stopping:
            self._wake.clear()
            self.read_once()
            limit_c = self.facts.throttles_from_c
            if limit_c is not None and limit_c != warned_of and self._config.hot_c >= limit_c:
                warned_of = limit_c
                LOG.warning(
                    "hot_c=%.1f throttles_from_c=%.1f hint=%r", self._config.hot_c, limit_c,
                    "the board lowers its clocks first; set thermal.hot_c below that",
                )  # fmt: skip
            self._wake.wait(self._config.poll_interval_s)


def _passive_trips_c(zone: Path) -> list[float]:
    kinds = [file for file in _entries(zone, "trip_point_*_type") if _text(file) == "passive"]
    found = [_number(file.with_name(file.name.replace("_type", "_temp"))) for file in kinds]
    return [milli_c / 1000 for milli_c in found if milli_c is not None and milli_c > 0]


def _alerts(sysfs: Path) -> dict[str, bool]:
    found: dict[str, bool] = {}
    for device in _folders(sysfs / "class/thermal", "cooling_device*"):
        kind, state = _text(device / "type"), _number(device / "cur_state")
        if kind is not None and kind.endswith(ALERT_SUFFIX) and state is not None:
            found[kind.removesuffix(ALERT_SUFFIX)] = state > 0
    return found


def _throttle_events(sysfs: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    for device in _folders(sysfs / "class/hwmon", "hwmon*"):
        if _text(device / "name") == OVERCURRENT:
            for file in _entries(device, "oc*_event_cnt"):
                if (count := _number(file)) is not None:
                    found[file.name.removesuffix("_event_cnt")] = int(count)
    package = _number(sysfs / "devices/system/cpu/cpu0/thermal_throttle/package_throttle_count")  # x86
    return found if package is None else {**found, "cpu_package": int(package)}


def _cpu_mhz(sysfs: Path) -> dict[str, tuple[float, float]]:
    found: dict[str, tuple[float, float]] = {}
    for policy in _folders(sysfs / "devices/system/cpu/cpufreq", "policy*"):
        now_khz, max_khz = _number(policy / "scaling_cur_freq"), _number(policy / "cpuinfo_max_freq")
        if now_khz is not None and max_khz is not None:
            found[policy.name] = (now_khz / 1000, max_khz / 1000)
    return found


def _folders(parent: Path, pattern: str) -> Iterator[Path]:
    return (path for path in _entries(parent, pattern) if path.is_dir())


def _entries(parent: Path, pattern: str) -> list[Path]:
    try:
        return sorted(parent.glob(pattern))
    except OSError:
        return []


def _text(file: Path) -> str | None:
    """The text of a sysfs file; None if it cannot be read: sensors of powered-down units answer with an error."""
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return None


def _number(file: Path) -> float | None:
    try:
        return float(int(_text(file) or ""))
    except ValueError:
        return None
