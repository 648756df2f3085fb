"""The commands of `training` besides those that train. Heavy libraries are imported only when a command runs."""

from pathlib import Path
from typing import Literal

import click

from handmap.recording.stated import recording_options
from handmap.system.options import PATH, FiniteRange


@click.command("evaluate")
@click.option("--bundle", "bundle_path", type=PATH, required=True, help="Bundle to score.")
@click.option("--data", help="Name of a data set, such as synthetic:val.")
@click.option("--sequence", help="Name of a set of sequences for tracking: two-hands.")
@click.option("--precision", type=click.Choice(["fp32", "fp16", "int8"]), default="fp32", show_default=True)
@click.option("--threads", type=click.IntRange(1, 64), default=1, show_default=True, help="Threads of ONNX Runtime.")
@click.option("--frames", type=click.IntRange(1), help="With --data: evaluate only the first N frames.")
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
    "--sheet", type=PATH, help="With --data: PNG to draw a dozen of the frames into, with the published hands."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def evaluate(
    bundle_path: Path,
    data: str | None,
    sequence: str | None,
    precision: str,
    threads: int,
    frames: int | None,
    defaults: Literal["found", "run"] | None,
    quick: bool,
    skeleton: bool,
    sheet: Path | None,
    as_json: bool,
) -> None:
    """Evaluate a bundle on a labeled data set or on sequences.

    Detection, tracking and cropping are the daemon's.
    """
    import json

    from .evaluation.evaluate import EvaluationConfig, evaluate_bundle, evaluation_table
    from .evaluation.evaluate_sequence import evaluate_sequence, sequence_table

    if data is not None and sequence is None and not quick:
        config = EvaluationConfig(precision, threads, frames, defaults, sheet, skeleton)
        figures = evaluate_bundle(bundle_path, data, config)
        click.echo(json.dumps(figures) if as_json else evaluation_table(figures))
    elif sequence is not None and data is None and frames is None and defaults is None and sheet is None:
        figures = evaluate_sequence(bundle_path, sequence, precision, threads, quick, skeleton)
        click.echo(json.dumps(figures) if as_json else sequence_table(figures))
    else:
        raise click.UsageError(
            "give either --data (with --frames, --defaults and --sheet) or --sequence (with --quick)"
        )


@click.command("synthesize")
@click.option("--out", type=PATH, required=True, help="Recording to write.")
@click.option("--seconds", type=FiniteRange(0.1, 3600), default=6.0, show_default=True)
@click.option("--fps", type=FiniteRange(1, 240), default=30.0, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
def synthesize(out: Path, seconds: float, fps: float, seed: int) -> None:
    """Write a recording of a synthetic hand in smooth motion.

    The result is a ROS 2 bag with depth frames and the true joints.
    """
    from .synthesis.synthesize import write_recording

    frames = write_recording(out, seed, seconds, fps)
    click.echo(f"wrote {out}: {frames} frames at {fps:g} fps, seed {seed}")


@click.command("label")
@click.option("--recording", "recording_path", type=PATH, required=True, help="Recording to label; it shows one hand.")
@recording_options
@click.option("--bundle", "bundle_path", type=PATH, required=True, help="Bundle that tracks the hand.")
@click.option("--out", type=PATH, required=True, help="Folder to write: recording/, sheet.png and summary.json.")
@click.option(
    "--hand", type=click.Choice(["right", "left"]), default="right", show_default=True, help="Which hand it is."
)
@click.option(
    "--max-error-mm",
    type=FiniteRange(0, 1000, min_open=True),
    default=10.0,
    show_default=True,
    help="Drop frames whose labels are in more doubt than this.",
)
@click.option(
    "--min-agreement",
    type=FiniteRange(0, 1),
    default=0.8,
    show_default=True,
    help="Drop frames where less of the measured depth agrees with the labeled hand.",
)
@click.option("--threads", type=click.IntRange(1, 64), default=1, show_default=True, help="Threads of ONNX Runtime.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def label(
    recording_path: Path,
    topic: str | None,
    depth_unit_mm: float | None,
    intrinsics: str | None,
    bundle_path: Path,
    out: Path,
    hand: Literal["right", "left"],
    max_error_mm: float,
    min_agreement: float,
    threads: int,
    as_json: bool,
) -> None:
    """Label your own recording by the tracker.

    Every frame is tracked forward and backward and estimated again in shifted cubes. What the passes agree on, over time, is
    fitted with a hand. Frames that stay in doubt, or that the depth disagrees with, are dropped.
    """
    import json

    from handmap.recording.stated import RecordingAt, read_stated

    from .labeling.label import LabelLimits, LabelRequest, label_recording

    limits = LabelLimits(max_error_mm=max_error_mm, min_agreement=min_agreement)
    recording = RecordingAt(recording_path, read_stated(topic, depth_unit_mm, intrinsics))
    summary = label_recording(LabelRequest(recording, bundle_path, hand, limits, threads), out)
    click.echo(json.dumps(vars(summary)) if as_json else f"{summary}\nlook at {out / 'sheet.png'}")


@click.command("draw-guidance")
@click.option(
    "--out",
    type=PATH,
    default=Path("docs/guidance_maps.png"),
    show_default=True,
    help="PNG to write.",
)
@click.option("--seed", type=click.IntRange(0), default=11, show_default=True, help="Which synthetic hand.")
@click.option("--joint", default="index_tip", show_default=True)
def draw_guidance(out: Path, seed: int, joint: str) -> None:
    """Draw every kind of guidance map for one joint."""
    from .plots import draw_guidance_maps

    draw_guidance_maps(out, seed, joint)
    click.echo(str(out))


@click.command("draw-scenes")
@click.option("--out", type=PATH, required=True, help="PNG to write.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option("--of-each", type=click.IntRange(1, 20), default=1, show_default=True, help="Tiles per kind.")
def draw_scenes(out: Path, seed: int, of_each: int) -> None:
    """Draw a contact sheet of synthetic training images.

    There is a labeled tile for every kind of shape, pose, view, camera and fault.
    """
    from .plots import draw_scene_sheet

    count = draw_scene_sheet(out, seed, of_each)
    click.echo(f"wrote {out}: {count} tiles, seed {seed}")
