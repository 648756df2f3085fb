"""The commands that train. Heavy libraries are imported only when a command runs."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from handmap.system.options import PATH

Verb = TypeVar("Verb", bound=Callable[..., None])


def _config_option(example: str) -> Callable[[Verb], Verb]:
    """The `--config` option of a training command."""
    return click.option(
        "--config",
        "config_path",
        type=PATH,
        required=True,
        help=f"YAML configuration of the run, such as {example}.",
    )


@click.command("train")
@click.option(
    "--config", "config_path", type=PATH, help="YAML configuration of the run, such as configs/train_handmap.yaml."
)
@click.option(
    "--out",
    type=PATH,
    help="Folder for checkpoints and the result. Default: the configuration's `out`.",
)
@click.option(
    "--plot",
    is_flag=True,
    help="Train nothing: draw the learning curves of the run in --out, ended or still going, as PNG and SVG.",
)
@click.option("--with", "others", type=PATH, multiple=True, help="With --plot: folder of another run to draw as well.")
def train(config_path: Path | None, out: Path | None, plot: bool, others: tuple[Path, ...]) -> None:
    """Train the hand network on synthetic and labeled hands.

    Resumes from the last checkpoint in its folder.

    Several GPUs: torchrun --nproc-per-node N -m handmap train --config F
    """
    if plot and config_path is None and out is None:
        raise click.UsageError("--plot needs a run: give its folder by --out, or its configuration by --config")
    if plot and config_path is not None and out is not None:
        raise click.UsageError("--plot takes the run from --out or from --config, found both; leave one of them out")
    if not plot and others:
        raise click.UsageError("--with names further runs to draw; give it together with --plot")
    if plot:
        _plot(config_path, out, others)
        return
    if config_path is None:
        raise click.UsageError("Missing option '--config'.")
    import msgspec

    from handmap.system.config import read_config

    from .train import train as train_network
    from .train_config import TrainConfig

    config = read_config(config_path, TrainConfig)
    if out is not None:
        config = msgspec.structs.replace(config, out=out)
    click.echo(str(train_network(config)))


def _plot(config_path: Path | None, out: Path | None, others: tuple[Path, ...]) -> None:
    """Draws the runs into the folder of the first."""
    from handmap.system.config import read_config

    from .learning_curves import draw_learning_curves

    if out is None:
        assert config_path is not None
        from .train_config import TrainConfig

        out = read_config(config_path, TrainConfig).out
    for path in draw_learning_curves([out, *others], out):
        click.echo(str(path))


@click.command("train-palm")
@_config_option("configs/train_palm.yaml")
def train_palm(config_path: Path) -> None:
    """Train the palm detector.

    Resumes from the last checkpoint in its folder.
    """
    from handmap.system.config import read_config

    from .palm_train import PalmTrainConfig
    from .palm_train import train_palm as train_network

    click.echo(str(train_network(read_config(config_path, PalmTrainConfig))))


@click.command("train-handedness")
@_config_option("configs/train_handedness.yaml")
def train_handedness(config_path: Path) -> None:
    """Add a handedness branch to a trained hand network.

    The joints that the network estimates do not change.
    """
    from handmap.system.config import read_config

    from .handedness import train_handedness as train_branch
    from .handedness_config import HandednessTrainConfig

    click.echo(str(train_branch(read_config(config_path, HandednessTrainConfig))))
