"""Where a bridge sends datagrams: HOST, HOST:PORT or [IPv6]:PORT, as an option states it."""

import re
import socket

from handmap.types.errors import ConfigError

_TARGET = re.compile(r"(?:\[(?P<v6>[^\]]+)\]|(?P<host>[^:\[\]]+))(?::(?P<port>\d{1,5}))?")


class UdpSender:
    """A socket that sends to one address. What cannot be sent just now is dropped: the next moment is sent again."""

    def __init__(self, out: socket.socket, name: str) -> None:
        self._socket = out
        self.name = name

    def send(self, datagrams: list[bytes]) -> None:
        """Sends them, or drops what the network or a receiver that is not there refuses."""
        for datagram in datagrams:
            try:
                self._socket.send(datagram)
            except OSError:
                return

    def __enter__(self) -> "UdpSender":
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()


def open_sender(target: str, default_port: int) -> UdpSender:
    """Opens a socket to a target. Raises ConfigError if it is not an address, or its name does not resolve."""
    host, port = parse_target(target, default_port)
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    except (socket.gaierror, UnicodeError) as error:
        raise ConfigError(
            f"sending to {target!r:.90}: the name does not resolve to an address; correct the host after --send"
        ) from error
    out = socket.socket(family, kind)
    try:
        out.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        out.connect(address)
    except OSError as error:
        out.close()
        raise ConfigError(
            f"sending to {target!r:.90}: no network of this machine leads there ({error.strerror or error}); correct the host after --send"
        ) from error
    return UdpSender(out, f"{host}:{port}")


def parse_target(target: str, default_port: int) -> tuple[str, int]:
    """Host and port. Raises ConfigError."""
    found = _TARGET.fullmatch(target)
    port = default_port if found is None or found["port"] is None else int(found["port"])
    if found is None or not 1 <= port <= 65535:
        raise ConfigError(
            f"sending to {target!r:.90}: wanted HOST or HOST:PORT with a port from 1 to 65535, an IPv6 address in brackets; correct "
            "what follows --send"
        )
    return found["v6"] or found["host"], port
