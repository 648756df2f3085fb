"""The command `evaluate`. Heavy libraries are imported only when it runs."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import click
from click.core import ParameterSource

from handmap.system.options import PATH


@dataclass(frozen=True)
class Way:
    """One way of calling `evaluate`: the options that it needs, those that it may have, and an example."""

    needs: tuple[str, ...]
    takes: tuple[str, ...]
    example: str


OF_BUNDLE: Final = ("--precision", "--threads", "--skeleton")
WAYS: Final[Mapping[str, Way]] = {  # by the option that chooses it
    "--data": Way(
        ("--bundle",),
        (*OF_BUNDLE, "--frames", "--handedness", "--defaults", "--sheet", "--report"),
        "handmap evaluate --bundle B --data synthetic:val",
    ),
    "--sequence": Way(
        ("--bundle",), (*OF_BUNDLE, "--quick"), "handmap evaluate --bundle B --sequence two-hands"
    ),
    "--predictions": Way(
        ("--labels", "--dataset"),
        ("--report",),
        "handmap evaluate --predictions P.txt --labels L.txt --dataset nyu",
    ),
}  # fmt: skip


@click.command("evaluate")
@click.option("--bundle", "bundle_path", type=PATH, help="With --data or --sequence: bundle to score.")
@click.option("--data", help="Name of a data set, such as synthetic:val.")
@click.option("--sequence", help="Name of a set of sequences for tracking: two-hands.")
@click.option(
    "--predictions",
    multiple=True,
    metavar="[NAME=]FILE",
    help="Result file of a public data set, u v d per joint (pixels, pixels, mm), a frame a line. Can be repeated.",
)
@click.option("--labels", type=PATH, help="With --predictions: the label file, in the same format.")
@click.option("--dataset", type=click.Choice(["nyu", "icvl", "msra"]), help="With --predictions: their data set.")
@click.option("--precision", type=click.Choice(["fp32", "fp16", "int8"]), default="fp32", show_default=True)
@click.option("--threads", type=click.IntRange(1, 64), default=1, show_default=True, help="Threads of ONNX Runtime.")
@click.option("--frames", type=click.IntRange(1), help="With --data: evaluate only the first N frames.")
@click.option(
    "--handedness",
    type=click.Choice(["any", "right", "left"]),
    help="With --data: which hand to expect, as tracking.handedness of the daemon. [default: the data set's; if it does not say, "
    "any with a network that tells, else right]",
)
@click.option(
    "--defaults",
    type=click.Choice(["found", "run"]),
    help="With --data: found assumes a hand in every frame and shows each frame once; run uses the daemon's defaults and shows "
    "each frame five times in a row, because an uncertain hand can take a few frames to be accepted. "
    "[default: run for sets with hand-free frames, such as synthetic:hard, else found]",
)
@click.option("--quick", is_flag=True, help="With --sequence: one short sequence per scene.")
@click.option("--skeleton/--no-skeleton", default=True, show_default=True, help="Whether the hand's bones are fitted.")
@click.option(
    "--sheet",
    type=PATH,
    help="With --data: picture (.png) to draw a dozen of the frames into, with the published hands.",
)
@click.option(
    "--report",
    type=PATH,
    help="With --data or --predictions: folder to write, with plots as SVG and PNG and an HTML page.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def evaluate(
    context: click.Context,
    bundle_path: Path | None,
    data: str | None,
    sequence: str | None,
    predictions: tuple[str, ...],
    labels: Path | None,
    dataset: str | None,
    precision: str,
    threads: int,
    frames: int | None,
    handedness: Literal["any", "right", "left"] | None,
    defaults: Literal["found", "run"] | None,
    quick: bool,
    skeleton: bool,
    sheet: Path | None,
    report: Path | None,
    as_json: bool,
) -> None:
    """Evaluate a bundle, or score result files of a data set.

    A bundle is evaluated on a labeled data set or on sequences; detection, tracking and cropping are the daemon's.
    """
    _refuse_mixed(context)
    if labels is not None and dataset is not None:
        from .predictions import evaluate_predictions, predictions_table

        figures = evaluate_predictions(predictions, labels, dataset, report)
        text = predictions_table(figures)
    elif data is not None and bundle_path is not None:
        from .evaluate import EvaluationConfig, evaluate_bundle, evaluation_table

        config = EvaluationConfig(precision, threads, frames, handedness, defaults, sheet, skeleton, report)
        figures = evaluate_bundle(bundle_path, data, config)
        text = evaluation_table(figures)
    elif sequence is not None and bundle_path is not None:
        from .evaluate_sequence import evaluate_sequence, sequence_table

        figures = evaluate_sequence(bundle_path, sequence, precision, threads, quick, skeleton)
        text = sequence_table(figures)
    click.echo(json.dumps(figures) if as_json else text)


def _refuse_mixed(context: click.Context) -> None:
    """Raises UsageError unless the options on the command line are those of exactly one way."""
    given = {
        option.opts[0]
        for option in context.command.params
        if option.name is not None and context.get_parameter_source(option.name) is ParameterSource.COMMANDLINE
    }
    chosen = [name for name in WAYS if name in given]
    if len(chosen) != 1:
        examples = "; or ".join(way.example for way in WAYS.values())
        raise click.UsageError(f"found {_listed(chosen) or 'none'} of {_listed(WAYS)}; give one of them: {examples}")
    way = WAYS[chosen[0]]
    missing = [name for name in way.needs if name not in given]
    if missing:
        raise click.UsageError(f"{chosen[0]} needs {_listed(missing)}; for example: {way.example}")
    others = sorted(given - {chosen[0], "--json", *way.needs, *way.takes})
    if others:
        homes = [name for name, other in WAYS.items() if others[0] in (*other.needs, *other.takes)]
        raise click.UsageError(
            f"{others[0]} has no meaning with {chosen[0]}; leave it out, or use it with {' or '.join(homes)}: {WAYS[homes[0]].example}"
        )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
