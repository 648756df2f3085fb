"""The verbs `listen`, `discover` and `view`; viser and zeroconf are imported only by those that need them."""

import json
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import click

from handmap.protocol.fields import DEFAULT_CONTROL_PORT
from handmap.system.options import PATH, FiniteRange

from .source import LOOPBACK, PacketSource, endpoint, open_source, source_options

if TYPE_CHECKING:
    from handmap.client.session import PacketReceiver, Received
    from handmap.protocol.authentication import KeyRing

    from .preview_client import PreviewClient

    Show: TypeAlias = Callable[[Received], None]


@click.command()
@source_options
@click.option("--json", "is_json", is_flag=True, help="One JSON object per line, joints in meters.")
@click.option(
    "--stats", is_flag=True, help="Rate, loss, jitter and age instead of joints: a line per second, then a table."
)
@click.option("--record", "out", type=PATH, help="Also write every packet to this MCAP file, which must not exist.")
@click.option("--count", type=click.IntRange(min=1), help="Exit after this many packets.")
@click.option("--seconds", type=FiniteRange(min=0, min_open=True), help="Exit after this many seconds.")
def listen(
    source: PacketSource, is_json: bool, stats: bool, out: Path | None, count: int | None, seconds: float | None
) -> None:
    """Print packets as they arrive, then what was lost."""
    from .listen import Limits, StatsLines, TextLines, as_json, reception_summary
    from .listen import print_packets as listen_on

    with ExitStack() as stack:
        receiver = open_source(source)
        stack.callback(receiver.close)
        lines = StatsLines(click.echo, receiver, is_json) if stats else None
        text = (lambda received: click.echo(json.dumps(as_json(received)))) if is_json else TextLines(click.echo)
        show = lines or text
        if out is not None:
            show = _also_recorded(show, receiver, stack, out)
        click.echo(f"listening for {source.shown}", err=True)
        try:
            with suppress(KeyboardInterrupt):
                listen_on(receiver, show, lambda line: click.echo(line, err=True), source.hint, Limits(count, seconds))
        finally:
            if lines is None:
                click.echo(reception_summary(receiver.counts), err=True)
            else:
                lines.close()


def _also_recorded(show: "Show", receiver: "PacketReceiver", stack: ExitStack, out: Path) -> "Show":
    """Shows packets, and records what the socket receives."""
    from handmap.client.receiver import Receiver

    from .packet_file import NOT_KEPT, PacketRecorder

    if not isinstance(receiver, Receiver):
        raise click.UsageError("--record writes what arrives; leave out --replay")
    recorder = PacketRecorder(out)

    def end() -> None:
        if not recorder.keep_or_remove():
            click.echo(f"{out}: {NOT_KEPT}", err=True)

    stack.callback(end)
    receiver.tap = recorder.take_datagram

    def both(received: "Received") -> None:
        recorder.take(received)
        show(received)

    return both


@click.command()
@click.option("--seconds", type=FiniteRange(min=0.1, max=60), default=2.0, show_default=True, help="How long to look.")
@click.option("--json", "is_json", is_flag=True, help="A list of objects.")
def discover(seconds: float, is_json: bool) -> None:
    """Find the daemons on the local network.

    They announce themselves with publish.discovery: true.
    """
    from handmap.client.discovery import find_daemons

    found = find_daemons(seconds)
    if is_json:
        click.echo(json.dumps([asdict(daemon) for daemon in found]))
        return
    for daemon in found:
        click.echo(f"{daemon.name}: protocol {daemon.protocol}; handmap listen --from {daemon.address}:{daemon.port}")
    if not found:
        click.echo(
            "no daemon announces itself here; is publish.discovery true, and does the network pass multicast?", err=True
        )
        sys.exit(1)


@click.command()
@source_options
@click.option(
    "--preview",
    metavar="HOST[:PORT]",
    help="Where the daemon shows depth pictures, or off.  [default: on the host of --from, or this one]",
)
@click.option(
    "--web-host",
    default="127.0.0.1",
    show_default=True,
    help="Address to serve the page on; 0.0.0.0 lets other machines see it.",
)
@click.option(
    "--web-port",
    type=click.IntRange(1, 65535),
    help="TCP port of the page; refused if taken.  [default: 8080, or the next free one]",
)
@click.option("--recordings", type=PATH, help="Folder for what the page records.  [default: in your data folder]")
@click.option("--dark", "is_dark", is_flag=True, help="Light text on a dark page.")
@click.option("--seconds", type=FiniteRange(min=0, min_open=True), help="Exit after this many seconds.")
def view(
    source: PacketSource,
    preview: str | None,
    web_host: str,
    web_port: int | None,
    recordings: Path | None,
    is_dark: bool,
    seconds: float | None,
) -> None:
    """Show the hands and the depth picture in a browser."""
    if source.recording is not None and (preview is not None or recordings is not None):
        raise click.UsageError("--replay plays a recording; leave out --preview and --recordings")
    from .page.view_options import ViewOptions, default_recordings
    from .page.viewer import HandViewer

    options = ViewOptions(web_host, web_port, recordings or default_recordings(), source.hint, is_dark)
    end_s = time.monotonic() + seconds if seconds is not None else float("inf")
    with ExitStack() as stack:
        receiver = _open_shown(source)
        stack.callback(receiver.close)
        pictures = _open_preview(source, preview)
        if pictures is not None:
            stack.callback(pictures.close)
        page = HandViewer(receiver, options, pictures, _snapshots_of(source))
        stack.callback(page.close)
        click.echo(f"open {page.address} in a browser; listening for {source.shown}")
        with suppress(KeyboardInterrupt):
            while time.monotonic() < end_s:
                page.step()


def _open_shown(source: PacketSource) -> "PacketReceiver":
    """What the page shows: packets as they come, or a recording with a time bar."""
    if source.recording is None:
        return open_source(source)
    from .page.playback import Playback

    return Playback(source.recording)


def _snapshots_of(source: PacketSource) -> "Callable[[int], None] | None":
    """What asks the daemon with a control port for a snapshot; None where packets come from a recording."""
    if source.recording is not None:
        return None
    from handmap.client.snapshot import ask_snapshot

    keys = _keys_of(source)
    host = LOOPBACK if source.daemon is None else endpoint(source.daemon, DEFAULT_CONTROL_PORT, "--from")[0]
    return lambda port: ask_snapshot(host, port, keys)


def _keys_of(source: PacketSource) -> "KeyRing | None":
    from handmap.protocol.authentication import read_keys

    return None if source.key is None else read_keys(source.key)


def _open_preview(source: PacketSource, preview: str | None) -> "PreviewClient | None":
    if source.recording is not None or preview == "off":
        return None
    from handmap.protocol.preview import DEFAULT_PREVIEW_PORT

    from .preview_client import PreviewClient

    host, port = LOOPBACK, DEFAULT_PREVIEW_PORT
    if preview is not None:
        host, port = endpoint(preview, DEFAULT_PREVIEW_PORT, "--preview")
    elif source.daemon is not None:
        host, _ = endpoint(source.daemon, DEFAULT_CONTROL_PORT, "--from")
    return PreviewClient(host, port, _keys_of(source))
