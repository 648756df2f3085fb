"""Every query of the dashboard and of the alerts, run by a real Prometheus over a daemon that tracks the demo's hand."""

import json
import re
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.monitoring.monitoring_files import alerts, dashboard, queries
from tests.support.processes import ROOT, started
from tests.support.running import free_port, wait_for
from tests.support.sensors import write_sensors
from tests.support.tiny_bundle import write_config

# What this machine does not have.
ABSENT = (
    "handmap_gpu_memory_used_bytes", "handmap_gpu_memory_bytes",  # without a GPU
)  # fmt: skip
SCRAPES = 6


class Prometheus:
    """A running Prometheus."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples of an instant query."""
        asked = urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(f"{self._url}/api/v1/query?{asked}", timeout=60) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            return found


@pytest.fixture(scope="module")
def prometheus(tools: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """One that has read a tracking daemon a few times; it starts first, as its server takes a while."""
    folder = tmp_path_factory.mktemp("prometheus")
    telemetry, port = free_port(), free_port()
    text = (ROOT / "configs/monitoring/prometheus.yaml").read_text()
    rules = ROOT / "configs/monitoring/alerts.yaml"
    text = (
        text.replace("127.0.0.1:9400", f"127.0.0.1:{telemetry}").replace("alerts.yaml", str(rules)).replace("15s", "1s")
    )
    (folder / "prometheus.yaml").write_text(text)
    config = write_config(
        folder / "c.yaml", ROOT / "models/handmap-hand21", ROOT / "models/demo_recording", 9, telemetry=telemetry
    )
    text = config.read_text().replace("skeleton: {enabled: false}", "skeleton: {enabled: true}")
    text += f"thermal: {{sysfs: {folder / 'sys'}}}\n"
    write_sensors(folder / "sys")
    config.write_text(
        text.replace("publish: {", "publish: {control: {bind: 127.0.0.1, port: CONTROL}, ").replace(
            "CONTROL", str(free_port())
        )
    )
    command: list[str | Path] = [
        tools["prometheus"], f"--config.file={folder / 'prometheus.yaml'}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
    ]  # fmt: skip
    with started("run", "--config", config), (folder / "log").open("w") as log:
        wait_for(telemetry, lambda now: now.state == "TRACKING", 60)
        server = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            asked = Prometheus(port)
            _await_scrapes(asked, folder / "log")
            yield asked
        finally:
            server.kill()
            server.wait()


def _await_scrapes(asked: Prometheus, log: Path) -> None:
    end_s = time.monotonic() + 40
    wanted = f"count_over_time(handmap_frames_with_hand_total[1m]) >= {SCRAPES} and handmap_frames_with_hand_total > 0"
    while time.monotonic() < end_s:
        try:
            if asked.query(wanted):
                return
        except OSError:  # not listening yet
            pass
        time.sleep(0.2)
    raise AssertionError(f"Prometheus has not read the daemon {SCRAPES} times: {log.read_text()}")


def filled(expression: str) -> str:
    """The query as Grafana sends it for the job handmap, all daemons."""
    for name, value in {"$job": "handmap", "$instance": ".+", "$__rate_interval": "10s"}.items():
        expression = expression.replace(name, value)
    assert "$" not in expression
    return expression


@pytest.mark.parametrize(("title", "expression"), queries(), ids=lambda text: str(text)[:60])
def test_a_panel_has_something_to_show(prometheus: Prometheus, title: str, expression: str) -> None:
    found = prometheus.query(filled(expression))

    is_absent = any(name in expression for name in ABSENT)
    assert bool(found) is not is_absent, f"{title}: {expression}"
    assert all(sample["value"][1] != "NaN" for sample in found) or "quantile" in expression


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: str(rule["alert"]))
def test_the_names_in_an_alert_are_series_of_the_daemon(prometheus: Prometheus, rule: dict[str, Any]) -> None:
    """Each selector by itself finds something, so that a comparison is what decides."""
    names = {word for word in _selectors(rule["expr"]) if not any(gone in word for gone in ABSENT)}

    assert names
    assert [name for name in names if not prometheus.query(name)] == []


def test_the_variables_offer_the_running_daemon(prometheus: Prometheus) -> None:
    job, instance = (variable["query"]["query"] for variable in dashboard()["templating"]["list"][1:])

    assert job == "label_values(handmap_info, job)" and instance == 'label_values(handmap_info{job="$job"}, instance)'
    (info,) = prometheus.query('handmap_info{job="handmap"}')
    assert info["metric"]["instance"].startswith("127.0.0.1:")


def _selectors(expression: str) -> list[str]:
    return re.findall(r"\b(?:up|handmap_\w+|process_\w+)\b(?:\{[^}]*\})?", expression)
