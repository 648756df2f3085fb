"""The commands of `training`; those that train or evaluate are in these rooms. Heavy libraries are imported only when one runs."""

from pathlib import Path
from typing import Literal

import click

from handmap.recording.stated import recording_options
from handmap.system.options import PATH, FiniteRange

from .evaluation.commands import evaluate as evaluate
from .trainer.commands import train as train
from .trainer.commands import train_handedness as train_handedness
from .trainer.commands import train_palm as train_palm


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
    "--handedness", type=click.Choice(["right", "left"]), default="right", show_default=True, help="Which hand it is."
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
    handedness: Literal["right", "left"],
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
    summary = label_recording(LabelRequest(recording, bundle_path, handedness, limits, threads), out)
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
