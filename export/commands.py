"""The verb `export`."""

from pathlib import Path

import click


@click.command()
@click.option(
    "--checkpoint", type=click.Path(path_type=Path), required=True, help="Trained program (.pt2), or a graph (.onnx)."
)
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Bundle to write; replaced whole if it exists."
)
@click.option(
    "--samples",
    type=click.Path(path_type=Path),
    required=True,
    help="Recording to compare the graphs on; golden samples too.",
)
@click.option("--model-facts", type=click.Path(path_type=Path), help="YAML of facts for a program that carries none.")
@click.option(
    "--precisions",
    type=click.Choice(["fp32", "fp32,fp16"]),
    default="fp32,fp16",
    show_default=True,
    help="Graphs to write; int8 is made by `handmap calibrate`.",
)
def export(checkpoint: Path, out: Path, samples: Path, model_facts: Path | None, precisions: str) -> None:
    """Turn a trained program into a bundle, after proving that the graphs agree."""
    from .to_bundle import export_bundle

    report = export_bundle(checkpoint, out, samples, model_facts, has_half="fp16" in precisions)
    click.echo(f"wrote {out}: opset {report.opset}, {report.nodes} nodes, {report.bytes / 1e6:.1f} MB")
    click.echo(
        f"parity on {report.crops} crops, worst joint: torch to ONNX {report.torch_to_onnx_mm:.5f} mm, "
        f"to simplified {report.torch_to_simplified_mm:.5f} mm"
    )
    if report.half is not None:
        click.echo(
            f"FP16 by the {report.half.route}: {report.half.mean_mm:.3f} mm off FP32 in the mean, "
            f"worst joint {report.half.worst_mm:.3f} mm"
        )
