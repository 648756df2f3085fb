"""Scoring result files of public data sets, by the command and against values computed by hand."""

import json
import os
import re
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from click.testing import CliRunner, Result

from handmap.types.errors import ConfigError, DatasetError, HandmapError
from training.commands import evaluate
from training.datasets.published import PUBLISHED_SETS
from training.evaluation.commands import WAYS
from training.evaluation.predictions import evaluate_predictions, name_files, predictions_table

from .result_files import PUBLISHED_RESULTS, ROOT, joints_of, write_joints

PUBLISHED_MEANS_MM = {
    "nyu/CVPR18_NYU_V2V_PoseNet.txt": 8.419, "nyu/NEUCOM18_NYU_Pose_REN.txt": 11.811, "nyu/ICCVW17_NYU_DeepPrior++.txt": 12.238,
    "icvl/NEUCOM18_ICVL_Pose_REN.txt": 6.791, "icvl/CVPR14_LRF_Results.txt": 12.578,
}  # fmt: skip


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(evaluate, [str(word) for word in words])


def of_file(figures: dict[str, object], name: str) -> dict[str, Any]:
    return cast(dict[str, dict[str, Any]], figures["predictions"])[name]


@pytest.mark.parametrize(("name", "mean_mm"), PUBLISHED_MEANS_MM.items())
def test_published_result_files_have_their_published_means(name: str, mean_mm: float) -> None:
    path = PUBLISHED_RESULTS / name
    if not path.is_file():
        pytest.skip("the result files of others are in no repository; name their folder in HANDMAP_PUBLISHED_RESULTS")
    dataset = path.parent.name
    labels = path.parent / f"{dataset}_test_groundtruth_label.txt"

    done = run("--predictions", path, "--labels", labels, "--dataset", dataset, "--json")

    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    assert of_file(figures, path.stem)["mean_mm"] == pytest.approx(mean_mm, abs=0.01)  # mm
    assert figures["frames"] == figures["published_frames"] == PUBLISHED_SETS[dataset].test_frames
    assert mean_mm in {one.mean_mm for one in PUBLISHED_SETS[dataset].means}


@pytest.mark.parametrize("dataset", PUBLISHED_SETS)
def test_an_error_is_the_distance_in_space(dataset: str, tmp_path: Path) -> None:
    camera = PUBLISHED_SETS[dataset].evaluator_intrinsics
    truth = joints_of(dataset, 2)
    truth[..., 2] = 500
    found = truth.copy()
    found[0, 0, 0] += 30 * camera.fx_px / 500  # 30 mm to the right
    found[0, 0, 1] += 40 * camera.fy_px / 500  # and 40 mm down
    found[1, 1] = [camera.cx_px, camera.cy_px, 512]  # on the optical axis, 12 mm behind
    truth[1, 1] = [camera.cx_px, camera.cy_px, 500]
    files = [write_joints(tmp_path / name, joints) for name, joints in (("p.txt", found), ("l.txt", truth))]

    figures = of_file(evaluate_predictions([str(files[0])], files[1], dataset), "p")

    joints = len(PUBLISHED_SETS[dataset].joint_names)
    assert figures["mean_mm"] == pytest.approx(62 / (2 * joints), abs=0.001)  # mm; of three decimals of a pixel
    means = list(figures["per_joint_mm"].values())
    assert means == pytest.approx([25, 6] + [0] * (joints - 2), abs=0.002)
    assert figures["worst_joint"] == PUBLISHED_SETS[dataset].joint_names[0]
    assert (figures["within_20mm"], figures["within_40mm"]) == (0.5, 0.5)
    assert figures["success_auc"]["max_frame"] == pytest.approx((30 / 80 + 68 / 80) / 2, abs=0.001)


def test_facts_of_the_sets_are_whole() -> None:
    assert {name: (len(one.joint_names), one.test_frames) for name, one in PUBLISHED_SETS.items()} == {
        "nyu": (14, 8252), "icvl": (16, 1596), "msra": (21, 76375),
    }  # fmt: skip
    for one in PUBLISHED_SETS.values():
        assert len(set(one.joint_names)) == len(one.joint_names)
        assert list(one.means) == sorted(one.means, key=lambda mean: mean.mean_mm)
    option = next(option for option in evaluate.params if option.name == "dataset")
    assert list(option.type.choices) == list(PUBLISHED_SETS)  # type: ignore[attr-defined]  # a Choice has them


def test_several_files_are_several_columns_and_a_subset_says_so(tmp_path: Path) -> None:
    labels = write_joints(tmp_path / "l.txt", joints_of("icvl", 4))
    near = write_joints(tmp_path / "near.txt", joints_of("icvl", 4) + np.array([0, 0, 10]))

    done = run("--predictions", labels, "--predictions", f"a method={near}", "--labels", labels, "--dataset", "icvl")

    assert done.exit_code == 0, done.output
    assert "ICVL's published test split has 1,596 frames and these labels 4" in done.stdout
    assert "must not be compared" in done.stdout
    head = next(line for line in done.stdout.splitlines() if "a method" in line)
    assert head.split(maxsplit=1) == ["l", "a method"]
    mean = next(line for line in done.stdout.splitlines() if line.startswith("mean, mm"))
    assert mean.split()[2] == "0.000" and 10 < float(mean.split()[3]) < 13  # mm; oblique rays are longer


@pytest.mark.parametrize(
    ("frames", "sentence"),
    [(1, r"p\.txt', line 2: the predictions end after 1 frame; wanted"),
     (3, r"p\.txt', line 4: the predictions end after 3 frames; wanted one for each of the 5 lines of '.*l\.txt'"),
     (7, r"p\.txt', line 6: there are 7 predictions; wanted one for each line of '.*l\.txt', 5; remove")],
)  # fmt: skip
def test_another_number_of_frames_is_refused_by_line(frames: int, sentence: str, tmp_path: Path) -> None:
    labels = write_joints(tmp_path / "l.txt", joints_of("nyu", 5))
    path = write_joints(tmp_path / "p.txt", joints_of("nyu", frames))

    with pytest.raises(DatasetError, match=sentence):
        evaluate_predictions([str(path)], labels, "nyu")


def test_a_fault_in_the_labels_names_the_label_file(tmp_path: Path) -> None:
    path = write_joints(tmp_path / "p.txt", joints_of("nyu", 2))
    write_joints(tmp_path / "l.txt", joints_of("nyu", 2) * [1, 1, -1])

    done = run("--predictions", path, "--labels", tmp_path / "l.txt", "--dataset", "nyu")

    assert isinstance(done.exception, HandmapError) and "l.txt', line 1: it has d = -" in str(done.exception)


def test_names_of_files() -> None:
    words = ["a/b=c.txt", "Ours=a/b=c.txt", "./x=y.txt", "of\udcff\n.txt"]

    assert name_files(words) == {
        "b=c": Path("a/b=c.txt"), "Ours": Path("a/b=c.txt"), "x=y": Path("x=y.txt"), "of\\udcff\\n": Path("of\udcff\n.txt"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "fault"),
    [(["a/p.txt", "b/p.txt"], "'p' is the name of two files"), (["=p.txt"], "the name is empty"), ([""], "the name is empty")],
)  # fmt: skip
def test_names_that_do_not_tell_files_apart_are_refused(words: list[str], fault: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(fault) + ".*--predictions NAME=FILE"):
        name_files(words)


OPTIONS = {
    "--bundle": ["b"], "--data": ["synthetic:val"], "--sequence": ["two-hands"], "--predictions": ["p.txt"], "--labels": ["l.txt"],
    "--dataset": ["nyu"], "--precision": ["fp32"], "--threads": ["1"], "--frames": ["3"], "--handedness": ["right"],
    "--defaults": ["run"], "--quick": [],
    "--skeleton": [], "--sheet": ["s.png"], "--report": ["r"],
}  # fmt: skip


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("chosen", WAYS)
def test_every_option_belongs_to_a_way_or_is_refused_with_the_one_that_it_belongs_to(
    chosen: str, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    way = WAYS[chosen]
    words = [word for name in {chosen, *way.needs, option} for word in (name, *OPTIONS[name])]

    done = run(*words)

    if option in (chosen, *way.needs, *way.takes):
        assert isinstance(done.exception, HandmapError), "refused only because there is no such file"
    elif option in WAYS:
        assert done.exit_code == 2 and all(other.example in done.output for other in WAYS.values())
    else:
        assert done.exit_code == 2 and f"{option} has no meaning with {chosen}" in done.output
        assert any(other.example in done.output for other in WAYS.values() if option in (*other.needs, *other.takes))


def test_every_option_is_in_the_table_of_ways() -> None:
    known = {option.opts[0] for option in evaluate.params} - {"--json"}

    assert known == set(OPTIONS) == {name for chosen, way in WAYS.items() for name in (chosen, *way.needs, *way.takes)}


@pytest.mark.parametrize(
    ("words", "missing"), [(["--data", "x:y"], "--bundle"), (["--predictions", "p"], "--labels, --dataset")]
)
def test_what_is_missing_is_named(words: list[str], missing: str) -> None:
    done = run(*words)

    assert done.exit_code == 2 and f"{words[0]} needs {missing}; for example: handmap evaluate" in done.output


def test_the_report_has_plots_and_one_page_and_replaces_only_a_report(tmp_path: Path) -> None:
    labels = write_joints(tmp_path / "l.txt", joints_of("nyu", 3))
    out = tmp_path / "r"
    words: list[str | Path] = [
        "--predictions",
        f"<b>$x_1$={labels}",
        "--labels",
        labels,
        "--dataset",
        "nyu",
        "--report",
        out,
    ]

    first, again = run(*words), run(*words)
    (out / "mine.txt").write_text("weeks")
    refused = run(*words)

    assert first.exit_code == again.exit_code == 0, first.output + again.output
    assert sorted(os.listdir(out)) == [
        "curves.png",
        "curves.svg",
        "index.html",
        "mine.txt",
        "per_joint.png",
        "per_joint.svg",
    ]
    assert isinstance(refused.exception, ConfigError)
    assert "holds 'mine.txt'" in str(refused.exception) and "choose another --report" in str(refused.exception)
    page = (out / "index.html").read_text()
    assert "<b>$x_1$" not in page and "&lt;b&gt;$x_1$" in page
    assert (
        "must not be compared" in page
        and 'src="data:image/svg+xml;base64,' in page
        and "http" not in page.split("base64")[0]
    )
    assert sorted(os.listdir(tmp_path)) == ["l.txt", "r"]


def test_a_folder_with_somebody_elses_page_is_not_replaced(tmp_path: Path) -> None:
    labels = write_joints(tmp_path / "l.txt", joints_of("nyu", 3))
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "index.html").write_text("<!doctype html><html><body>mine</body></html>")

    with pytest.raises(ConfigError, match=r"holds 'index\.html'"):
        evaluate_predictions([str(labels)], labels, "nyu", tmp_path / "r")


def test_on_the_published_split_the_report_has_published_means(tmp_path: Path) -> None:
    frames = PUBLISHED_SETS["icvl"].test_frames
    labels = write_joints(tmp_path / "l.txt", joints_of("icvl", frames))
    near = write_joints(tmp_path / "near.txt", joints_of("icvl", frames) + np.array([0, 0, 6]))

    figures = evaluate_predictions([f"_ours={near}"], labels, "icvl", tmp_path / "r")

    assert "and so have these labels" in predictions_table(figures)
    assert {"published.svg", "published.png"} < set(os.listdir(tmp_path / "r"))
    page = (tmp_path / "r" / "index.html").read_text()
    assert (
        "<td>Pose\N{NON-BREAKING HYPHEN}REN\N{NO-BREAK SPACE}(Neurocomputing\N{NO-BREAK SPACE}2018)</td><td>6.791</td>"
        in page
    )
    assert f"<td>{of_file(figures, '_ours')['mean_mm']:.3f}</td>" in page


def test_a_report_is_the_same_in_every_run(tmp_path: Path) -> None:
    labels = write_joints(tmp_path / "l.txt", joints_of("msra", 3))
    moved = write_joints(tmp_path / "p.txt", joints_of("msra", 3) + np.array([2, 3, 10]))
    for name in ("a", "b"):
        evaluate_predictions([str(moved)], labels, "msra", tmp_path / name)

    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_the_published_means_of_the_documentation_are_those_of_the_code() -> None:
    means: dict[tuple[str, str], dict[str, float]] = {}
    for name, one in PUBLISHED_SETS.items():
        for mean in one.means:
            means.setdefault((mean.method, mean.venue), {})[name] = mean.mean_mm
    rows = [
        f"| {method} | {venue} | {' | '.join(f'{by_set[name]:.3f}' if name in by_set else '-' for name in PUBLISHED_SETS)} |"
        for (method, venue), by_set in means.items()
    ]

    page = (ROOT / "docs/evaluation.md").read_text()
    table = page.partition("| method | published in | NYU | ICVL | MSRA15 |\n|---|---|---|---|---|\n")[2].partition(
        "\n\n"
    )[0]
    assert table.splitlines() == rows
