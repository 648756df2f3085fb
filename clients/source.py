"""Where packets come from, as options of every verb that receives: a port of this machine, a multicast group, or a subscription."""

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from handmap.protocol.fields import DEFAULT_CONTROL_PORT, DEFAULT_PORT
from handmap.system.options import PATH
from handmap.types.errors import ConfigError

if TYPE_CHECKING:
    from handmap.client.session import PacketReceiver

LOOPBACK: Final = "127.0.0.1"
ANY: Final = "any"
SOURCE_PARAMETERS: Final = ("daemon", "port", "bind", "interface", "key", "recording")
_ENDPOINT: Final = re.compile(
    r"\[(?P<inside>[^\[\]]+)\](:(?P<port>\d{1,5}))?|(?P<host>[^\[\]:]+)(:(?P<other>\d{1,5}))?|(?P<ipv6>[^\[\]]+)"
)


@dataclass(frozen=True)
class PacketSource:
    """What the options of a verb say: the daemon to subscribe to, or the port to receive on, and the key."""

    daemon: str | None
    port: int
    bind: str
    interface: str
    key: Path | None
    recording: Path | None

    @property
    def shown(self) -> str:
        """Where packets come from, for people."""
        if self.recording is not None:
            return f"packets recorded in {self.recording}"
        if self.daemon is not None:
            return f"packets of the daemon at {self.daemon}"
        return f"packets at {'any address' if self.bind == ANY else self.bind}:{self.port}"

    @property
    def hint(self) -> str:
        """What to look at if nothing comes."""
        if self.recording is not None:
            return "nothing arrived at this place of the recording"
        if self.daemon is not None:
            return f"is the daemon running, and does publish.control of its configuration answer at {self.daemon}?"
        from_here = "; packets of other machines need --bind any, or --from HOST" if self.bind == LOOPBACK else ""
        return f"is the daemon running, and does publish.targets name port {self.port} of this machine{from_here}?"


def source_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options to a verb, which gets them as one `source`."""
    options = (
        click.option(
            "--from",
            "daemon",
            metavar="HOST[:PORT]",
            help=f"Subscribe to the daemon whose control port this is; default port: {DEFAULT_CONTROL_PORT}.",
        ),
        click.option(
            "--port", type=click.IntRange(0, 65535), help=f"UDP port to receive on.  [default: {DEFAULT_PORT}]"
        ),
        click.option(
            "--bind",
            help="Address to receive on: of this machine, any for all of them, or a multicast group.  [default: 127.0.0.1]",
        ),
        click.option("--interface", default="", help="Network interface to join a multicast group on."),
        click.option("--replay", "recording", type=PATH, help="File of `handmap listen --record` to play instead."),
        click.option("--key", type=PATH, help="File with the daemon's key; packets without it are refused."),
    )

    @functools.wraps(command)
    def with_source(
        *arguments: Any,
        daemon: str | None,
        port: int | None,
        bind: str | None,
        interface: str,
        key: Path | None,
        recording: Path | None,
        **more: Any,
    ) -> Any:
        is_local = port is not None or bind is not None or bool(interface)
        if daemon is not None and is_local:
            raise click.UsageError("--from subscribes at a daemon; leave out --port, --bind and --interface")
        if recording is not None and (daemon is not None or is_local or key is not None):
            # With a key only a sender that is there now can be trusted, and a recording is what an attacker would replay.
            raise click.UsageError(
                "--replay plays a recording; leave out --from, --port, --bind, --interface and --key"
            )
        source = PacketSource(
            daemon, DEFAULT_PORT if port is None else port, bind or LOOPBACK, interface, key, recording
        )
        return command(*arguments, source=source, **more)

    decorated: Callable[..., Any] = with_source
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


def open_source(source: PacketSource) -> "PacketReceiver":
    """The opened receiver. Raises ConfigError as its parts do."""
    from handmap.client.receiver import open_receiver, subscribe
    from handmap.protocol.authentication import read_keys

    if source.recording is not None:
        from .packet_file import PacketPlayer

        return PacketPlayer(source.recording)
    keys = None if source.key is None else read_keys(source.key)
    if source.daemon is not None:
        host, port = endpoint(source.daemon, DEFAULT_CONTROL_PORT, "--from")
        return subscribe(host, port, keys)
    return open_receiver("" if source.bind == ANY else source.bind, source.port, keys, source.interface)


def endpoint(text: str, default_port: int, option: str) -> tuple[str, int]:
    """Host and port of HOST, HOST:PORT, [IPv6]:PORT or a bare IPv6 address. Raises ConfigError for anything else."""
    found = _ENDPOINT.fullmatch(text.strip())
    host = found and (found["inside"] or found["host"] or found["ipv6"])
    port = int((found and (found["port"] or found["other"])) or default_port)
    if not host or not 1 <= port <= 65535 or "/" in host:
        raise ConfigError(
            f"{option} {text!r:.90}: wanted HOST or HOST:PORT, as in robot.local:{default_port} or [fd00::5]:{default_port}"
        )
    return host, port
