"""The verb `config`: the daemon's configuration as it understands it."""

import json
from pathlib import Path
from typing import Final

import click

from handmap.system.options import PATH

DEFAULT_CONFIG: Final = "/etc/handmap/config.yaml"


@click.group()
def config() -> None:
    """Show the daemon's configuration, drop-ins included."""


@config.command()
@click.option(
    "--config", "path", type=PATH, default=Path(DEFAULT_CONFIG), show_default=True, help="Configuration file."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(path: Path, as_json: bool) -> None:
    """Print every value, and the file and line it comes from.

    Drop-ins are merged over the file: config.d/*.yaml over config.yaml. The
    output is itself a configuration. Exits with code 78 if the daemon would
    refuse it.
    """
    from .shown_config import show_config

    shown = show_config(path)
    click.echo(json.dumps(shown.as_json()) if as_json else shown.as_yaml())
