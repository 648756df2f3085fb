"""Checkpoints of a training run: written atomically, and rejected if they belong to another run.

A file holds only tensors and plain values, and is read with `weights_only`. There is no random state in it: samples and
dropout are functions of the seed and the step, which makes a resumed run exact.
"""

import io
from pathlib import Path
from typing import Any, NamedTuple

import torch

from handmap.files.atomic import write_file
from handmap.types.errors import ConfigError, ModelError

FORMAT = 2  # 1 called best_error by the name of best_error_mm, in mm or not
LAST, BEST = "last.pt", "best.pt"
NETWORK = "network."
KEYS = {"optimizer": "optimiser"}  # in the file; they change only with FORMAT
FIELDS = {key: name for name, key in KEYS.items()}


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
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelError(f"checkpoint {str(path)!r} does not exist; use one written by `handmap train`") from error
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
    if found == 1:
        content["best_error"] = content.pop("best_error_mm")
        return _decode(content)
    if found != FORMAT:
        raise ModelError(
            f"checkpoint {str(path)!r} has format {found!r}, wanted {FORMAT}; train again, or use the version that wrote it"
        )
    return _decode(content)


def _decode(content: dict[str, Any]) -> Checkpoint:
    return Checkpoint(**{FIELDS.get(key, key): value for key, value in content.items()})


def read_weights(path: Path) -> dict[str, Any]:
    """The averaged weights of a checkpoint, the weights of a trained program (.pt2), or those of a plain file of weights, as a state dict.

    Raises ModelError if there are none.
    """
    if path.suffix != ".pt2":
        content = _load(path)
        return content if _is_plain(content) else _as_checkpoint(path, content).average
    try:
        weights = dict(torch.export.load(path).state_dict)
    except Exception as error:  # torch raises whatever the damaged bytes lead it to
        raise ModelError(
            f"program {str(path)!r} cannot be read ({type(error).__name__}); use a .pt2 written by `handmap train`"
        ) from error
    # A program with a side branch holds the hand network under a name of its own.
    own = {name.removeprefix(NETWORK): value for name, value in weights.items() if name.startswith(NETWORK)}
    return own or weights


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
