"""Do guidance maps lower the joint error, and which? The paper's question on our data, with one backbone, sample order and budget.

`python -m docs.measured.ablation train RUN...` trains runs such as votes-edt2m-1 (head, guidance maps, seed), `train all` every one;
each goes on where it was stopped. `measure` scores the finished runs into ablation.json, where other runs of the same budget that
were scored before stay, `table` puts its tables into ablation.md, `plot` draws ablation.png. `--runs FOLDER`
says where runs are; `train all --samples N` is another budget, in runs/ablation_N.
"""

import argparse
import itertools
import sys
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args

import msgspec

from handmap.bundle.model_metadata import METADATA_FILE, ModelMetadata
from handmap.files.atomic import write_file
from handmap.files.reading import encode_json, read_json
from handmap.system.config import read_config
from handmap.types.errors import ConfigError, HandmapError
from training.network.network import GuidanceKind, HandMap, NetworkConfig
from training.trainer.checkpoint import load_weights, read_weights
from training.trainer.learning_curves import read_history
from training.trainer.program import output_names
from training.trainer.train import train
from training.trainer.train_config import Count, TrainConfig

from .ablation_figures import HeldOut, make_held_out, measure_network
from .ablation_page import put_tables
from .ablation_plot import draw
from .ablation_results import HEADS, KINDS, Ablation, HeadKind, Point, RunFigures

ROOT: Final = Path(__file__).resolve().parents[2]
CONFIG: Final = ROOT / "configs/train_ablation.yaml"
FIGURES, PAGE, PICTURE = (ROOT / f"docs/measured/ablation.{kind}" for kind in ("json", "md", "png"))
SEEDS: Final = (1, 2, 3)
RENDERED_SAMPLES, VAL_HANDS = 4096, 2000


class RunName(NamedTuple):
    """What one run varies; kind is `none` without maps."""

    head: HeadKind
    kind: str
    seed: int

    def __str__(self) -> str:
        return f"{self.head}-{self.kind}-{self.seed}"

    @property
    def guidance(self) -> GuidanceKind | None:
        """The kind as the network's settings have it."""
        return next((kind for kind in get_args(GuidanceKind) if kind == self.kind), None)


ALL_RUNS: Final = tuple(RunName(head, kind, seed) for seed, kind, head in itertools.product(SEEDS, KINDS, HEADS))


def runs_named(names: list[str]) -> list[RunName]:
    """The runs of these names, `all` for every one.

    Raises ConfigError if there is no such run.
    """
    known = {str(run): run for run in ALL_RUNS}
    unknown = [name for name in names if name not in known and name != "all"]
    if unknown:
        raise ConfigError(
            f"ablation: there is no run {unknown[0]!r}; use all, or HEAD-MAPS-SEED with a head of {', '.join(HEADS)}, maps of "
            f"{', '.join(KINDS)} and a seed of 1 to {SEEDS[-1]}"
        )
    return list(ALL_RUNS) if "all" in names else [known[name] for name in names]


def train_run(run: RunName, base: TrainConfig) -> Path:
    """Trains a run into its own folder below base.out and gives its program; one that was stopped goes on, an ended one is left alone.

    Raises ConfigError where the folder holds an ended run of another budget: extending it would not be a run of that budget.
    """
    program = base.out / str(run) / "handmap.pt2"
    if program.exists():
        ended = _shared(_facts(program.parent)).get("total_samples")
        if ended != base.total_samples:
            raise ConfigError(
                f"ablation: {str(program.parent)!r} is an ended run of {ended} samples, wanted one of {base.total_samples}; "
                "name another folder by --runs"
            )
        return program
    network = msgspec.structs.replace(base.network, head=run.head, guidance=run.guidance)
    return train(msgspec.structs.replace(base, network=network, seed=run.seed, out=program.parent))


def with_budget(base: TrainConfig, samples: int | None, runs: Path | None) -> TrainConfig:
    """The configuration with another budget, whose runs are by default in a folder of its own; None is the configuration's."""
    out = base.out if samples is None else base.out.with_name(f"{base.out.name}_{samples}")
    return msgspec.structs.replace(base, out=runs or out, total_samples=samples or base.total_samples)


def measure(runs: Path, held_out: HeldOut) -> Ablation:
    """The figures of every finished run in a folder.

    Raises ConfigError if there is none, or if two differ in more than head, maps and seed.
    """
    finished = [run for run in ALL_RUNS if (runs / str(run) / "handmap.pt2").exists()]
    if not finished:
        raise ConfigError(
            f"ablation: no run in {str(runs)!r} is finished; train some, or name another folder by --runs"
        )
    facts = {run: _facts(runs / str(run)) for run in finished}
    shared = [_shared(facts[run]) for run in finished]
    for run, settings in zip(finished, shared, strict=True):
        if settings != shared[0]:
            raise ConfigError(
                f"ablation: {run} and {finished[0]} in {str(runs)!r} differ in more than head, maps and seed "
                f"({settings} and {shared[0]}); compare runs of one configuration and budget"
            )
    return Ablation(
        total_samples=shared[0]["total_samples"],
        rendered_samples=len(held_out.rendered.depth),
        val_hands=len(held_out.val.depth),
        runs={str(run): _measure_run(run, runs / str(run), facts[run], held_out) for run in finished},
    )


def with_earlier(found: Ablation, earlier: Ablation) -> Ablation:
    """The figures found, and those of other runs that were scored earlier in the same way; a run's weights need not be kept for that.

    Raises ConfigError if those are of another budget or scored on other samples.
    """
    ours, theirs = (
        {name: getattr(one, name) for name in ("total_samples", "rendered_samples", "val_hands")}
        for one in (found, earlier)
    )
    if ours != theirs:
        raise ConfigError(f"ablation: {FIGURES.name} has figures of {theirs}, found {ours}; move it away to begin anew")
    return msgspec.structs.replace(found, runs=earlier.runs | found.runs)


def main(arguments: list[str]) -> None:
    """Does what the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m docs.measured.ablation")
    verbs = parser.add_subparsers(dest="verb", required=True)
    training, measuring = verbs.add_parser("train"), verbs.add_parser("measure")
    training.add_argument("names", nargs="+", metavar="RUN")
    training.add_argument("--samples", type=_samples, help="instead of the configuration's")
    for verb in (training, measuring):
        verb.add_argument("--runs", type=Path, help="where runs are, by default the configuration's `out`")
    verbs.add_parser("table")
    verbs.add_parser("plot")
    options = parser.parse_args(arguments)
    base = read_config(CONFIG, TrainConfig)
    if options.verb == "train":
        runs = runs_named(options.names)
        base = with_budget(base, options.samples, options.runs)
        for run in runs:
            train_run(run, base)
    elif options.verb == "measure":
        held_out = make_held_out(RENDERED_SAMPLES, VAL_HANDS, base.cube_mm)
        found = measure(options.runs or base.out, held_out)
        write_file(
            FIGURES, encode_json(with_earlier(found, read_json(FIGURES, Ablation)) if FIGURES.exists() else found)
        )
    elif options.verb == "table":
        put_tables(PAGE, read_json(FIGURES, Ablation))
    else:
        draw(PICTURE, read_json(FIGURES, Ablation))


def _samples(text: str) -> int:
    """A budget; what is none is a ValueError."""
    return msgspec.convert(int(text), Count)


def _facts(folder: Path) -> ModelMetadata:
    return read_json(folder / METADATA_FILE, ModelMetadata)


def _shared(facts: ModelMetadata) -> dict[str, Any]:
    """The settings of a run that all runs must share."""
    settings = dict(facts.provenance["config"])
    del settings["seed"]
    settings["network"] = {
        name: value for name, value in settings["network"].items() if name not in ("head", "guidance")
    }
    return settings


def _measure_run(run: RunName, folder: Path, facts: ModelMetadata, held_out: HeldOut) -> RunFigures:
    made_from = facts.provenance
    config = msgspec.convert(made_from["config"]["network"], NetworkConfig)
    found = f"{config.head}-{config.guidance or 'none'}-{made_from['config']['seed']}"
    if found != str(run):
        raise ConfigError(f"ablation: {str(folder)!r} holds the run {found}; rename the folder to {found}")
    network = HandMap(config)
    program = folder / "handmap.pt2"
    load_weights(network, read_weights(program), program)
    return RunFigures(
        head=run.head,
        kind=run.kind,
        seed=run.seed,
        commit=made_from["commit"],
        parameters=made_from["network"]["parameters"],
        multiply_adds=made_from["network"]["multiply_adds"],
        history=tuple(
            Point(round(facts["samples"]), facts["mean_mm"], facts["median_mm"]) for facts in read_history(folder)
        ),
        held_out=measure_network(network, output_names(network), held_out),
    )


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except HandmapError as error:
        sys.exit(str(error))
