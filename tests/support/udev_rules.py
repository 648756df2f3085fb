"""What udev rules do to a device: matches, labels and jumps, as far as our rules use them."""

import fnmatch
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

KEY: Final = re.compile(r'([A-Z]+)(?:\{([\w/]+)\})?\s*(==|!=|\+=|=)\s*"([^"]*)"')


@dataclass
class Applied:
    """What the rules assigned: values by key, with the name in braces where there is one."""

    values: dict[str, str] = field(default_factory=dict)

    @property
    def started(self) -> list[str]:
        """The units that systemd starts."""
        return self.values.get("ENV{SYSTEMD_WANTS}", "").split() if "systemd" in self.values.get("TAG", "") else []


def apply_rules(rules: Path, facts: dict[str, str]) -> Applied:
    """What the rules do to a device with these facts, such as SUBSYSTEM and ATTR{idVendor}; absent ones are empty."""
    lines = [KEY.findall(line) for line in rules.read_text().splitlines() if line and not line.startswith("#")]
    applied, skip_to = Applied(), None
    for line in lines:
        named = [(f"{key}{{{name}}}" if name else key, sign, value) for key, name, sign, value in line]
        labels = [value for key, _, value in named if key == "LABEL"]
        if skip_to is not None and skip_to not in labels:
            continue
        skip_to = None
        if not all(_matches(facts.get(key, ""), sign, value) for key, sign, value in named if sign in ("==", "!=")):
            continue
        for key, sign, value in named:
            if key == "GOTO":
                skip_to = value
            elif sign == "+=":
                applied.values[key] = f"{applied.values.get(key, '')} {value}".strip()
            elif sign == "=" and key != "LABEL":
                applied.values[key] = value
    assert skip_to is None, f"no label {skip_to}"
    return applied


def _matches(fact: str, sign: str, pattern: str) -> bool:
    is_match = any(fnmatch.fnmatchcase(fact, one) for one in pattern.split("|"))
    return is_match == (sign == "==")
