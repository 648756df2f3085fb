"""The files of configs/monitoring: alerts, queries of the dashboard, and the metrics that they name."""

import json
import re
from pathlib import Path
from typing import Any, Final

import yaml

from tests.support.processes import ROOT

FOLDER: Final = ROOT / "configs" / "monitoring"
ALERTS: Final = FOLDER / "alerts.yaml"
DASHBOARD: Final = FOLDER / "dashboard.json"
PAGE: Final = ROOT / "docs" / "monitoring.md"
METRIC: Final = re.compile(r"\b(?:handmap|process)_[a-z_]+")


def alerts() -> list[dict[str, Any]]:
    """The alerting rules."""
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """The dashboard's panels, without the rows between them."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana imports it."""
    found: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return found


def queries() -> list[tuple[str, str]]:
    """Title and query of each target of each panel."""
    return [(panel["title"], target["expr"]) for panel in panels() for target in panel["targets"]]


def metrics_in(text: str) -> set[str]:
    """The names of series in a query."""
    return set(METRIC.findall(text))


def documented(page: Path = PAGE) -> dict[str, str]:
    """The metrics in the first column of the page's tables, as written, each with the rest of its row."""
    rows = re.findall(r"^\| `((?:handmap|process)_\w+)`(?: \{([\w, ]+)\})? \| (.+) \|$", page.read_text(), re.MULTILINE)
    return {name: f"{labels}|{rest}" for name, labels, rest in rows}
