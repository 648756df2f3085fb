"""Where a bridge sends datagrams: HOST, HOST:PORT or [IPv6]:PORT, as an option states it."""

import socket

from handmap.types.errors import ConfigError

from .source import endpoint


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
    host, port = endpoint(target, default_port, "--send")
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
