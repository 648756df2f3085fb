"""Serves depth pictures with what was found in them to `handmap view`, over TCP: on request, rate-limited, and only as fast as they are read.

The main loop copies a reduced picture when one is due for a viewer, and nothing otherwise. One thread encodes and sends. A viewer
that reads slowly gets fewer pictures, one that reads nothing is disconnected.
"""

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Final

from handmap.protocol.authentication import KeyRing
from handmap.protocol.preview import MAX_ASK_BYTES, Refusal, encode_preview
from handmap.system.timing import StageClock
from handmap.types.errors import PacketError
from handmap.types.values import DepthFrame, HandPose, HandRoi

from .outlet import Outlet
from .preview_handshake import hear, send
from .preview_picture import Seen, look, picture_of
from .settings import PreviewConfig
from .state import DaemonStatus

LOG = logging.getLogger("handmap.preview")

NEVER_S: Final = float("inf")
ASK_S: Final = 2.0  # for a viewer to say what it wants
STUCK_S: Final = 30.0  # for a viewer to read a picture
SEND_BUFFER_BYTES: Final = 128 * 1024  # what is under way to a slow viewer is old when it arrives
MAX_CONNECTIONS: Final = 32  # viewers, and those who have not said what they want
BIND_AGAIN_S: Final = 5.0
CLOSE_S: Final = 0.01
CANCEL_AGAIN_S: Final = 0.1
JOIN_S: Final = 0.5


class Preview:
    """Serves for the duration of a `with` block. While the port is taken, the daemon runs on without, logs that once, and retries."""

    def __init__(self, config: PreviewConfig | None) -> None:
        self._config = config
        self._outlet: Outlet | None = None
        self._due_s = NEVER_S  # when the main loop is to copy the next picture
        self._period_s = NEVER_S
        self._wanted_hz: dict[asyncio.Task[None], float] = {}  # by each viewer's task
        self._data = b""  # the newest picture, encoded
        self._number = 0  # of pictures so far
        self._loop: asyncio.AbstractEventLoop | None = None
        self._change = asyncio.Event()
        self._fresh = asyncio.Event()  # set once there is a newer picture
        self._clients: set[asyncio.Task[None]] = set()
        self._is_stopping = False
        self._started = threading.Event()
        self.problem = "not opened yet"
        self.refused = 0
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="preview", daemon=True)

    @property
    def config(self) -> PreviewConfig | None:
        """How it serves; None where it is off."""
        return self._config

    @property
    def viewers(self) -> int:
        """How many are being shown pictures."""
        return len(self._wanted_hz)

    @property
    def pictures(self) -> int:
        """Pictures since the start."""
        return self._number

    def __enter__(self) -> "Preview":
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_stopping = True
        self._call(self._change.set)
        self._thread.join(JOIN_S)

    def configure(self, config: PreviewConfig | None) -> None:
        """Serves as this says from now on, or not at all; viewers have to connect again."""
        self._config = config
        self._call(self._change.set)

    def follow(self, outlet: Outlet) -> None:
        """Takes over keys and published frame of a new outlet."""
        has_other_keys = self._outlet is not None and outlet.keys != self._outlet.keys
        self._outlet = outlet
        if has_other_keys:
            self._call(self._change.set)

    def offer(
        self,
        frame: DepthFrame,
        poses: Sequence[HandPose],
        proposals: Sequence[HandRoi],
        status: DaemonStatus,
        clock: StageClock,
    ) -> None:
        """Takes a picture of this frame if one is due."""
        now_s = time.monotonic()
        if now_s < self._due_s:
            return
        self._due_s = now_s + self._period_s
        rows = None if self._outlet is None else self._outlet.frame.rows
        self._call(self._take, look(frame, poses, proposals, status, clock, rows))

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        """Has the thread call it."""
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # it has just ended
                loop.call_soon_threadsafe(function, *arguments)

    def _take(self, seen: Seen) -> None:
        self._data = encode_preview(picture_of(seen))
        self._number += 1
        fresh, self._fresh = self._fresh, asyncio.Event()
        fresh.set()

    def _pace(self) -> None:
        """Sets how often the main loop takes a picture: as often as the most eager viewer wants."""
        limit_hz = 0.0 if self._config is None else self._config.max_hz
        rate_hz = min(max(self._wanted_hz.values(), default=0.0), limit_hz)
        self._period_s = 1 / rate_hz if rate_hz else NEVER_S
        self._due_s = 0.0 if rate_hz else NEVER_S

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._started.set()
        said_of: PreviewConfig | None = None
        while not self._is_stopping:
            self._change.clear()
            config = self._config
            listener = None if config is None else self._listen(config, is_said=config == said_of)
            said_of = None if listener is not None else config
            wait_s = BIND_AGAIN_S if config is not None and listener is None else None
            try:
                await asyncio.wait_for(self._change.wait(), wait_s)
            except asyncio.TimeoutError:
                continue
            finally:
                await self._hang_up(listener)
        self._loop = None

    def _listen(self, config: PreviewConfig, is_said: bool) -> socket.socket | None:
        family = socket.AF_INET6 if ":" in config.bind else socket.AF_INET
        try:
            listener = socket.create_server((config.bind, config.port), family=family)
        except OSError as error:
            self.problem = error.strerror or str(error)
            if not is_said:
                LOG.warning(
                    "preview=off bind=%s port=%d error=%r hint=%r", config.bind, config.port, self.problem,
                    "another program or daemon has the port, or this machine lacks the address: change preview; tried again",
                )  # fmt: skip
            return None
        listener.setblocking(False)
        asyncio.get_running_loop().add_reader(listener, self._accept, listener)
        self.problem = ""
        LOG.info("preview=%s:%d", config.bind, config.port)
        return listener

    async def _hang_up(self, listener: socket.socket | None) -> None:
        if listener is not None:
            asyncio.get_running_loop().remove_reader(listener)
            listener.close()
        while self._clients:
            for task in self._clients:
                task.cancel()
            # Until each has ended: before Python 3.12, wait_for forgets a cancellation that comes when its own wait is just over.
            await asyncio.wait(tuple(self._clients), timeout=CANCEL_AGAIN_S)
        await asyncio.sleep(CLOSE_S)  # transports close their sockets a few rounds later

    def _accept(self, listener: socket.socket) -> None:
        """Serves the next client, unless there are too many."""
        try:
            client, _ = listener.accept()
        except OSError:  # the client is gone already
            return
        if len(self._clients) >= MAX_CONNECTIONS:
            client.close()
            return
        client.setblocking(False)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        task = asyncio.ensure_future(self._meet(client))
        self._clients.add(task)
        task.add_done_callback(self._leave)
        task.add_done_callback(lambda _: client.close())  # if the task is canceled before it starts

    def _leave(self, task: "asyncio.Task[None]") -> None:
        self._clients.discard(task)
        if self._wanted_hz.pop(task, None) is not None:
            self._pace()

    async def _meet(self, client: socket.socket) -> None:
        """Shows pictures to one client until it leaves or is sent away."""
        # It may be gone, silent or stuck, or the daemon ends.
        with suppress(OSError, EOFError, asyncio.TimeoutError, asyncio.CancelledError):
            reader, writer = await asyncio.open_connection(sock=client, limit=MAX_ASK_BYTES)
            try:
                writer.transport.set_write_buffer_limits(0)
                await self._show(reader, writer)
            finally:
                writer.transport.abort()

    async def _show(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        try:
            ask = await asyncio.wait_for(hear(reader, writer, self._keys()), ASK_S)
            self._refuse_crowd()
        except PacketError as error:
            self.refused += 1
            await send(writer, Refusal(str(error)))
            writer.write_eof()
            await asyncio.wait_for(reader.read(), ASK_S)  # until it has been read
            return
        if task is None:
            return
        self._wanted_hz[task] = ask.max_hz
        self._pace()
        gone = asyncio.ensure_future(reader.read(1))  # a viewer has nothing more to say
        gone.add_done_callback(lambda _: task.cancel())
        shown = self._number
        while not gone.done():
            started_s = time.monotonic()
            if self._number == shown:
                await self._fresh.wait()
            shown = self._number
            writer.write(self._data)
            await asyncio.wait_for(writer.drain(), STUCK_S)
            await asyncio.sleep(max(started_s + 0.9 / ask.max_hz - time.monotonic(), 0))

    def _refuse_crowd(self) -> None:
        """Raises PacketError if there is no place for one more."""
        if self._config is None or self.viewers >= self._config.max_viewers:
            raise PacketError(f"preview: {self.viewers} viewers look already; close one, or raise preview.max_viewers")

    def _keys(self) -> KeyRing | None:
        return None if self._outlet is None else self._outlet.keys
