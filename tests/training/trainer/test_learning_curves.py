"""Learning curves: of one run and several, ended or still going, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from matplotlib.image import imread

from handmap.types.errors import ConfigError
from training.commands import train
from training.trainer.learning_curves import read_history

FACTS = {"samples": 256, "mean_mm": 40.0, "median_mm": 37.0, "learning_rate": 1e-3, "pose_loss": 0.2, "maps_loss": 0.02}


def write_run(folder: Path, *facts: dict[str, float]) -> Path:
    """A run's folder with a history of these validations."""
    folder.mkdir()
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
    [(["--plot"], "--plot needs a run"), (["--with", "x"], "together with --plot"), ([], "Missing option '--config'")],
)
def test_options_that_do_not_go_together_are_refused(arguments: list[str], sentence: str) -> None:
    done = CliRunner().invoke(train, arguments)

    assert done.exit_code == 2 and sentence in done.output
