"""Training from a bare checkout: `python -m training --config F`, without installing the package.

Does the same as `handmap train`. Beyond the standard library it needs only torch, numpy, numba, msgspec and yaml.
"""

import argparse
import sys
from pathlib import Path

from handmap.types.errors import EXIT_CONFIG, Fatal, HandmapError


def main() -> None:
    """Trains; exits with 78 for a configuration error, and with 1 for any other error of ours."""
    parser = argparse.ArgumentParser(prog="python -m training", description="Train a network on synthetic hands.")
    parser.add_argument("--config", type=Path, required=True, help="YAML of the run, such as configs/train_gpu.yaml.")
    parser.add_argument(
        "--out", type=Path, help="Folder for checkpoints and the result. Default: the configuration's `out`."
    )
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
