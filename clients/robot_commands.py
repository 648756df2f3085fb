"""The verb `robot`; dex-retargeting is imported only when it runs."""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import click

from handmap.system.options import PATH, FiniteRange

from .source import PacketSource, open_source, source_options


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
@source_options
@click.option("--count", type=click.IntRange(min=1), help="Exit after this many lines.")
@click.option("--seconds", type=FiniteRange(min=0, min_open=True), help="Exit after this many seconds.")
def robot(
    hand: str,
    urdf: Path | None,
    side: str | None,
    send: str | None,
    is_json: bool,
    source: PacketSource,
    count: int | None,
    seconds: float | None,
) -> None:
    """Turn the hand on the wire into angles of a robot hand.

    One line per camera frame. A hand that is lost is held for a moment, then the robot goes to its rest pose, then nothing is printed or
    sent until a hand is seen again. Needs: pip install 'handmap-edge[robot]'.
    """
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

        receiver = open_source(source)
        stack.callback(receiver.close)
        whose = loaded.hand.side.name.lower()
        click.echo(f"{hand}, a {whose} hand, listening for {source.shown}", err=True)
        follower = RobotFollower(solver, loaded.hand.side, lambda line: click.echo(line, err=True))
        with suppress(KeyboardInterrupt):
            follow_hand(receiver, follower, show, count, seconds)
