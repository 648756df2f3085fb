"""Training from a bare checkout: `python -m training --config F`, where the package and its command are not installed.

The same as `handmap train`; it imports torch, numpy, numba, msgspec and yaml, and nothing else that is not Python's own.
"""

import argparse
import sys
from pathlib import Path

from handmap.types.errors import EXIT_CONFIG, Fatal, HandmapError


def main() -> None:
    """Trains; a fault of configuration exits 78, any other of ours 1."""
    parser = argparse.ArgumentParser(prog="python -m training", description="Train a network on synthetic hands.")
    parser.add_argument("--config", type=Path, required=True, help="YAML of the run, such as configs/train_gpu.yaml.")
    parser.add_argument("--out", type=Path, help="Folder of checkpoints and result; the configuration's if not given.")
    arguments = parser.parse_args()
    try:
        _train(arguments.config, arguments.out)
    except HandmapError as error:
        sys.stderr.write(f"training: {error}\n")
        sys.exit(EXIT_CONFIG if isinstance(error, Fatal) else 1)


def _train(config_path: Path, out: Path | None) -> None:
    import msgspec

    from handmap.system.config import read_config

    from .trainer.train import train
    from .trainer.train_config import TrainConfig

    config = read_config(config_path, TrainConfig)
    if out is not None:
        config = msgspec.structs.replace(config, out=out)
    sys.stdout.write(f"{train(config)}\n")


if __name__ == "__main__":
    main()
