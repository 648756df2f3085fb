"""docs/monitoring.md lists the metrics as the daemon has them, and dashboard and alerts use no others."""

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from flash.contents import DOC, FOLDERS, SHARE
from handmap.engines.engine import GpuMemory
from handmap.system.notify import Notifier
from handmap.system.timing import StageClock
from runtime.control import ControlPort
from runtime.flight.facts import FlightFacts
from runtime.preview import Preview
from runtime.prometheus_metrics import metrics_page
from runtime.publish import open_publisher
from runtime.publish_config import ControlConfig, PublishConfig, TargetConfig
from runtime.quality import Quality
from runtime.reload import Reload
from runtime.settings import PreviewConfig, ThermalConfig
from runtime.snapshot import Sources
from runtime.state import DaemonStatus
from runtime.stats import StatsLog
from runtime.thermal import ThermalWatch
from tests.monitoring.monitoring_files import PAGE, alerts, dashboard, documented, metrics_in, queries
from tests.support.running import free_port
from tests.support.sensors import write_sensors

SUFFIXES = ("_bucket", "_sum", "_count")


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, frozenset[str]]]:
    """Kind and labels of every metric of a daemon that has all: a board's sensors, GPU, target, ports, recorder."""
    sysfs = tmp_path_factory.mktemp("sys")
    write_sensors(sysfs)
    notifier, clock, quality = Notifier(None), StageClock(), Quality()
    thermal = ThermalWatch(ThermalConfig(sysfs=sysfs), lambda _: None)
    thermal.read_once()
    clock.record("infer", 1)
    clock.record("age", 1)
    stats = StatsLog(clock, 10.0, quality)
    facts = Sources(DaemonStatus(notifier), clock, stats, thermal, Reload(None, notifier), quality, asked_rate_hz=30.0)
    facts.gpu_memory = lambda: GpuMemory(1, 2)
    facts.flight = lambda: FlightFacts(1, 1.0, 1, 0, 0, 0, 0, "", "", "")
    publisher = open_publisher(PublishConfig((TargetConfig("127.0.0.1", 9),)))
    control = ControlPort(ControlConfig("127.0.0.1", free_port()), None, 1, lambda: b"")
    facts.preview = Preview(PreviewConfig())
    facts.targets, facts.control = lambda: publisher.targets, lambda: control
    try:
        page = metrics_page(facts)().decode()
    finally:
        control.close()
        publisher.close()
    return {
        f"{each.name}_total" if each.type == "counter" else each.name: (
            each.type,
            frozenset(label for sample in each.samples for label in sample.labels if label != "le"),
        )
        for each in text_string_to_metric_families(page)
    }


def test_the_page_lists_every_metric_with_its_kind_and_labels(families: dict[str, tuple[str, frozenset[str]]]) -> None:
    stated = {}
    for name, row in documented().items():
        labels, kind, meaning = (part.strip() for part in row.split("|", 2))
        assert meaning and not meaning.endswith(".")
        stated[name] = (kind, frozenset(labels.split(", ")) - {""})

    assert stated == families


def test_units_are_those_of_prometheus(families: dict[str, tuple[str, frozenset[str]]]) -> None:
    units = ("seconds", "meters", "ratio", "bytes", "hertz", "celsius")
    with_unit = [name for name, (kind, _) in families.items() if kind == "histogram"]

    assert all(name.endswith(units) for name in with_unit)
    assert [name for name in families if re.search(r"_(ms|mm|mb|hz|percent|c)(_total)?$", name)] == []


def test_dashboard_and_alerts_name_only_metrics_that_exist(families: dict[str, tuple[str, frozenset[str]]]) -> None:
    series = set(families) | {
        name + suffix for name, (kind, _) in families.items() for suffix in SUFFIXES if kind == "histogram"
    }
    named = [*((title, text) for title, text in queries()), *((rule["alert"], rule["expr"]) for rule in alerts())]

    assert {where: gone for where, text in named if (gone := metrics_in(text) - series)} == {}


def test_each_metric_of_quality_is_on_the_dashboard() -> None:
    shown = {name for _, text in queries() for name in metrics_in(text)}
    bare = {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown}

    section = PAGE.read_text().split("### Quality\n")[1].split("\n### ")[0]
    listed = set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE)) - {"handmap_hands"}
    assert listed and listed <= bare


def test_rows_are_named_as_on_the_dashboard() -> None:
    rows = [panel["title"] for panel in dashboard()["panels"] if panel["type"] == "row"]
    table = PAGE.read_text().split("| row | shows |")[1].split("\n\n")[0]

    assert re.findall(r"^\| ([A-Z][\w ]+) \|", table, re.MULTILINE) == rows


def test_panels_fill_the_width_and_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells
        taken |= cells
    assert len({panel["id"] for panel in dashboard()["panels"]}) == len(dashboard()["panels"])


def test_the_page_is_shipped_where_the_alerts_say() -> None:
    assert FOLDERS["docs"] == DOC and FOLDERS["configs/monitoring"] == f"{SHARE}/monitoring"
    assert all(rule["annotations"]["runbook_url"].startswith(f"file:///{DOC}/monitoring.md#") for rule in alerts())
