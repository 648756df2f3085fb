"""The receiver for asyncio: the same packets, without blocking the event loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

from handmap.client.receiver import open_receiver, subscribe
from handmap.client.session import Received
from handmap.protocol.authentication import KeyRing
from handmap.protocol.fields import DEFAULT_CONTROL_PORT, DEFAULT_PORT

MAX_WAIT_S: Final = 0.05  # how often a daemon is asked what is due, at least


async def receive_async(
    host: str | None = None, port: int | None = None, *, bind: str = "", keys: KeyRing | None = None
) -> AsyncIterator[Received]:
    """Every packet, forever, as `handmap.client.receive` gives them.

    Close the generator (contextlib.aclosing) to end it at once.
    """
    if host is not None:
        receiver = subscribe(host, DEFAULT_CONTROL_PORT if port is None else port, keys)
    else:
        receiver = open_receiver(bind, DEFAULT_PORT if port is None else port, keys)
    readable = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(receiver.fileno(), readable.set)
    try:
        while True:
            readable.clear()
            while (received := receiver.wait(0)) is not None:
                yield received
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(readable.wait(), MAX_WAIT_S)
    finally:
        loop.remove_reader(receiver.fileno())
        receiver.close()
