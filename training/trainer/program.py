"""A trained network as a `torch.export` program (.pt2) that carries its model facts, and the same facts as JSON beside it."""

import hashlib
import io
import platform
import subprocess
from pathlib import Path

import msgspec
import numpy as np
import torch
from torch import nn

from handmap.bundle.confidence_fit import KnownLooks, fit_confidence
from handmap.bundle.facts import Normalization
from handmap.bundle.model_metadata import METADATA_FILE, ModelMetadata, PalmMetadata, encode_metadata
from handmap.files.atomic import write_file
from handmap.files.reading import MAX_MODEL_BYTES, read_bytes
from handmap.types.errors import ModelError
from handmap.types.joints import HAND21
from handmap.types.values import CROP_PX

from ..network.network import HandMap, measure_size
from ..samples.augment import BACKGROUND
from .checkpoint import Checkpoint
from .train_config import TrainConfig, identity_of, length_of
from .validate import ValidationSet, predict

# Deviations of the scale augmentation that count as trained for.
TRAINED_SIGMAS = 2.0


def export_network(
    network: nn.Module, name: str = "depth", shape: tuple[int, int] = (CROP_PX, CROP_PX)
) -> torch.export.ExportedProgram:
    """The network in evaluation mode as a program: one input of that name (N, 1, *shape) with any N, outputs by name."""
    plain = network.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # torch stubs lack this form
    # Two, since torch.export takes a batch of one for a constant.
    shown = torch.ones(2, 1, *shape)
    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(plain, (shown,), dynamic_shapes={name: {0: batch}}, strict=False)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # names the folders of the machine that it was made on
    return program


def write_program(
    path: Path, network: HandMap, validation: ValidationSet, config: TrainConfig, checkpoint: Checkpoint
) -> None:
    """Writes program and facts beside each other, each whole or not at all.

    Raises ModelError where they cannot be written.
    """
    facts = describe_network(network, predict(network, validation), config, checkpoint.samples)
    save_program(path, export_network(network), facts)


def save_program(path: Path, program: torch.export.ExportedProgram, facts: ModelMetadata | PalmMetadata) -> None:
    """Writes a program with its facts inside, and these as JSON beside it.

    Raises ModelError where they cannot be written.
    """
    text = encode_metadata(facts)
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={METADATA_FILE: text})
    try:
        write_file(path.with_suffix(".json"), text.encode())
        write_file(path, buffer.getvalue())
    except OSError as error:
        raise ModelError(
            f"program {str(path)!r} cannot be written: {error.strerror}; free some disk space and start again"
        ) from error


def describe_network(network: nn.Module, looks: KnownLooks, config: TrainConfig, samples: int) -> ModelMetadata:
    """What a user of the network must know and cannot see in its tensors; samples is how many it has seen."""
    spread = float(np.exp(TRAINED_SIGMAS * config.augment.scale_sigma))
    size = measure_size(network)
    return ModelMetadata(
        joint_names=HAND21,
        cube_mm=config.cube_mm,
        cube_mm_range=(round(config.cube_mm / spread, 1), round(config.cube_mm * spread, 1)),
        normalization=Normalization(near=-1.0, far=1.0, background=BACKGROUND),
        confidence=fit_confidence(looks, output_names(network)),
        provenance={
            "config": _settings_of(network, config),
            "start": describe_start(config.start_from),
            "start_share": config.start_share,
            "commit": commit_of_sources(),
            "samples": samples,
            "validation": {
                "frames": len(looks.error_mm),
                "mean_mm": round(float(np.nanmean(looks.error_mm)), 3),
            },
            "network": {"parameters": size.parameters, "multiply_adds": size.multiply_adds},
            "tools": tool_versions(),
        },
    )


def _settings_of(network: nn.Module, config: TrainConfig) -> dict[str, object]:
    """The run's settings; those of the network are its own, and none if it is not a HandMap."""
    settings = identity_of(config) | length_of(config)
    network_settings = {"network": msgspec.to_builtins(network.config)} if isinstance(network, HandMap) else {}
    return {name: value for name, value in settings.items() if name != "network"} | network_settings


@torch.no_grad()
def output_names(network: nn.Module) -> set[str]:
    """The names of what a hand network gives."""
    return set(network.eval()(torch.ones(1, 1, CROP_PX, CROP_PX)))


def describe_start(path: Path | None) -> dict[str, str] | None:
    """The file of weights that a run began with, for its record; None where it began with random ones."""
    return (
        None
        if path is None
        else {"file": path.name, "sha256": hashlib.sha256(read_bytes(path, MAX_MODEL_BYTES)).hexdigest()}
    )


def commit_of_sources() -> str:
    """The commit of the sources, marked where they differ from it; `unknown` outside a checkout."""
    here = Path(__file__).resolve().parent
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=here, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()


def tool_versions() -> dict[str, str]:
    """Versions of what trained a network."""
    return {"python": platform.python_version(), "torch": str(torch.__version__), "numpy": np.__version__}
