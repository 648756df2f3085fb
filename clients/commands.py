"""The verbs `listen`, `view` and `robot`; viser and dex-retargeting are imported only when theirs run."""

import json
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import click

from handmap.protocol.fields import DEFAULT_PORT
from handmap.system.options import PATH, FiniteRange

PORT = click.option(
    "--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True, help="UDP port to receive on."
)
BIND = click.option("--bind", default="", help="Address to receive on; default: all addresses of this machine.")


@click.command()
@PORT
@BIND
@click.option("--json", "is_json", is_flag=True, help="One JSON object per line, joints in meters.")
@click.option("--count", type=click.IntRange(min=1), help="Exit after this many packets.")
@click.option("--seconds", type=FiniteRange(min=0, min_open=True), help="Exit after this many seconds.")
def listen(port: int, bind: str, is_json: bool, count: int | None, seconds: float | None) -> None:
    """Print packets as they arrive, then what was lost."""
    from handmap.client.receive import open_receiver

    from .listen import TextLines, as_json, reception_summary
    from .listen import print_packets as listen_on

    receiver = open_receiver(bind, port)
    show = (lambda received: click.echo(json.dumps(as_json(received)))) if is_json else TextLines(click.echo)
    click.echo(f"listening on {bind or 'any address'}:{receiver.port}", err=True)
    try:
        listen_on(receiver, show, lambda line: click.echo(line, err=True), count, seconds)
    except KeyboardInterrupt:
        pass
    finally:
        receiver.close()
        click.echo(reception_summary(receiver.counts), err=True)


@click.command()
@PORT
@BIND
@click.option(
    "--web-host",
    default="127.0.0.1",
    show_default=True,
    help="Address to serve the page on; 0.0.0.0 lets other machines see it.",
)
@click.option("--web-port", type=click.IntRange(1, 65535), default=8080, show_default=True)
@click.option("--seconds", type=FiniteRange(min=0, min_open=True), help="Exit after this many seconds.")
def view(port: int, bind: str, web_host: str, web_port: int, seconds: float | None) -> None:
    """Show the tracked hands in a browser."""
    from handmap.client.receive import open_receiver

    from .view import HandViewer

    receiver = open_receiver(bind, port)
    page = HandViewer(web_host, web_port)
    click.echo(f"open {page.address} in a browser; receiving on {bind or 'any address'}:{receiver.port}")
    end_s = time.monotonic() + seconds if seconds is not None else float("inf")
    try:
        while time.monotonic() < end_s:
            page.step(receiver)
    except KeyboardInterrupt:
        pass
    finally:
        page.close()
        receiver.close()


@click.command()
@click.option("--hand", default="plain", show_default=True, help="The robot hand: plain, inspire, allegro or leap.")
@click.option("--urdf", type=PATH, help="The URDF of that hand; plain comes with its own.")
@click.option(
    "--side",
    type=click.Choice(["left", "right"]),
    help="Left or right hand; default: that of the URDF, and right for plain.",
)
@click.option("--send", metavar="HOST:PORT", help="Send every line to this UDP address too, as JSON.")
@click.option("--json", "is_json", is_flag=True, help="One JSON object per line, angles in radians by joint.")
@PORT
@BIND
@click.option("--count", type=click.IntRange(min=1), help="Exit after this many lines.")
@click.option("--seconds", type=FiniteRange(min=0, min_open=True), help="Exit after this many seconds.")
def robot(
    hand: str,
    urdf: Path | None,
    side: str | None,
    send: str | None,
    is_json: bool,
    port: int,
    bind: str,
    count: int | None,
    seconds: float | None,
) -> None:
    """Turn the hand on the wire into angles of a robot hand.

    One line per camera frame. A hand that is lost is held for a moment, then the robot goes to its rest pose, then nothing is printed or
    sent until a hand is seen again. Needs: pip install 'handmap-edge[robot]'.
    """
    from handmap.client.receive import open_receiver

    from .robot import RobotFollower, RobotFrame, follow_hand
    from .robot_hands import SIDES, load_hand
    from .robot_output import AngleSender, as_json_line, as_text

    loaded = load_hand(hand, urdf, SIDES[side] if side else None)
    from .retarget import Retargeter

    with ExitStack() as stack:
        solver = Retargeter(loaded)
        words = as_json_line if is_json else as_text
        shows: list[Callable[[RobotFrame], None]] = [lambda frame: click.echo(words(solver.names, frame))]
        if send:
            sender = AngleSender(send, solver.names, lambda line: click.echo(line, err=True))
            stack.callback(sender.close)
            shows.append(sender)

        def show(frame: RobotFrame) -> None:
            for each in shows:
                each(frame)

        receiver = open_receiver(bind, port)
        stack.callback(receiver.close)
        whose = loaded.hand.side.name.lower()
        click.echo(f"{hand}, a {whose} hand, listening on {bind or 'any address'}:{receiver.port}", err=True)
        follower = RobotFollower(solver, loaded.hand.side, lambda line: click.echo(line, err=True))
        with suppress(KeyboardInterrupt):
            follow_hand(receiver, follower, show, count, seconds)
