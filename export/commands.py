"""The verb `export`."""

from pathlib import Path

import click


@click.command()
@click.option("--checkpoint", type=click.Path(path_type=Path), required=True, help="Trained program (.pt2).")
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
def export(checkpoint: Path, out: Path, samples: Path, model_facts: Path | None) -> None:
    """Turn a trained program into a bundle, after proving that the graphs agree."""
    from .to_bundle import export_bundle

    report = export_bundle(checkpoint, out, samples, model_facts)
    click.echo(f"wrote {out}: opset {report.opset}, {report.nodes} nodes, {report.bytes / 1e6:.1f} MB")
    click.echo(
        f"parity on {report.crops} crops, worst joint: torch to ONNX {report.torch_to_onnx_mm:.5f} mm, "
        f"to simplified {report.torch_to_simplified_mm:.5f} mm"
    )
