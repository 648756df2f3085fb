"""The verbs `listen` and `view`; viser is imported only when `view` runs."""

import json
import time

import click

from handmap.protocol.fields import DEFAULT_PORT
from handmap.system.options import FiniteRange

PORT = click.option(
    "--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True, help="UDP port to receive on."
)
BIND = click.option("--bind", default="", help="Address to receive on; default: all addresses of this machine.")


@click.command()
@PORT
@BIND
@click.option("--json", "is_json", is_flag=True, help="One JSON object per line, joints in meters.")
@click.option("--count", type=click.IntRange(min=1), help="Exit after this many packets.")
@click.option("--seconds", type=FiniteRange(min=0, min_open=True), help="Exit after this many seconds.")
def listen(port: int, bind: str, is_json: bool, count: int | None, seconds: float | None) -> None:
    """Print packets as they arrive, then what was lost."""
    from handmap.client.receiver import open_receiver

    from .listen import TextLines, as_json, reception_summary
    from .listen import print_packets as listen_on

    receiver = open_receiver(bind, port)
    show = (lambda received: click.echo(json.dumps(as_json(received)))) if is_json else TextLines(click.echo)
    click.echo(f"listening on {bind or 'any address'}:{receiver.port}", err=True)
    try:
        listen_on(receiver, show, lambda line: click.echo(line, err=True), count, seconds)
    except KeyboardInterrupt:
        pass
    finally:
        receiver.close()
        click.echo(reception_summary(receiver.counts), err=True)


@click.command()
@PORT
@BIND
@click.option(
    "--web-host",
    default="127.0.0.1",
    show_default=True,
    help="Address to serve the page on; 0.0.0.0 lets other machines see it.",
)
@click.option("--web-port", type=click.IntRange(1, 65535), default=8080, show_default=True)
@click.option("--seconds", type=FiniteRange(min=0, min_open=True), help="Exit after this many seconds.")
def view(port: int, bind: str, web_host: str, web_port: int, seconds: float | None) -> None:
    """Show the tracked hands in a browser."""
    from handmap.client.receiver import open_receiver

    from .view import HandViewer

    receiver = open_receiver(bind, port)
    page = HandViewer(web_host, web_port)
    click.echo(f"open {page.address} in a browser; receiving on {bind or 'any address'}:{receiver.port}")
    end_s = time.monotonic() + seconds if seconds is not None else float("inf")
    try:
        while time.monotonic() < end_s:
            page.step(receiver)
    except KeyboardInterrupt:
        pass
    finally:
        page.close()
        receiver.close()
