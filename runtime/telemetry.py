"""Serves metrics for Prometheus at /metrics and the same facts as JSON at /status.json, on the loopback address only.

One thread answers all clients: at most 16 connections at a time, 2 s each, so that none can pile up threads or memory; when
all places are taken, the newest client gets that of the oldest. `handmap status` has a socket and places of its own, so
whatever happens on the port does not keep it waiting. Frames never wait for either: it reads what the main loop counts anyway,
at most four times per second.
"""

import asyncio
import logging
import os
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Final

import msgspec

from .endpoint import status_address
from .prometheus_metrics import METRICS_TYPE, metrics_page
from .snapshot import Sources, take_snapshot

LOG = logging.getLogger("handmap.telemetry")

HOST: Final = "127.0.0.1"
MAX_CONNECTIONS: Final = 16
LONGEST_S: Final = 2.0  # for a whole exchange
LONGEST_REQUEST_BYTES: Final = 8192
FRESH_S: Final = 0.25  # an answer is reused for this long: frequent requests cost the main loop nothing
BIND_AGAIN_S: Final = 5.0
JOIN_S: Final = 0.5


class Telemetry:
    """Serves for the duration of a `with` block. While the port is taken, the daemon runs on without telemetry, logs that once, and retries."""

    def __init__(self, port: int | None, sources: Sources) -> None:
        self._sources = sources
        self._pages: dict[bytes, tuple[str, Callable[[], bytes]]] = {
            b"/metrics": (METRICS_TYPE, metrics_page(sources)),
            b"/status.json": ("application/json", lambda: msgspec.json.encode(take_snapshot(self._sources))),
        }
        self._kept: dict[bytes, tuple[float, bytes]] = {}
        self._port = port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._change: asyncio.Event | None = None
        self._is_stopping = False
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="telemetry", daemon=True)

    def __enter__(self) -> "Telemetry":
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_stopping = True
        self._wake()
        self._thread.join(JOIN_S)

    def configure(self, port: int | None) -> None:
        """Serves on another port from now on, or on none."""
        self._port = port
        self._wake()

    def _wake(self) -> None:
        if self._loop is not None and self._change is not None:
            self._loop.call_soon_threadsafe(self._change.set)

    async def _serve(self) -> None:
        self._loop, self._change = asyncio.get_running_loop(), asyncio.Event()
        self._started.set()
        said_of: int | None = None
        while not self._is_stopping:
            self._change.clear()
            port = self._port
            listeners = self._listen(port, is_said=port == said_of)
            said_of = None if listeners else port
            try:
                wait_s = BIND_AGAIN_S if port is not None and not listeners else None
                await asyncio.wait_for(self._change.wait(), wait_s)
            except asyncio.TimeoutError:
                continue
            finally:
                for listener in listeners:
                    self._loop.remove_reader(listener)
                    listener.close()

    def _listen(self, port: int | None, is_said: bool) -> list[socket.socket]:
        """The sockets of the metrics and of `handmap status`; both or none."""
        if port is None or self._loop is None:
            return []
        try:
            with ExitStack() as opened:
                listeners = [opened.enter_context(socket.create_server((HOST, port)))]
                listeners.append(opened.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)))
                listeners[1].bind(status_address(port))
                listeners[1].listen()
                opened.pop_all()
        except OSError as error:
            if not is_said:
                LOG.warning(
                    "telemetry=off port=%d error=%r hint=%r", port, error.strerror or str(error),
                    "another program or daemon has the port; set telemetry.port to a free one, the daemon runs on without",
                )  # fmt: skip
            return []
        for listener in listeners:
            listener.setblocking(False)
            self._loop.add_reader(listener, self._accept, listener, {})
        LOG.info("telemetry=http://%s:%d/metrics", HOST, port)
        return listeners

    def _accept(self, listener: socket.socket, clients: "dict[asyncio.Task[None], None]") -> None:
        """Serves the next client; clients are those of this listener, the oldest first."""
        try:
            client, _ = listener.accept()
        except OSError:  # the client is gone already
            return
        if self._loop is None:
            client.close()
            return
        if len(clients) >= MAX_CONNECTIONS:
            oldest = next(iter(clients))
            del clients[oldest]
            oldest.cancel()
        client.setblocking(False)
        task = self._loop.create_task(self._meet(client))
        clients[task] = None
        task.add_done_callback(lambda done: clients.pop(done, None))
        task.add_done_callback(lambda _: client.close())  # also if the task is canceled before it starts

    async def _meet(self, client: socket.socket) -> None:
        """Answers one request, or gives up on a client that sends nothing or too much, does not read, or disconnects."""
        with suppress(asyncio.TimeoutError, OSError):
            await asyncio.wait_for(self._exchange(client), LONGEST_S)

    async def _exchange(self, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        request = b""
        while b"\r\n\r\n" not in request:
            part = await loop.sock_recv(client, LONGEST_REQUEST_BYTES)
            request += part
            if not part or len(request) > LONGEST_REQUEST_BYTES:
                return
        method, _, rest = request.partition(b" ")
        path = rest.split(b" ", 1)[0].split(b"?", 1)[0]
        if method == b"POST" and path == b"/snapshot" and client.family == socket.AF_UNIX:
            status, kind, body = "200 OK", "application/json", msgspec.json.encode(self._snapshot(client))
        elif method != b"GET" or path not in self._pages:
            status, kind, body = "404 Not Found", "text/plain", b"GET /metrics or GET /status.json\n"
        else:
            status, kind, body = "200 OK", self._pages[path][0], self._page(path)
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        await loop.sock_sendall(client, head.encode() + body)

    def _snapshot(self, client: socket.socket) -> dict[str, object]:
        """Asks for a snapshot for a program of root, of the daemon's own user, or of its group; such as `handmap snapshot`."""
        _, uid, gid = struct.unpack(
            "3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        )
        if uid not in (0, os.geteuid()) and gid != os.getegid():
            return {"refusal": "the daemon belongs to another user; run this as root, with: sudo handmap snapshot"}
        number = self._sources.ask_snapshot("asked")
        return (
            {"number": number}
            if number
            else {"refusal": "the daemon records nothing; set flight_recorder.enabled: true"}
        )

    def _page(self, path: bytes) -> bytes:
        """The page, rebuilt only if the last one is no longer fresh."""
        made_s, body = self._kept.get(path, (float("-inf"), b""))
        if time.monotonic() - made_s >= FRESH_S:
            body = self._pages[path][1]()
            self._kept[path] = (time.monotonic(), body)
        return body
