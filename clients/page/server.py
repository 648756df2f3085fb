"""The web server of the page: viser's, without what would make the page public."""

import http
import io
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import partial
from typing import Any

import viser
import websockets.asyncio.server

from handmap.types.errors import ConfigError

from .view_options import DEFAULT_PAGE_PORT
from .web_origin import is_own_origin


def open_server(host: str, port: int | None) -> viser.ViserServer:
    """A server on this address; without a port, on DEFAULT_PAGE_PORT or the next free one.

    Raises ConfigError for a foreign address, and for a port that is taken.
    """
    _refuse_foreign(host)
    if port is not None:
        _refuse_taken(host, port)
    # It logs an error for every connection closed before a request, which browsers and port scanners cause.
    logging.getLogger("websockets").setLevel(logging.CRITICAL)
    # viser prints a banner with addresses of its own
    with redirect_stdout(io.StringIO()), _own_origins_only():
        server = viser.ViserServer(host=host, port=port or DEFAULT_PAGE_PORT, label="HandMap", verbose=False)
    # The tunnel would make the page public; the request is answered in silence, whoever makes it.
    server.request_share_url = lambda verbose=True: None  # type: ignore[method-assign]  # viser has no option for it
    return server


def address_of(server: viser.ViserServer) -> str:
    """The URL for a browser on this machine."""
    host = server.get_host()
    shown = "localhost" if host in ("0.0.0.0", "127.0.0.1") else host
    return f"http://{shown}:{server.get_port()}"


def close_server(server: viser.ViserServer) -> None:
    """Stops serving."""
    with redirect_stdout(io.StringIO()):  # viser prints a message
        server.stop()


@contextmanager
def _own_origins_only() -> Iterator[None]:
    """Servers that are started in this block refuse WebSockets that a page of another site opens; viser has no option for it."""
    serve = websockets.asyncio.server.serve

    def guarded(*arguments: Any, process_request: Callable[..., Any], **options: Any) -> Any:
        return serve(*arguments, process_request=partial(_refuse_other_origin, process_request), **options)

    websockets.asyncio.server.serve = guarded  # type: ignore[assignment,misc]  # a drop-in for the time of the block
    try:
        yield
    finally:
        websockets.asyncio.server.serve = serve  # type: ignore[misc]


def _refuse_other_origin(process_request: Callable[..., Any], connection: Any, request: Any) -> Any:
    origins, hosts = (request.headers.get_all(name) for name in ("Origin", "Host"))
    local_host = str(connection.local_address[0])
    if len(origins) > 1 or not is_own_origin(next(iter(origins), None), next(iter(hosts), None), local_host):
        return connection.respond(http.HTTPStatus.FORBIDDEN, "HandMap: a page of another site may not connect\n")
    return process_request(connection, request)


def _refuse_foreign(host: str) -> None:
    """Raises ConfigError for an address that does not belong to this machine: viser would try one port after another forever."""
    try:
        socket.create_server((host, 0)).close()
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            f"view: the page cannot be served on {host!r:.90} ({error}); pass an address of this machine with --web-host"
        ) from error


def _refuse_taken(host: str, port: int) -> None:
    """Raises ConfigError for a port that this program cannot have: viser would take the next one."""
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        raise ConfigError(
            f"view: the page cannot be served on port {port} of {host!r:.90} ({error.strerror}), wanted a free port; "
            "pass another --web-port, or leave it out for the next free one"
        ) from error
