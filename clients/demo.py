"""`make demo`: starts the daemon and the view, receives alongside them, and reports whether valid hands arrived.

Run it with `python -m clients.demo`.
"""

import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import click

from handmap.client.receiver import Receiver, open_receiver
from handmap.client.session import Received
from handmap.protocol.fields import DEFAULT_PORT, HandFlags, MessageType
from handmap.system.options import PATH, FiniteRange
from handmap.types.errors import EXIT_CONFIG, HandmapError

from .listen import format_packet, reception_summary

CONFIG = Path(__file__).resolve().parent.parent / "configs" / "laptop_demo.yaml"
LINE_EVERY_S = 1.0
START_S = 30.0  # a slow machine can take this long to send its first packet
STOP_S = 3.0


@click.command()
@click.option("--config", type=PATH, default=CONFIG, help="The daemon's configuration file.")
@click.option("--seconds", type=FiniteRange(min=1), help="Exit this long after the first packet; default: on Ctrl-C.")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="UDP port of the first target.",
)
@click.option(
    "--view-port",
    type=click.IntRange(1, 65535),
    default=DEFAULT_PORT + 1,
    show_default=True,
    help="UDP port of the second target.",
)
@click.option(
    "--web-port",
    type=click.IntRange(1, 65535),
    help="TCP port of the page; refused if taken.  [default: 8080, or the next free one]",
)
def demo(config: Path, seconds: float | None, port: int, view_port: int, web_port: int | None) -> None:
    """Show the whole path on this machine; exit code 0 only if valid hands arrived."""
    receiver = open_receiver("127.0.0.1", port)
    with ExitStack() as stack:
        stack.callback(receiver.close)
        try:
            page = _start_page(stack, view_port, web_port)
            daemon = _start(stack, "run", "--config", str(config))
            hands = watch(receiver, [daemon, page], seconds)
            problem = _problem(hands, [daemon, page])
        except KeyboardInterrupt:
            problem = None  # Ctrl-C: whoever was watching has seen enough
    click.echo(reception_summary(receiver.counts))
    if problem is not None:
        click.echo(f"demo: {problem} above", err=True)
        sys.exit(1)


def _problem(hands: int, processes: list[subprocess.Popen[str]]) -> str | None:
    """What went wrong and where to look for the reason."""
    if any(process.poll() for process in processes):
        return "the daemon or the page failed; see its message"
    return None if hands else "no valid hand arrived; see the daemon's log"


def watch(receiver: Receiver, processes: list[subprocess.Popen[str]], seconds: float | None) -> int:
    """Prints one line per second until a process exits or, counted from the first packet, the time is up.

    Returns the number of valid hands.
    """
    end_s = time.monotonic() + START_S if seconds is not None else float("inf")
    frames = hands = 0
    newest: Received | None = None
    line_s = time.monotonic()
    while time.monotonic() < end_s and all(process.poll() is None for process in processes):
        received = receiver.wait(0.1)
        if received is not None:
            if newest is None and seconds is not None:
                end_s = time.monotonic() + seconds
            is_frame = received.packet.message_type is MessageType.JOINTS
            frames += is_frame
            if is_frame or not frames:  # a heartbeat has no hands: it is shown only if no frame came in that second
                newest = received
            hands += sum(1 for hand in received.packet.hands if hand.flags & HandFlags.VALID)
        now_s = time.monotonic()
        if now_s - line_s >= LINE_EVERY_S:
            rate_hz, frames, line_s = frames / (now_s - line_s), 0, now_s
            click.echo(_line(newest, rate_hz))
    return hands


def _line(newest: Received | None, rate_hz: float) -> str:
    if newest is None:
        return "waiting for the daemon"
    if newest.packet.message_type is MessageType.HEARTBEAT:
        return f"{newest.packet.state.name:<9} no frame"
    hands = "; ".join(format_packet(hand) for hand in newest.packet.hands) or "no hand"
    latency = "" if newest.latency_ms is None else f"{newest.latency_ms:5.1f} ms  "
    return f"{newest.packet.state.name:<9} {rate_hz:5.1f} frames/s  {latency}{hands}"


def _start_page(stack: ExitStack, view_port: int, web_port: int | None) -> subprocess.Popen[str]:
    """Starts the page, and prints its one line, its address, once it is served; it may fail instead."""
    ports = ["--port", str(view_port), *([] if web_port is None else ["--web-port", str(web_port)])]
    page = _start(stack, "view", "--bind", "127.0.0.1", *ports, stdout=subprocess.PIPE)
    assert page.stdout is not None
    stack.callback(page.stdout.close)
    click.echo(page.stdout.readline(), nl=False)
    return page


def _start(stack: ExitStack, *arguments: str, stdout: int | None = None) -> subprocess.Popen[str]:
    """Starts a `handmap` process, which is terminated, then killed if need be, when the stack unwinds."""
    process = subprocess.Popen([sys.executable, "-m", "handmap", *arguments], stdout=stdout, text=True)
    stack.callback(_stop, process)
    return process


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


if __name__ == "__main__":
    try:
        demo()
    except HandmapError as error:
        click.echo(f"demo: {error}", err=True)
        sys.exit(EXIT_CONFIG)
