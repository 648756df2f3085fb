"""Learning curves: of one run and several, ended or still going, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from matplotlib.image import imread

from handmap.types.errors import ConfigError
from training.commands import train
from training.trainer.learning_curves import draw_learning_curves, read_history
from training.trainer.legend_names import shown_names

FACTS = {"samples": 256, "mean_mm": 40.0, "median_mm": 37.0, "learning_rate": 1e-3, "pose_loss": 0.2, "maps_loss": 0.02}


def write_run(folder: Path, *facts: dict[str, float]) -> Path:
    """A run's folder with a history of these validations."""
    folder.mkdir(parents=True)
    (folder / "history.jsonl").write_text("".join(json.dumps({**FACTS, **one}) + "\n" for one in facts))
    return folder


def plot(*arguments: str | Path) -> Result:
    return CliRunner().invoke(train, [str(argument) for argument in ("--plot", *arguments)])


def test_the_curves_of_runs_are_drawn_into_the_first(tmp_path: Path) -> None:
    first = write_run(tmp_path / "first", {}, {"samples": 512, "mean_mm": 30.0}, {"samples": 768, "mean_mm": 31.0})
    second = write_run(tmp_path / "second", {"maps_loss": 0.0})

    done = plot("--out", first, "--with", second)

    assert done.exit_code == 0, done.output
    assert done.output.split() == [str(first / f"learning_curves.{kind}") for kind in ("png", "svg")]
    picture = np.rint(255 * imread(first / "learning_curves.png"))[..., :3]
    for color in ((0x3B, 0x7D, 0xD8), (0xD8, 0x61, 0x3B)):
        assert (picture == color).all(axis=2).any()
    drawn = (first / "learning_curves.svg").read_text()
    assert "<!-- first: 30.00 mm at 512 -->" in drawn and "<!-- second: 40.00 mm at 256 -->" in drawn
    assert not (second / "learning_curves.png").exists()


def test_a_configuration_names_the_run_too(tmp_path: Path) -> None:
    write_run(tmp_path / "run", {})
    (tmp_path / "c.yaml").write_text("total_samples: 512\nout: run\n")

    done = plot("--config", tmp_path / "c.yaml")

    assert done.exit_code == 0, done.output
    assert (tmp_path / "run" / "learning_curves.png").exists()


def test_what_a_resumed_run_did_again_counts_once(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {}, {"samples": 512, "mean_mm": 30.0}, {"samples": 512, "mean_mm": 29.0})

    history = read_history(run)

    assert [(facts["samples"], facts["mean_mm"]) for facts in history] == [(256, 40.0), (512, 29.0)]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read .No such file or directory.; name the folder of a run"),
        ("", "is empty; wait until the run has validated once"),
        (json.dumps(FACTS) + '\n{"samples": \n', "line 2: .+; remove the line"),
        ('{"samples": 4, "recall": 0.5}\n', "line 1: found no 'mean_mm'; name the folder of a run of `handmap train`"),
    ],
)
def test_a_folder_without_a_history_of_a_run_is_refused(tmp_path: Path, content: str | None, sentence: str) -> None:
    if content is not None:
        (tmp_path / "history.jsonl").write_text(content)

    with pytest.raises(ConfigError, match=sentence):
        read_history(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--plot"], "--plot needs a run"),
        (["--plot", "--out", "x", "--config", "c.yaml"], "found both; leave one of them out"),
        (["--with", "x"], "together with --plot"),
        ([], "Missing option '--config'"),
    ],
)
def test_options_that_do_not_go_together_are_refused(arguments: list[str], sentence: str) -> None:
    done = CliRunner().invoke(train, arguments)

    assert done.exit_code == 2 and sentence in done.output


def test_runs_with_the_same_folder_names_are_told_apart(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / place / "a" / "run", {}) for place in ("x", "y")]
    other = write_run(tmp_path / "b" / "run", {})

    done = plot("--out", runs[0], "--with", runs[1], "--with", other)

    assert done.exit_code == 0, done.output
    drawn = (runs[0] / "learning_curves.svg").read_text()
    assert all(f"<!-- {name}: 40.00 mm at 256 -->" in drawn for name in ("x/a/run", "y/a/run", "b/run"))


@pytest.mark.parametrize("name", ["_hidden", "$dollar^", "\u65b9\u6cd5", "l" * 150])
def test_a_run_of_any_name_has_an_entry(tmp_path: Path, name: str) -> None:
    first, odd = write_run(tmp_path / "first", {}), write_run(tmp_path / name, {})

    both, alone = plot("--out", first, "--with", odd), plot("--out", odd)

    assert (both.exit_code, alone.exit_code) == (0, 0), both.output + alone.output
    drawn, (shown,) = (first / "learning_curves.svg").read_text(), shown_names([name])
    assert f"<!-- {shown}: 40.00 mm at 256 -->" in drawn


def test_a_run_that_is_named_twice_is_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {})
    (tmp_path / "link").symlink_to(run)

    with pytest.raises(ConfigError, match=r"again in --with '.*link', wanted other runs; leave it out"):
        draw_learning_curves([run, tmp_path / "link"], run)


def test_long_names_lose_their_middle_and_stay_different() -> None:
    names = ["a" * 30 + middle + "z" * 30 for middle in "pq"] + ["tab\there", "short", "\u624b"]

    shown = shown_names(names)

    assert shown == [f"{'a' * 20}\u2026{'z' * 19} ({number})" for number in (1, 2)] + ["tab\\there", "short", "\\u624b"]
