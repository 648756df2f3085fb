"""The subcommands of `calibrate`. Heavy libraries are imported only when a command runs."""

from pathlib import Path
from typing import Literal, cast

import click

from handmap.recording.stated import read_stated, recording_options
from handmap.system.options import PATH, FiniteRange

BUNDLE = click.option("--bundle", "bundle_path", type=PATH, required=True, help="Bundle to read.")


@click.group("calibrate")
def calibrate() -> None:
    """Quantize a bundle to INT8 and check its accuracy."""


@calibrate.command("select")
@BUNDLE
@click.option("--recording", "recordings", multiple=True, help="Recording to select from; can be repeated.")
@click.option(
    "--data", "datasets", multiple=True, help="Data set to select from, such as synthetic:calib; can be repeated."
)
@click.option("--held-out", multiple=True, help="Recording to hold out for the gate; by default one in five.")
@click.option("--out", type=PATH, required=True, help="Folder for the calibration set.")
@click.option("--frames", type=click.IntRange(1), default=512, show_default=True, help="Number of crops in the set.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--handedness", type=click.Choice(["right", "left"]), default="right", show_default=True)
@click.option("--force", is_flag=True, help="Write the set even if it fails the checks; the report mentions this.")
@recording_options
def select(
    bundle_path: Path, recordings: tuple[str, ...], datasets: tuple[str, ...], held_out: tuple[str, ...], out: Path,
    frames: int, seed: int, handedness: str, force: bool, topic: str | None, depth_unit_mm: float | None,
    intrinsics: str | None,
) -> None:  # fmt: skip
    """Select calibration crops from recordings.

    The crops vary as much as possible in distance, place in the image, angle and pose.
    """
    from .select import SelectRequest, select_set

    side = cast(Literal["right", "left"], handedness)
    stated = read_stated(topic, depth_unit_mm, intrinsics)
    frame_sources = recordings + datasets
    manifest = select_set(SelectRequest(bundle_path, frame_sources, held_out, frames, seed, side, force, stated), out)
    click.echo(f"wrote {out}: {len(manifest.items)} crops from {len(manifest.sources)} sources")
    for quality, bins in manifest.coverage.items():
        click.echo(f"{quality:<14} {len(bins):3d} bins, {min(bins.values())} to {max(bins.values())} crops each")
    for reason in manifest.forced:
        click.echo(f"forced: {reason}")


METHOD = click.option(
    "--method", type=click.Choice(["minmax", "percentile", "entropy", "mse"]), default="mse", show_default=True,
    help="How to choose activation ranges from the histograms.",
)  # fmt: skip
BODY = click.option(
    "--body",
    type=click.Choice(["fp32", "fp16"]),
    default="fp32",
    show_default=True,
    help="Precision of everything that is not INT8.",
)
SET = click.option("--set", "set_path", type=PATH, required=True, help="Calibration set.")


@calibrate.command("quantize")
@BUNDLE
@SET
@METHOD
@BODY
@click.option("--float-layer", "float_layers", multiple=True, help="Layer to keep in float; can be repeated.")
@click.option(
    "--palm-float-layer",
    "palm_float_layers",
    multiple=True,
    help="Layer of the palm graph to keep in float; can be repeated.",
)
@click.option("--mixed", type=PATH, help="Sensitivity file that lists the layers to keep in float.")
@click.option("--out", type=PATH, required=True, help="Bundle to write; may be the one read.")
def quantize(
    bundle_path: Path,
    set_path: Path,
    method: str,
    body: str,
    float_layers: tuple[str, ...],
    palm_float_layers: tuple[str, ...],
    mixed: Path | None,
    out: Path,
) -> None:
    """Write a bundle with INT8 graphs.

    Quantizes the hand graph, and the palm graph if the calibration set has inputs for it.
    """
    from .quantize import FloatPrecision, Recipe, quantize_bundle
    from .ranges import Method

    recipe = Recipe(
        cast(Method, method),
        cast(FloatPrecision, body),
        frozenset(float_layers),
        palm_float_layers=frozenset(palm_float_layers),
    )
    report = quantize_bundle(bundle_path, set_path, recipe, mixed, out)
    click.echo(f"wrote {out}")
    for name, made in report.made.items():
        click.echo(
            f"{name} graph: INT8 of {len(made.content) / 1e6:.2f} MB, {made.int8_share:.1%} of the multiply-adds in INT8, "
            f"float layers: {', '.join(made.float_layers) or 'none'}"
        )
    if report.is_palm_left:
        click.echo(
            "palm graph: not quantized, because the calibration set has no detector inputs; select the set again to add them"
        )
    for reason in report.forced:
        click.echo(f"calibrated on a set that --force accepted: {reason}")


@calibrate.command("sensitivity")
@BUNDLE
@SET
@METHOD
@BODY
@click.option("--crops", type=click.IntRange(8), default=256, show_default=True, help="Number of crops to measure on.")
@click.option(
    "--max-mm",
    type=FiniteRange(0, min_open=True),
    default=1.0,
    show_default=True,
    help="Limit of the mean joint error against FP32, mm; layers move to float until it is below 0.8 of the limit.",
)
@click.option("--out", type=PATH, required=True, help="JSON file; rerunning the command continues it.")
def sensitivity(
    bundle_path: Path, set_path: Path, method: str, body: str, crops: int, max_mm: float, out: Path
) -> None:  # fmt: skip
    """Rank layers by their error in INT8.

    Also finds the layers to keep in float.
    """
    from .quantize import FloatPrecision
    from .ranges import Method
    from .sensitivity import Search, find_sensitivity

    how = Search(cast(Method, method), cast(FloatPrecision, body), crops, max_mm)
    found = find_sensitivity(bundle_path, set_path, how, out)
    for layer in sorted(found.layers, key=lambda one: -one.cost.mean_mm):
        click.echo(f"{layer.cost.mean_mm:8.3f} mm  {layer.macs / 1e6:8.2f} M  {layer.name}")
    last = next(trial for trial in found.trials if trial.float_layers == found.float_layers)
    click.echo(
        f"float layers: {', '.join(last.float_layers) or 'none'}; {last.int8_share:.1%} of the multiply-adds in INT8, "
        f"{last.cost.mean_mm:.3f} mm{'' if last.passed else ', which still exceeds the limits'}"
    )


@calibrate.command("report")
@BUNDLE
@click.option("--data", required=True, help="Data set, recording, or calibration set (its held-out crops).")
@click.option("--frames", type=click.IntRange(1), default=2000, show_default=True, help="Maximum number of frames.")
@click.option("--handedness", type=click.Choice(["right", "left"]), default="right", show_default=True)
@click.option("--out", type=PATH, required=True, help="Bundle to write; may be the one read.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@recording_options
@click.pass_context
def report(
    context: click.Context, bundle_path: Path, data: str, frames: int, handedness: str, out: Path, as_json: bool,
    topic: str | None, depth_unit_mm: float | None, intrinsics: str | None,
) -> None:  # fmt: skip
    """Compare FP32, FP16 and INT8 and apply the gates.

    Exit code 1 if an INT8 graph fails its gate.
    """
    import json

    from .gate import explain, explain_fp32, explain_palms
    from .report import report_bundle

    stated = read_stated(topic, depth_unit_mm, intrinsics)
    outcome = report_bundle(bundle_path, data, frames, handedness, out, stated)
    if as_json:
        click.echo(json.dumps(outcome.figures))
    else:
        for name, figures in outcome.figures["precisions"].items():
            away, error = figures["away_from_fp32_mm"], figures.get("error_mm")
            against = f", {error['mean']:7.3f} mm from ground truth" if error else ""
            click.echo(f"{name:<18} mean {away['mean']:7.3f} mm, p95 {away['p95']:7.3f} mm from FP32{against}")
        click.echo(f"wrote {out} with report.html and report.json")
        found = outcome.figures
        click.echo(explain_fp32(found["fp32_mean_mm"], found["is_fp32_poor"], found["dataset"]))
        if outcome.gate is not None:
            click.echo(explain(outcome.gate))
        if outcome.palm_gate is not None:
            click.echo(explain_palms(outcome.palm_gate))
    if any(gate is not None and not gate.passed for gate in (outcome.gate, outcome.palm_gate)):
        context.exit(1)
