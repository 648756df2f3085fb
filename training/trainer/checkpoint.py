"""Checkpoints of a training run: written atomically, and rejected if they belong to another run.

A file holds only tensors and plain values, and is read with `weights_only`. There is no random state in it: samples and
dropout are functions of the seed and the step, which makes a resumed run exact.
"""

import io
import zipfile
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from torch import nn

from handmap.files.arrays import refuse_bomb
from handmap.files.atomic import write_file
from handmap.files.reading import read_bytes
from handmap.types.errors import ConfigError, ModelError

FORMAT = 2  # 1 called best_error by the name of best_error_mm, in mm or not
LAST, BEST = "last.pt", "best.pt"
NETWORK, BRANCH = "network.", "side."
KEYS = {"optimizer": "optimiser"}  # in the file; they change only with FORMAT
FIELDS = {key: name for name, key in KEYS.items()}


KINDS: Final[dict[str, type | tuple[type, ...]]] = {
    "network": dict, "average": dict, "optimizer": dict, "step": int, "samples": int, "smoothed": dict,
    "best_error": (int, float), "identity": dict, "elapsed_s": (int, float),
}  # fmt: skip
MAX_CHECKPOINT_BYTES: Final = 16 << 30


class Checkpoint(NamedTuple):
    """Where a run is: weights and optimizer as state dicts, the validation error of the best weights so far in the measure of its own
    loop (mm for the hand network), and the wall time that it has taken.
    """

    network: dict[str, Any]
    average: dict[str, Any]
    optimizer: dict[str, Any]
    step: int
    samples: int
    smoothed: dict[str, float]
    best_error: float
    identity: dict[str, object]
    elapsed_s: float = 0.0


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Writes under a temporary name, flushes to disk, renames."""
    buffer = io.BytesIO()
    content = {KEYS.get(name, name): value for name, value in checkpoint._asdict().items()}
    torch.save({"format": FORMAT, **content}, buffer)
    try:
        write_file(path, buffer.getvalue())
    except OSError as error:
        raise ModelError(
            f"checkpoint {str(path)!r} cannot be written: {error.strerror}; free some disk space and start again to resume"
        ) from error


def read_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in a file.

    Raises ModelError where it is absent, damaged, or of another format.
    """
    return _as_checkpoint(path, _load(path))


def _load(path: Path) -> Any:
    try:
        content = read_bytes(path, MAX_CHECKPOINT_BYTES)
    except OSError as error:
        raise ModelError(
            f"checkpoint {str(path)!r} cannot be read ({error.strerror}); use one written by `handmap train`"
        ) from error
    try:
        if zipfile.is_zipfile(io.BytesIO(content)):
            refuse_bomb(content, MAX_CHECKPOINT_BYTES)
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever the damaged bytes lead it to
        raise ModelError(
            f"checkpoint {str(path)!r} cannot be read ({type(error).__name__}); delete it and train again"
        ) from error


def _is_plain(content: Any) -> bool:
    """Whether a file holds weights by name and nothing else."""
    return (
        isinstance(content, dict)
        and bool(content)
        and all(isinstance(value, torch.Tensor) for value in content.values())
    )


def _as_checkpoint(path: Path, content: Any) -> Checkpoint:
    found = content.pop("format", None) if isinstance(content, dict) else None
    if found == 1 and "best_error_mm" in content:
        content["best_error"] = content.pop("best_error_mm")
    elif found != FORMAT:
        raise ModelError(
            f"checkpoint {str(path)!r} has format {found!r}, wanted {FORMAT}; train again, or use the version that wrote it"
        )
    plain = {FIELDS.get(key, key): value for key, value in content.items()}
    wrong = sorted(plain.keys() - KINDS.keys()) or [
        name
        for name, kind in KINDS.items()
        if not isinstance(plain.get(name, Checkpoint._field_defaults.get(name)), kind)
    ]
    if wrong:
        raise ModelError(
            f"checkpoint {str(path)!r} does not hold what a run needs ({wrong[0]!r} is missing, unknown or of another type); use one "
            "written by `handmap train`"
        )
    return Checkpoint(**plain)


def load_weights(module: nn.Module, weights: dict[str, Any], path: Path) -> None:
    """Puts the weights of the file `path` into a network.

    Raises ModelError if they belong to another network.
    """
    try:
        module.load_state_dict(weights)
    except (RuntimeError, AttributeError, TypeError, KeyError) as error:
        first = str(error).strip().splitlines()
        raise ModelError(
            f"weights {str(path)!r} belong to another network ({' '.join(first[:2])}); use those of a network with the same settings"
        ) from error


def read_branch_weights(path: Path) -> dict[str, Any]:
    """The weights of a handedness branch: of a program that has one (.pt2), else as `read_weights`.

    Raises ModelError if there are none.
    """
    if path.suffix != ".pt2":
        return read_weights(path)
    own = {
        name.removeprefix(BRANCH): value for name, value in _program_weights(path).items() if name.startswith(BRANCH)
    }
    if not own:
        raise ModelError(
            f"program {str(path)!r} has no handedness branch; use one that `handmap train-handedness` wrote, or leave out start_from"
        )
    return own


def read_weights(path: Path) -> dict[str, Any]:
    """The averaged weights of a checkpoint, the weights of a trained program (.pt2), or those of a plain file of weights, as a state dict.

    Raises ModelError if there are none.
    """
    if path.suffix != ".pt2":
        content = _load(path)
        return content if _is_plain(content) else _as_checkpoint(path, content).average
    weights = _program_weights(path)
    # A program with a side branch holds the hand network under a name of its own.
    own = {name.removeprefix(NETWORK): value for name, value in weights.items() if name.startswith(NETWORK)}
    return own or weights


def _program_weights(path: Path) -> dict[str, Any]:
    try:
        return dict(torch.export.load(path).state_dict)
    except Exception as error:  # torch raises whatever the damaged bytes lead it to
        raise ModelError(
            f"program {str(path)!r} cannot be read ({type(error).__name__}); use a .pt2 written by `handmap train`"
        ) from error


def check_identity(path: Path, checkpoint: Checkpoint, identity: dict[str, object]) -> None:
    """Raises ConfigError where the configuration differs from the checkpoint's in what makes a run."""
    differing = sorted(
        key for key in identity.keys() | checkpoint.identity.keys() if identity.get(key) != checkpoint.identity.get(key)
    )
    if differing:
        key = differing[0]
        raise ConfigError(
            f"resuming {str(path)!r}: it was trained with {key} = {checkpoint.identity.get(key)!r}, the configuration says "
            f"{identity.get(key)!r}; restore the setting, or use another --out (with start_from to keep the weights)"
        )
