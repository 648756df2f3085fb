"""Renders hands in several processes, which pass them on through shared memory.

Each drawing process owns a few slots and sends the number of each full slot; the consumer sends it back once it is free. The
memory is an anonymous file that the kernel frees with its last process, and a drawing process exits when its pipe closes,
so nothing is left behind, however the trainer ends. Torch is not imported here, because that would take two seconds.
"""

import mmap
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import DupFd
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from handmap.types.arrays import Bool, Float32
from handmap.types.errors import DatasetError
from handmap.types.joints import JOINT_COUNT

from ..synthesis.canvas import CANVAS_PX, EMPTY
from ..synthesis.synthetic import render_samples

SLOT_SAMPLES: Final = 64
SLOTS_EACH: Final = 3
CELLS: Final = CANVAS_PX * CANVAS_PX
NOTHING: Final = 32767  # packed: nothing was seen
FIRST_SEED: Final = 2_000_000_000  # beyond the cache's and validation's
SEED_SLOTS: Final = 2**40  # large enough that no two processes ever draw the same slot
JOINED_S: Final = 5.0
ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class Slots(NamedTuple):
    """Shared memory: canvas (S, 64, 160 * 160) int16 as `pack_canvas` gives it, joints_mm (S, 64, 21, 3) float32."""

    canvas: NDArray[np.int16]
    joints_mm: Float32


# Called with one slot: its canvases (64, 160 * 160) and joints (64, 21, 3), which are another's again when it returns.
Take = Callable[[NDArray[np.int16], Float32], None]


def pack_canvas(canvas: NDArray[np.int16], is_hand: Bool) -> NDArray[np.int16]:
    """Depth and mask as one: twice the depth plus one on the hand, NOTHING where the canvas is EMPTY. A canvas is 10,000 units deep."""
    return np.where(canvas == EMPTY, np.int16(NOTHING), canvas * np.int16(2) + is_hand)


class _Memory:
    """The open file of the slots; given to a process that is being spawned, it arrives there as its number."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __reduce__(self) -> tuple[Callable[[Any], int], tuple[Any]]:
        return _adopt, (DupFd(self._number),)


def _adopt(duplicate: Any) -> int:
    number: int = duplicate.detach()
    return number


class Drawers:
    """`count` processes that draw samples for ever, no two the same; use it as a context manager.

    What they draw follows from `key`; the order in which it arrives does not.
    """

    def __init__(self, count: int, key: tuple[int, ...]) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._count = count
        self._key = key
        self._pipes: list[Connection] = []
        self._processes: list[BaseProcess] = []

    def __enter__(self) -> "Drawers":
        slots = self._count * SLOTS_EACH
        memory = os.memfd_create("handmap-drawing")
        try:
            os.ftruncate(memory, slots * SLOT_SAMPLES * (CELLS * 2 + JOINT_COUNT * 3 * 4))
            self._slots = _map_slots(memory, slots)
            with _one_thread_each():
                for number in range(self._count):
                    ours, theirs = self._context.Pipe()
                    arguments = (_Memory(memory), slots, (*self._key, number), theirs)
                    process = self._context.Process(target=_draw, args=arguments, daemon=True)
                    process.start()
                    theirs.close()
                    self._pipes.append(ours)
                    self._processes.append(process)
        finally:
            os.close(memory)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join(JOINED_S)

    def collect(self, take: Take, wait_s: float = 0.0) -> None:
        """Hands every slot that is full by now to `take`, waiting up to wait_s for the first of them.

        Raises DatasetError where a drawer has died.
        """
        for pipe in wait(self._pipes, wait_s):
            assert isinstance(pipe, Connection)
            try:
                slot = pipe.recv()
                take(self._slots.canvas[slot], self._slots.joints_mm[slot])
                pipe.send(slot)
            except (EOFError, BrokenPipeError, ConnectionResetError) as error:
                number = self._pipes.index(pipe)
                self._processes[number].join(JOINED_S)
                raise DatasetError(
                    f"drawing process {number} of {self._count} ended with code {self._processes[number].exitcode}; start the "
                    f"training again to resume, with fewer pool.drawers if memory ran out"
                ) from error


def _draw(memory: int, slots: int, key: tuple[int, ...], pipe: Connection) -> None:
    """Fills its own slots, then whichever of them comes back, until the pipe has no other end."""
    os.nice(5)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # from a terminal it goes to everybody; the trainer ends us
    room = _map_slots(memory, slots)
    os.close(memory)
    random = np.random.default_rng(key)
    own = range(key[-1] * SLOTS_EACH, (key[-1] + 1) * SLOTS_EACH)
    try:
        for slot in chain(own, iter(pipe.recv, None)):
            seed = FIRST_SEED + SLOT_SAMPLES * int(random.integers(SEED_SLOTS))
            drawn = render_samples(seed, SLOT_SAMPLES)
            room.canvas[slot] = pack_canvas(drawn.canvas, drawn.is_hand).reshape(SLOT_SAMPLES, CELLS)
            room.joints_mm[slot] = drawn.joints_mm
            pipe.send(slot)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _map_slots(memory: int, slots: int) -> Slots:
    """The slots in an open file, which may be closed afterwards."""
    mapped = mmap.mmap(memory, 0)
    samples = slots * SLOT_SAMPLES
    canvas = np.frombuffer(mapped, np.int16, samples * CELLS)
    joints_mm = np.frombuffer(mapped, np.float32, samples * JOINT_COUNT * 3, canvas.nbytes)
    return Slots(canvas.reshape(slots, SLOT_SAMPLES, CELLS), joints_mm.reshape(slots, SLOT_SAMPLES, JOINT_COUNT, 3))


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started inside do linear algebra on one thread: there is one of them a core already."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
