"""Checks of the machine itself: power mode, clocks, temperature, disk, memory and time of day."""

import re
from pathlib import Path
from typing import Final

from ..settings import ThermalConfig
from ..thermal import read_facts
from .context import Check, DoctorContext, Finding, failed, ok, warning
from .machine import NotApplicable

NVPMODEL: Final = "/etc/nvpmodel.conf"
CPU: Final = Path("/sys/devices/system/cpu")
DEVFREQ: Final = Path("/sys/class/devfreq")
GPU_DEVFREQ: Final = ("*gpu*", "*.ga10b")
MB: Final = 10**6
# An engine build needs three times its graph, in memory and on disk, plus room for other writes in the meantime.
GRAPHS_BESIDE: Final = 3
ROOM_MB: Final = 200
MEMORY_MB: Final = (
    300,
    1000,
)  # below the first the daemon does not start; below the second an engine build can be killed


def check_power_mode(context: DoctorContext) -> Finding:
    """Whether the board runs in its fastest power mode."""
    context.need_running()
    context.need_jetson()
    answer = context.machine.run("nvpmodel", "-q")
    found = re.search(r"NV Power Mode:\s*(\S+)", answer.out)
    if found is None:
        return warning(
            f"nvpmodel does not report the mode: {answer.err or answer.out or 'no output'}", "sudo nvpmodel -q"
        )
    modes = re.findall(r"<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)\s*>", context.machine.text(NVPMODEL) or "")
    fastest = max(modes, key=lambda mode: _speed(mode[1]), default=None)
    if fastest is not None and _speed(found[1]) < _speed(fastest[1]):
        return warning(f"power mode {found[1]}, the fastest is {fastest[1]}", f"sudo nvpmodel -m {fastest[0]}")
    return ok(f"power mode {found[1]}")


def check_clocks(context: DoctorContext) -> Finding:
    """Whether CPU and GPU are allowed their full clocks."""
    context.need_running()
    text = context.machine.text
    capped, seen = [], []
    for policy in context.machine.entries(CPU / "cpufreq", "policy*"):
        max_mhz, may = (_mhz(text(policy / name), 1e3) for name in ("cpuinfo_max_freq", "scaling_max_freq"))
        if not max_mhz:
            continue  # cores that the power mode has switched off
        seen.append(f"{policy.name} {may:.0f} MHz ({text(policy / 'scaling_governor')})")
        if may < max_mhz:
            capped.append(f"{policy.name} is limited to {may:.0f} of {max_mhz:.0f} MHz")
    for gpu in (found for pattern in GPU_DEVFREQ for found in context.machine.entries(DEVFREQ, pattern)):
        rates = [_mhz(rate, 1e6) for rate in (text(gpu / "available_frequencies") or "").split()]
        may, max_mhz = _mhz(text(gpu / "max_freq"), 1e6), max(rates, default=0.0)
        seen.append(f"{gpu.name} {may:.0f} MHz")
        if may < max_mhz:
            capped.append(f"GPU {gpu.name} is limited to {may:.0f} of {max_mhz:.0f} MHz")
    if capped:
        return warning(
            "; ".join(capped), "sudo nvpmodel -q --verbose  # set the fastest mode, then: sudo jetson_clocks"
        )
    if not seen:
        raise NotApplicable("the kernel reports no clocks")
    return ok(", ".join(seen))


def check_temperature(context: DoctorContext) -> Finding:
    """Whether the board is cool enough to process every frame, and does not throttle itself."""
    context.need_running()
    try:
        config = context.valid_settings.thermal
    except NotApplicable:
        config = ThermalConfig()
    facts = read_facts(context.machine.path(config.sysfs), config.zones)
    if not facts.temperatures_c:
        raise NotApplicable("no thermal zone can be read")
    zone, hottest_c = max(facts.temperatures_c.items(), key=lambda item: item[1])
    where, cool = (
        f"{zone} is at {hottest_c:.1f} C",
        "handmap status  # after cooling it with a fan, a heat sink or shade",
    )
    slowed = [name for name, is_slowed in facts.throttling.items() if is_slowed]
    if slowed:
        return failed(f"{where}, and the board throttles {', '.join(slowed)}", cool)
    if hottest_c >= config.hot_c:
        return failed(f"{where}: from {config.hot_c:g} C on, only every fourth frame is processed", cool)
    if hottest_c >= config.warm_c:
        return warning(f"{where}: from {config.warm_c:g} C on, only every second frame is processed", cool)
    events = ", ".join(f"{count} {name}" for name, count in facts.throttle_events.items() if count)
    if events:
        return warning(f"{where}, but the board has throttled since it was started: {events}", cool)
    return ok(where)


def check_disk(context: DoctorContext) -> Finding:
    """Whether there is room for engines and logs."""
    context.need_running()
    try:
        folder = context.cache_dir
        graphs = sum(precision.bytes for precision in context.whole_bundle.hand.precisions.values())
    except NotApplicable:
        folder, graphs = Path("/var"), 0
    while not context.machine.has(folder):
        folder = folder.parent
    wanted_mb = ROOM_MB + GRAPHS_BESIDE * graphs / MB
    answer = context.machine.run("df", "--block-size=1", "--output=avail", str(context.machine.path(folder)))
    free = answer.out.splitlines()[-1:] or [""]
    if not free[0].strip().isdigit():
        return warning(
            f"df does not report the free space at {str(folder)!r}: {answer.err}", f"df -h {context.here(folder)}"
        )
    free_mb = int(free[0]) / MB
    found = f"{free_mb:.0f} MB free at {str(folder)!r}"
    if free_mb < wanted_mb:
        return failed(
            f"{found}, wanted {wanted_mb:.0f} for an engine and the logs",
            "sudo apt clean && sudo journalctl --vacuum-size=50M; sudo journalctl --namespace=handmap --vacuum-size=50M",
        )
    return ok(found)


def check_memory(context: DoctorContext) -> Finding:
    """Whether there is enough memory for the daemon and for an engine build; a Jetson shares it with the GPU."""
    context.need_running()
    found = re.search(r"^MemAvailable:\s*(\d+) kB", context.machine.text("/proc/meminfo") or "", re.MULTILINE)
    if found is None:
        raise NotApplicable("the kernel does not report free memory")
    free_mb, free_it = int(found[1]) * 1024 / MB, "sudo systemctl isolate multi-user.target  # stops the desktop"
    if free_mb < MEMORY_MB[0]:
        return failed(f"{free_mb:.0f} MB free, the daemon needs {MEMORY_MB[0]}", free_it)
    if free_mb < MEMORY_MB[1]:
        return warning(f"{free_mb:.0f} MB free, building an engine needs {MEMORY_MB[1]}", free_it)
    return ok(f"{free_mb:.0f} MB free")


def check_clock(context: DoctorContext) -> Finding:
    """Whether the time of day is correct; joints do not need it, but logs and recordings do."""
    context.need_running()
    answer = context.machine.run("timedatectl", "show", "--property=NTPSynchronized", "--value")
    if answer.code != 0:
        raise NotApplicable(f"timedatectl failed: {answer.err}")
    if answer.out != "yes":
        return warning(
            "the time of day is not synchronized: times in logs and recordings can be wrong",
            "sudo timedatectl set-ntp true",
        )
    return ok("the time of day is synchronized")


def _speed(mode: str) -> float:
    """Sort key of power modes: MAXN_SUPER above MAXN above those named by their watts."""
    watts = re.match(r"(?:MODE_)?(\d+)W", mode)
    return 2e3 if mode == "MAXN_SUPER" else 1e3 if mode.startswith("MAXN") else float(watts[1]) if watts else 0.0


def _mhz(text: str | None, steps_a_mhz: float) -> float:
    return int(text) / steps_a_mhz if text is not None and text.isdigit() else 0.0


CHECKS: Final = (
    Check("power.mode", "power mode", check_power_mode),
    Check("power.clocks", "clocks of CPU and GPU", check_clocks),
    Check("temperature", "heat", check_temperature),
    Check("disk", "space for engines and logs", check_disk),
    Check("memory", "free memory", check_memory),
    Check("clock", "time of day", check_clock),
)
