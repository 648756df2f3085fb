"""The examples of a page, as they stand there, by the heading above: those of docs/adapters.md unless another one is named."""

import re
import shlex
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from handmap.protocol.fields import DaemonState, MessageType
from handmap.protocol.packet import Packet, PacketHand, encode
from tests.support.processes import ROOT, free_port
from tests.support.wire_hands import golden_row, wire_hand

PAGE = ROOT / "docs/adapters.md"
ROWS = tuple(golden_row("natural", "tilted", side) for side in ("left", "right"))


def command_of(heading: str, verb: str = "bridge", page: Path = PAGE) -> list[str]:
    """The words of the first command with this verb below a heading, after the verb."""
    found = re.search(rf"^ +handmap {verb} ((?:.+\\\n)*.+)$", _section(heading, page), re.MULTILINE)
    assert found is not None, heading
    return shlex.split(found[1].replace("\\\n", " "))


def python_of(heading: str, page: Path = PAGE) -> str:
    """The Python below a heading."""
    return block_of(heading, "python", page)


def block_of(heading: str, language: str, page: Path) -> str:
    """The first block of a language below a heading."""
    found = re.search(rf"```{language}\n(.+?)```", _section(heading, page), re.DOTALL)
    assert found is not None, heading
    return found[1]


@contextmanager
def sending(port: int, hands: tuple[PacketHand, ...] | None = None) -> Iterator[None]:
    """Packets with both hands, every 10 ms, in a thread."""
    stop = threading.Event()
    shown = tuple(map(wire_hand, ROWS)) if hands is None else hands

    def send() -> None:
        number = 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            while not stop.wait(0.01):
                now_ns = time.monotonic_ns()
                packet = Packet(MessageType.JOINTS, DaemonState.TRACKING, 9, number, number, now_ns, now_ns, shown)
                out.sendto(encode(packet), ("127.0.0.1", port))
                number += 1

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def run_bridge(arguments: list[str], seconds: float, folder: Path) -> None:
    """Runs a command of the page for these seconds while hands arrive; what it writes goes into a folder."""
    from click.testing import CliRunner

    from clients.bridge_commands import bridge

    words = [str(folder / word) if before == "--out" else word for before, word in zip(["", *arguments], arguments)]  # noqa: B905
    if "--seconds" in words:
        del words[words.index("--seconds") : words.index("--seconds") + 2]
    port = free_port()
    with sending(port):
        options = ["--bind", "127.0.0.1", "--port", str(port), "--seconds", str(seconds)]
        done = CliRunner().invoke(bridge, [*words, *options], catch_exceptions=False)
    assert done.exit_code == 0, done.output


def _section(heading: str, page: Path = PAGE) -> str:
    sections = re.split(r"^## ", page.read_text(), flags=re.MULTILINE)
    return next(section for section in sections if section.startswith(f"{heading}\n"))
