"""The ablation in short: trained, measured, put into tables and drawn; and that its page holds the tables of its figures."""

import re
from pathlib import Path

import msgspec
import numpy as np
import pytest

from docs.measured import ablation
from docs.measured.ablation import RunName, main, measure, runs_named, train_run, with_budget, with_earlier
from docs.measured.ablation_figures import HeldOut, ause, found_share, make_held_out, rank_correlation, score_signals
from docs.measured.ablation_page import FIRST, LAST, all_tables, put_tables
from docs.measured.ablation_plot import draw
from docs.measured.ablation_results import HEADS, KINDS, Ablation, spread
from handmap.bundle.confidence_fit import KnownLooks
from handmap.files.reading import encode_json, read_json
from handmap.system.config import read_config
from handmap.types.errors import ConfigError
from training.network.network import NetworkConfig
from training.samples.sample_cache import CacheConfig
from training.trainer.train_config import TrainConfig
from training.trainer.validate import make_validation_set

RUNS = ("votes-edt2m-1", "votes-none-1", "fully_connected-none-1")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """Tiny runs with and without maps, and of both heads, from one cache, and one that has not ended."""
    folder = tmp_path_factory.mktemp("ablation")
    config = TrainConfig(
        total_samples=128,
        out=folder / "runs",
        batch_samples=16,
        warmup_samples=64,
        validation_samples=64,
        validate_every_samples=64,
        network=NetworkConfig(features=16),
        cache=CacheConfig(folder=folder / "cache", shard_samples=64, window_shards=2),
    )
    for run in runs_named(list(RUNS)):
        train_run(run, config)
    (folder / "runs/votes-edt2-1").mkdir()
    return config


@pytest.fixture(scope="module")
def found(base: TrainConfig) -> Ablation:
    return measure(base.out, make_held_out(64, 4, base.cube_mm))


def test_finished_runs_are_measured(found: Ablation) -> None:
    assert set(found.runs) == set(RUNS)
    assert (found.total_samples, found.rendered_samples, found.val_hands) == (128, 64, 4)
    for run in found.runs.values():
        assert [point.samples for point in run.history] == [64, 128]
        assert all(5 < errors.mean_mm < 200 for errors in run.held_out.errors.values())
    signals = {name: set(run.held_out.signals) for name, run in found.runs.items()}
    assert signals == {
        "votes-edt2m-1": {"maps", "spread", "both"},
        "votes-none-1": {"spread"},
        "fully_connected-none-1": set(),
    }


def test_the_weights_that_are_measured_are_the_best_of_the_run(base: TrainConfig) -> None:
    validation = make_validation_set(base)

    found = measure(base.out, HeldOut(validation, validation))

    for run in found.runs.values():
        assert run.held_out.errors["rendered"].mean_mm == pytest.approx(run.best.mean_mm, abs=0.002)


def test_figures_become_tables_and_a_picture(found: Ablation, tmp_path: Path) -> None:
    figures, page, picture = (tmp_path / f"ablation.{kind}" for kind in ("json", "md", "png"))
    figures.write_bytes(encode_json(found))
    page.write_text(f"before\n\n{FIRST}\nold\n{LAST}\n\nafter\n")

    put_tables(page, read_json(figures, Ablation))
    draw(picture, read_json(figures, Ablation))

    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert text.count("not run") == len(HEADS) * len(KINDS) - len(RUNS)
    error = found.runs["votes-none-1"].held_out.errors["rendered"].mean_mm
    assert f"| {error:.2f} |" in text
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_an_ended_run_is_left_alone_and_not_extended(base: TrainConfig) -> None:
    run = RunName("votes", "none", 1)
    before = (base.out / str(run) / "handmap.pt2").stat().st_mtime_ns

    train_run(run, base)

    assert (base.out / str(run) / "handmap.pt2").stat().st_mtime_ns == before
    with pytest.raises(
        ConfigError, match="an ended run of 128 samples, wanted one of 256; name another folder by --runs"
    ):
        train_run(run, msgspec.structs.replace(base, total_samples=256))


def test_runs_of_two_budgets_are_not_compared(base: TrainConfig, tmp_path: Path) -> None:
    for name in RUNS[:2]:
        (tmp_path / name).mkdir()
        for path in (base.out / name).iterdir():
            (tmp_path / name / path.name).write_bytes(path.read_bytes())
    facts = tmp_path / RUNS[1] / "handmap.json"
    facts.write_text(facts.read_text().replace('"total_samples": 128', '"total_samples": 256'))

    with pytest.raises(ConfigError, match="differ in more than head, maps and seed"):
        measure(tmp_path, make_held_out(64, 4, base.cube_mm))


def test_figures_of_earlier_runs_stay_and_newer_ones_of_the_same_run_count(found: Ablation) -> None:
    name, *others = found.runs
    before = msgspec.structs.replace(
        found,
        runs={name: msgspec.structs.replace(found.runs[name], commit="before"), "votes-dist2-3": found.runs[name]},
    )

    both = with_earlier(found, before)

    assert set(both.runs) == {name, *others, "votes-dist2-3"}
    assert both.runs[name].commit == found.runs[name].commit
    with pytest.raises(ConfigError, match="move it away to begin anew"):
        with_earlier(found, msgspec.structs.replace(before, total_samples=1))


def test_a_run_under_another_name_is_refused(base: TrainConfig, tmp_path: Path) -> None:
    (base.out / RUNS[1]).rename(tmp_path / RUNS[0])
    try:
        with pytest.raises(ConfigError, match="holds the run votes-none-1; rename the folder"):
            measure(tmp_path, make_held_out(64, 4, base.cube_mm))
    finally:
        (tmp_path / RUNS[0]).rename(base.out / RUNS[1])


def test_an_unknown_run_is_refused() -> None:
    with pytest.raises(ConfigError, match="there is no run 'votes-edt3-1'; use all"):
        runs_named(["votes-edt3-1"])


def test_another_budget_has_a_folder_of_its_own(base: TrainConfig, tmp_path: Path) -> None:
    longer = with_budget(base, 1280, None)

    assert (longer.total_samples, longer.out) == (1280, base.out.parent / "runs_1280")
    assert with_budget(base, 1280, tmp_path).out == tmp_path
    assert with_budget(base, None, None) == base


def test_a_budget_of_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "all", "--samples", "0"])

    assert "argument --samples" in capsys.readouterr().err


def test_all_runs_are_every_head_kind_and_seed() -> None:
    assert len({str(run) for run in runs_named(["all"])}) == 2 * 6 * 3


def test_the_page_holds_the_tables_of_the_figures() -> None:
    kept = read_json(ablation.FIGURES, Ablation)
    tables = ablation.PAGE.read_text().partition(FIRST)[2].partition(LAST)[0]

    assert tables.strip() == all_tables(kept)
    assert kept.total_samples == read_config(ablation.CONFIG, TrainConfig).total_samples
    assert re.search(r"\]\(ablation\.png\)", ablation.PAGE.read_text())


def made_up_looks(count: int, random: np.random.Generator) -> KnownLooks:
    """Hands whose errors follow the maps and not the votes, and as many negatives with low maps."""
    landed = random.uniform(size=(2 * count, 21))
    landed[count:] *= 0.2
    error_mm = 60 * (1 - landed)
    error_mm[count:] = np.nan
    noise = random.uniform(size=landed.shape)
    return KnownLooks(*(values.astype(np.float32) for values in (noise, landed, landed, np.zeros(2 * count), error_mm)))


def test_a_signal_that_tells_errors_scores_high_and_one_that_does_not_by_chance() -> None:
    random = np.random.default_rng(1)
    fitted, scored = made_up_looks(300, random), made_up_looks(300, random)
    blind = {"landed": np.zeros_like(fitted.landed), "peak": np.zeros_like(fitted.peak)}

    telling = score_signals(fitted, scored)
    guessing = score_signals(fitted._replace(**blind), scored._replace(**blind))

    assert telling.auroc_hand > 0.99 and telling.rank_correlation > 0.95 and telling.ause < 0.05
    assert abs(guessing.auroc_hand - 0.5) < 0.06 and abs(guessing.rank_correlation) < 0.1
    assert abs(guessing.ause - 1) < 0.1 and abs(guessing.found_share - 0.2) < 0.05


def test_doubt_is_scored_by_hand() -> None:
    error_mm = np.array([1.0, 2.0, 30.0, 5.0, 40.0])

    assert rank_correlation(error_mm, error_mm**2) == pytest.approx(1)
    assert rank_correlation(np.array([1.0, 1.0, 2.0]), np.array([3.0, 4.0, 5.0])) == pytest.approx(0.75**0.5)
    assert ause(error_mm, error_mm) == pytest.approx(0)
    assert found_share(error_mm, error_mm) == 0.5  # one of five, and two are bad


def test_the_interval_of_three_seeds() -> None:
    of = spread([1.0, 2.0, 3.0])

    assert (of.mean, of.deviation) == (2, 1)
    assert of.half_interval == pytest.approx(4.303 / 3**0.5)
    assert np.isnan(spread([1.0]).half_interval)
