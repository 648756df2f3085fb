"""`handmap inspect` shows what is read and why; what it advises works."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from click.testing import CliRunner, Result

from handmap.files.images import write_depth_png
from runtime.commands import inspect
from tests.support.bags import DEPTH_TOPIC, PERIOD_NS, START_NS, InfoFacts, depth_of, frames, image, write_bag


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(inspect, [str(word) for word in words])


def test_report_has_topics_choices_and_steps(tmp_path: Path) -> None:
    times_ns = [START_NS + n * PERIOD_NS + (3600 * 10**9 if n >= 20 else 0) for n in range(40)]
    path = write_bag(tmp_path / "bag", frames(times_ns=times_ns, facts=InfoFacts(d=(-0.1, 0.0, 0.0, 0.0, 0.0))))

    done = run(path, "--json", "--sheet", tmp_path / "sheet.png")

    report = json.loads(done.output)
    assert done.exit_code == 0 and (tmp_path / "sheet.png").stat().st_size > 200
    assert {one["topic"]: one["messages"] for one in report["topics"]}[DEPTH_TOPIC] == 40
    assert (report["topic"], report["frames"], report["depth_unit_mm"]) == (DEPTH_TOPIC, 40, 1.0)
    assert [one["frame"] for one in report["clock_steps"]] == [20]
    assert abs(report["fps"] - 30) < 0.01
    assert report["distortion_undone"]["model"] == "plumb_bob"
    assert report["depth_histogram"]["300-500"] > 0.05
    assert set(report["why"]) == {"topic", "intrinsics", "unit", "clock"}


def test_text_says_the_same(tmp_path: Path) -> None:
    done = run(write_bag(tmp_path / "bag", frames()))

    assert done.exit_code == 0
    assert "the only one with depth" in done.output and "clock steps none" in done.output


def test_wrong_unit_is_suspected_until_it_is_stated(tmp_path: Path) -> None:
    entries = frames(make=lambda time_ns, depth: image(time_ns, depth * np.uint16(10)))
    path = write_bag(tmp_path / "bag", entries)

    assert "depth is from 4000 to 9000 mm" in run(path).output
    assert "note" not in run(path, "--depth-unit-mm", "0.1").output


def test_unreadable_depth_is_explained_and_the_advice_works(tmp_path: Path) -> None:
    two = frames() + [replace(one, topic=one.topic.replace("/cam/", "/b/")) for one in frames(facts=InfoFacts(0.0))]
    path = write_bag(tmp_path / "bag", two)

    assert run(path).exit_code == 1 and "--topic" in run(path).output
    assert run(path, "--topic", DEPTH_TOPIC).exit_code == 0
    assert run(path, "--topic", "/b/depth/image_rect_raw", "--intrinsics", "60,60,31.5,23.5").exit_code == 0


def test_folder_of_pngs_is_inspected(tmp_path: Path) -> None:
    for number in range(3):
        write_depth_png(tmp_path / f"{number}.png", depth_of(number))

    report = json.loads(run(tmp_path, "--json", "--intrinsics", "60,60,31.5,23.5").output)

    assert report["files"] == ["0.png", "2.png"] and report["intrinsics"]["fx_px"] == 60
