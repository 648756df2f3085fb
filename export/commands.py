"""The verbs export and build-engine."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from handmap.recording.stated import RecordingAt, read_stated, recording_options
from handmap.system.options import PATH
from handmap.types.errors import ConfigError

if TYPE_CHECKING:
    from .to_engine import BuildResult


PROGRAMS_RUN_CODE = "loading a .pt2 can run code of whoever made it; from somebody you do not trust take an ONNX graph"


@click.command()
@click.option(
    "--checkpoint",
    type=PATH,
    required=True,
    help="Trained model: an ONNX graph (.onnx, with its .onnx.data beside it) or a torch.export program (.pt2). Loading a .pt2 "
    "can run its author's code; from somebody else take ONNX.",
)
@click.option("--out", type=PATH, required=True, help="Bundle to write; an existing one is replaced.")
@click.option(
    "--samples",
    type=PATH,
    required=True,
    help="Recording to check the exported graphs on; the golden samples are taken from it.",
)
@click.option("--palm", type=PATH, help="Trained palm detector (.pt2, which can run its author's code).")
@click.option(
    "--model-facts",
    type=PATH,
    help="YAML with the model's metadata, if the model file carries none.",
)
@click.option(
    "--precisions",
    type=click.Choice(["fp32", "fp32,fp16"]),
    default="fp32,fp16",
    show_default=True,
    help="Precisions to write; for int8 use `handmap calibrate`.",
)
@recording_options
def export(
    checkpoint: Path, out: Path, samples: Path, palm: Path | None, model_facts: Path | None, precisions: str,
    topic: str | None, depth_unit_mm: float | None, intrinsics: str | None,
) -> None:  # fmt: skip
    """Export a trained model to a bundle.

    The bundle is written only if its graphs compute the same joints as the trained model.

    Loading a .pt2 can run code of whoever made it. ONNX is data: of somebody you do not trust take that.
    """
    from .to_bundle import export_bundle

    for program in (checkpoint, palm):
        if program is not None and program.suffix.lower() != ".onnx":
            click.echo(f"note: {program}: {PROGRAMS_RUN_CODE}", err=True)
    at = RecordingAt(samples, read_stated(topic, depth_unit_mm, intrinsics))
    report = export_bundle(checkpoint, out, at, model_facts, has_half="fp16" in precisions, palm_checkpoint=palm)
    click.echo(f"wrote {out}: opset {report.opset}, {report.nodes} nodes, {report.bytes / 1e6:.1f} MB")
    click.echo(
        f"parity on {report.crops} crops, worst joint: {report.torch_to_onnx_mm:.5f} mm between torch and ONNX, "
        f"{report.torch_to_simplified_mm:.5f} mm after simplification"
    )
    if report.labels is not None:
        click.echo(f"joints are {report.labels.mean_mm:.1f} mm off the labels of {report.labels.crops} crops")
    if report.half is not None:
        click.echo(
            f"FP16 by the {report.half.route}: mean {report.half.mean_mm:.3f} mm from FP32, "
            f"worst joint {report.half.worst_mm:.3f} mm"
        )
    if report.palm is not None:
        half = (
            ""
            if report.palm.fp32_to_fp16 is None
            else f", FP16 differs from FP32 by at most {report.palm.fp32_to_fp16:.4f}"
        )
        click.echo(f"palm graph: ONNX outputs differ from torch by at most {report.palm.torch_to_onnx:.6f}{half}")


@click.command()
@click.option("--bundle", type=PATH, help="Bundle written by `handmap export`.")
@click.option("--precision", type=click.Choice(["fp32", "fp16", "int8"]), help="Default: fp16.")
@click.option(
    "--batch", type=click.IntRange(1, 64), help="Hands per inference: the daemon's tracking.max_hands. Default: 1."
)
@click.option("--cache-dir", type=PATH, help="Engine cache. Default: the service's, else the user's.")
@click.option(
    "--workspace-mb",
    type=click.IntRange(1),
    help="Scratch memory that a layer can use; set engine.workspace_mb to the same value. Default: 512.",
)
@click.option(
    "--use-ungated-int8", is_flag=True, help="Build an int8 graph even if it has not passed the accuracy gate."
)
@click.option(
    "--config",
    "config",
    type=PATH,
    help="The daemon's configuration, in place of the options above: builds the engine that the daemon will open.",
)
@click.option(
    "--backend",
    type=click.Choice(["tensorrt", "rtx"]),
    default="tensorrt",
    show_default=True,
    help="rtx: TensorRT-RTX, which also builds without a GPU.",
)
@click.option("--is-needed", is_flag=True, help="Build nothing; exit 0 if a build is needed, 1 if not.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def build_engine(
    bundle: Path | None, precision: str | None, batch: int | None, cache_dir: Path | None, workspace_mb: int | None,
    use_ungated_int8: bool, config: Path | None, backend: str, is_needed: bool, as_json: bool,
) -> None:  # fmt: skip
    """Build the TensorRT engine for this device from a bundle.

    Does nothing if the engine is already in the cache.
    """
    from handmap.engines.cache_dir import engine_cache_dir
    from handmap.engines.engine_keys import BuilderOptions

    from . import to_engine
    from .engine_request import BuildRequest, configured_request

    request: BuildRequest | None
    if config is not None:
        if any((bundle, precision, batch, cache_dir, workspace_mb, use_ungated_int8)):
            raise ConfigError(
                "build-engine: --config already selects the engine, found other options that do too; leave out one or the other"
            )
        request = configured_request(config)
        if request is None:
            _say_none_configured(config, is_needed, as_json)
    elif bundle is not None:
        options = BuilderOptions() if workspace_mb is None else BuilderOptions(workspace_mb)
        folder = cache_dir or engine_cache_dir()
        request = BuildRequest(bundle, precision or "fp16", batch or 1, folder, options, use_ungated_int8)
    else:
        raise ConfigError("build-engine: no bundle was given; name one with --bundle, or a configuration with --config")
    library = to_engine.open_backend(backend)
    if is_needed:
        needed, why = to_engine.is_needed(request, library)
        _answer_need(needed, why, as_json)
    result = to_engine.build_engine(request, library)
    click.echo(_engine_as_json(result) if as_json else _engine_as_text(result))


def _say_none_configured(config: Path, is_needed: bool, as_json: bool) -> NoReturn:
    """Ends the command if the configuration names no TensorRT engine.

    Raises ConfigError if an engine was to be built.
    """
    why = f"configuration {str(config)!r} names no TensorRT engine"
    if is_needed:
        _answer_need(False, why, as_json)
    raise ConfigError(f"build-engine: {why}; set engine.backend to tensorrt, or name a bundle with --bundle")


def _answer_need(needed: bool, why: str, as_json: bool) -> NoReturn:
    click.echo(json.dumps({"needed": needed, "why": why}) if as_json else why)
    raise SystemExit(0 if needed else 1)


def _engine_as_json(result: "BuildResult") -> str:
    sidecar = result.engine.sidecar
    return json.dumps(
        {
            "engine": str(result.engine.path), "was_built": result.was_built, "build_s": sidecar.build_s,
            "bytes": sidecar.engine_bytes, "precision": sidecar.precision, "batch": sidecar.key.batch,
            "tensorrt": sidecar.key.platform.tensorrt, "gpu": sidecar.key.platform.gpu,
            "golden_mm": sidecar.golden_mm, "golden": sidecar.golden_note, "layers": sidecar.layers_note,
            "palm_engine": str(result.palm.path) if result.palm else None,
            "palm_golden": result.palm.sidecar.golden_note if result.palm else None,
        }
    )  # fmt: skip


def _engine_as_text(result: "BuildResult") -> str:
    sidecar = result.engine.sidecar
    done = f"built in {sidecar.build_s:.1f} s" if result.was_built else "already in the cache"
    golden = "" if sidecar.golden_mm is None else f"{sidecar.golden_mm:.3f} mm from the golden samples, "
    palm = "" if result.palm is None else f"\n{str(result.palm.path)!r}: palm engine; {result.palm.sidecar.golden_note}"
    return (
        f"{str(result.engine.path)!r}: {sidecar.engine_bytes / 1e6:.1f} MB in {sidecar.precision} for batch {sidecar.key.batch}, "
        f"{done} by {sidecar.key.platform.tensorrt}; {golden}{sidecar.golden_note}{palm}"
    )
