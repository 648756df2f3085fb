"""A made-up /sys with the sensors of a board that is warm, but not too warm."""

from pathlib import Path


def write_sensors(sysfs: Path) -> None:
    """A thermal zone, an alert that is off, a counter of throttling and a CPU's clock."""
    files = {
        "class/thermal/thermal_zone0/type": "cpu-thermal",
        "class/thermal/thermal_zone0/temp": 61500,
        "class/thermal/cooling_device0/type": "gpu-throttle-alert",
        "class/thermal/cooling_device0/cur_state": 0,
        "class/hwmon/hwmon0/name": "soctherm_oc",
        "class/hwmon/hwmon0/oc3_event_cnt": 0,
        "devices/system/cpu/cpufreq/policy0/scaling_cur_freq": 729600,
        "devices/system/cpu/cpufreq/policy0/cpuinfo_max_freq": 1510400,
    }
    for name, value in files.items():
        path = sysfs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")
