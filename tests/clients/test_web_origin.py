"""The page of `handmap view` talks to its own page and to programs, not to a page of another site."""

import socket
import time
from collections.abc import Iterator
from unittest.mock import patch

import msgspec
import pytest
import viser
from viser import _messages
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from clients.page.server import close_server, open_server
from clients.page.web_origin import is_own_origin

NAME = socket.gethostname().lower()


@pytest.fixture
def port() -> Iterator[int]:
    server = open_server("127.0.0.1", None)
    yield server.get_port()
    close_server(server)


def receives(port: int, origin: str | None) -> bool:
    protocol = f"viser-v{viser.__version__}"
    with connect(f"ws://127.0.0.1:{port}", origin=origin, subprotocols=[protocol], proxy=None) as page:  # type: ignore[arg-type,list-item]  # plain text will do
        return len(page.recv(5)) > 0


def test_its_own_page_and_programs_connect(port: int) -> None:
    assert receives(port, f"http://127.0.0.1:{port}")
    assert receives(port, None)


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:3000", "https://127.0.0.1.evil.example"]
)
def test_a_page_of_another_site_is_refused(port: int, origin: str) -> None:
    with pytest.raises(InvalidStatus, match="403"):
        receives(port, origin)


def test_a_request_for_a_public_tunnel_opens_none(port: int) -> None:
    protocol = f"viser-v{viser.__version__}"
    with (
        patch("viser._viser.ViserTunnel") as tunnel,
        connect(f"ws://127.0.0.1:{port}", subprotocols=[protocol], proxy=None) as page,  # type: ignore[list-item]
    ):
        page.recv(5)
        page.send(viser_bytes(_messages.ShareUrlRequest()))
        time.sleep(1)

    assert not tunnel.called


def viser_bytes(message: object) -> bytes:
    """A message as a browser would send it."""
    return msgspec.msgpack.encode(message.as_serializable_dict())  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("origin", "host", "local_host", "expected"),
    [
        (None, "localhost:8080", "127.0.0.1", True),
        ("http://localhost:9000", "localhost:9000", "127.0.0.1", True),  # through ssh -L
        ("http://[::1]:8080", "[::1]:8080", "::1", True),
        (f"http://{NAME}:8080", f"{NAME}:8080", "192.168.1.5", True),
        (f"http://{NAME}.local:8080", f"{NAME}.local:8080", "::ffff:192.168.1.5", True),
        ("http://192.168.1.5:8080", "192.168.1.5:8080", "::ffff:192.168.1.5", True),
        ("http://192.168.1.6:8080", "192.168.1.6:8080", "192.168.1.5", False),
        ("http://evil.example:8080", "evil.example:8080", "127.0.0.1", False),  # DNS rebinding
        ("http://localhost:3000", "localhost:8080", "127.0.0.1", False),
        ("file://localhost:8080", "localhost:8080", "127.0.0.1", False),
        ("null", None, "127.0.0.1", False),
        ("", "", "127.0.0.1", False),
    ],
)
def test_origins_are_told_apart(origin: str | None, host: str | None, local_host: str, expected: bool) -> None:
    assert is_own_origin(origin, host, local_host) is expected
