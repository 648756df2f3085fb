"""The alerts are valid, fire for what they are about and for nothing else, and each is explained."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.monitoring.monitoring_files import ALERTS, FOLDER, PAGE, alerts
from tests.support.processes import ROOT

CASES = Path(__file__).parent / "alerts_test.yaml"
RUNBOOK = "file:///usr/share/doc/handmap/monitoring.md#"


@pytest.mark.parametrize(
    "words", [("check", "rules", ALERTS), ("check", "config", FOLDER / "prometheus.yaml")], ids=str
)
def test_promtool_accepts_the_files(tools: dict[str, Path], words: tuple[str, str, Path]) -> None:
    done = subprocess.run([tools["promtool"], *words], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_fires_for_what_is_ill_and_not_for_what_is_well(tools: dict[str, Path]) -> None:
    done = subprocess.run([tools["promtool"], "test", "rules", CASES], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: str(rule["alert"]))
def test_an_alert_that_never_fired_would_be_noticed(
    tools: dict[str, Path], tmp_path: Path, rule: dict[str, Any]
) -> None:
    text = ALERTS.read_text()
    silenced = tmp_path / "alerts.yaml"
    silenced.write_text(text.replace(f"alert: {rule['alert']}\n", f"alert: {rule['alert']}Elsewhere\n"))
    cases = tmp_path / "cases.yaml"
    cases.write_text(CASES.read_text().replace("../../configs/monitoring/alerts.yaml", str(silenced)))

    done = subprocess.run([tools["promtool"], "test", "rules", cases], capture_output=True, text=True, check=False)

    assert done.returncode != 0 and rule["alert"] in done.stdout + done.stderr


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: str(rule["alert"]))
def test_an_alert_says_what_is_wrong_and_where_that_is_explained(rule: dict[str, Any]) -> None:
    notes, name = rule["annotations"], rule["alert"]

    assert rule["labels"]["severity"] in ("critical", "warning")
    assert notes["summary"].startswith("{{ $labels.instance }}: ") and notes["description"].endswith(".")
    assert notes["runbook_url"] == RUNBOOK + name.lower()
    assert f"\n### {name}\n" in PAGE.read_text()


def test_no_alert_is_explained_that_is_gone() -> None:
    assert re.findall(r"^### (HandMap\w+)$", PAGE.read_text(), re.MULTILINE) == [rule["alert"] for rule in alerts()]


def test_each_alert_is_among_those_that_must_fire() -> None:
    cases = yaml.safe_load(CASES.read_text())["tests"]
    fired = {sample["labels"] for sample in cases[0]["promql_expr_test"][0]["exp_samples"]}

    assert [rule["alert"] for rule in alerts() if not any(f'"{rule["alert"]}"' in labels for labels in fired)] == []


def test_the_files_are_part_of_what_is_shipped() -> None:
    assert "graft configs" in (ROOT / "MANIFEST.in").read_text().splitlines()
