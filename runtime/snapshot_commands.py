"""The verb `snapshot`; it imports heavy modules only when it runs."""

import json
from pathlib import Path

import click

from handmap.system.options import PATH


@click.command()
@click.option("--config", type=PATH, help="Configuration file of the daemon to ask.")
@click.option("--port", type=click.IntRange(1, 65535), help="The daemon's telemetry port; default: 9400.")
@click.option("--out", type=PATH, help="Also copy it there: a new folder, or a .mcap file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def snapshot(config: Path | None, port: int | None, out: Path | None, as_json: bool) -> None:
    """Write the daemon's last seconds to disk, for replay.

    Exits with code 1 if no daemon answers, or it cannot write.
    """
    from .flight.ask import ask_snapshot, copy_snapshot
    from .status import ask_daemon, refuse_other, status_port

    asked = status_port(config, port)
    if config is not None and port is None:
        refuse_other(ask_daemon(asked), config, asked)
    facts = ask_snapshot(asked)
    path = Path(facts.newest)
    if out is not None:
        copy_snapshot(path, out)
        path = out
    if as_json:
        click.echo(json.dumps({"snapshot": str(path), "frames": facts.frames, "seconds": facts.seconds}))
    else:
        click.echo(f"{facts.seconds:.1f} s, {facts.frames} frames, written to {str(path)!r}")
