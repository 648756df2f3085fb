"""The verb `bridge`: hands as they arrive, passed on in the format of another program."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import click

from handmap.system.options import PATH, FiniteRange

from .source import PacketSource, open_source, source_options

Decorator: TypeAlias = Callable[[Callable[..., None]], Callable[..., None]]

SECONDS = click.option("--seconds", type=FiniteRange(min=0, min_open=True), help="Exit after this many seconds.")
OUT = click.option(
    "--out", type=PATH, required=True, help="Folder to write, which must not exist; it is there when the work is done."
)
AXES = click.option(
    "--axes",
    type=click.Choice(["camera", "ros"]),
    help="Axes of the daemon's publish.frame, if it is set: camera (x right, y down, z away) or ros (x forward, y left, z up).",
)


def _send(default_port: int) -> Decorator:
    return click.option(
        "--send", "target", default="127.0.0.1", show_default=True, metavar="HOST[:PORT]",
        help=f"Where to send to by UDP; the port is {default_port} unless stated.",
    )  # fmt: skip


@click.group()
def bridge() -> None:
    """Pass hands on in the format of another program.

    A live hand is passed on with every packet. One that is not heard of is held for a quarter of a second, then it is lost: formats
    that can say so say so, and in the others nothing is sent for it.
    """


@bridge.command()
@source_options
@AXES
@SECONDS
@click.option(
    "--send", "target", metavar="HOST[:PORT]",
    help="Send each line as a UDP datagram instead of printing it; the port is 5657 unless stated.",
)  # fmt: skip
def openxr(source: PacketSource, axes: str | None, seconds: float | None, target: str | None) -> None:
    """Print the 26 joints of OpenXR, a line of JSON at a time."""
    from .udp_sender import open_sender
    from .xr_lines import XR_PORT, xr_line

    if target is None:
        _pass_on(source, seconds, lambda moment: click.echo(xr_line(moment, axes)))
        return
    with open_sender(target, XR_PORT) as sender:
        _pass_on(source, seconds, lambda moment: sender.send([xr_line(moment, axes).encode()]), sender.name)


@bridge.command()
@source_options
@AXES
@SECONDS
@_send(39539)
def vmc(source: PacketSource, axes: str | None, seconds: float | None, target: str) -> None:
    """Move an avatar's fingers by the VMC protocol (OSC).

    The daemon must publish skeletons.
    """
    from .udp_sender import open_sender
    from .vmc import VMC_PORT, vmc_datagrams

    with open_sender(target, VMC_PORT) as sender:
        _pass_on(source, seconds, lambda moment: sender.send(vmc_datagrams(moment, axes)), sender.name)


@bridge.command()
@source_options
@AXES
@SECONDS
@_send(9000)
def hts(source: PacketSource, axes: str | None, seconds: float | None, target: str) -> None:
    """Send the text that hand-tracking-sdk reads.

    It is that of Hand Tracking Streamer. The daemon must publish skeletons.
    """
    from itertools import count

    from .hts import HTS_PORT, hts_datagrams
    from .udp_sender import open_sender

    frames = count()
    with open_sender(target, HTS_PORT) as sender:
        _pass_on(source, seconds, lambda moment: sender.send(hts_datagrams(moment, next(frames), axes)), sender.name)


@bridge.command()
@source_options
@AXES
@SECONDS
@OUT
def isaac(source: PacketSource, axes: str | None, seconds: float | None, out: Path) -> None:
    """Write an MCAP file that IsaacTeleop replays.

    It is hands.mcap in a new folder. The daemon must publish skeletons.
    """
    from .isaac import IsaacFile

    with IsaacFile(out, axes) as file:
        _pass_on(source, seconds, file.take, str(out))


@bridge.command()
@source_options
@SECONDS
@OUT
@click.option("--frame-id", help="Name of the frame that the joints are in; default: that of a depth camera.")
def ros(source: PacketSource, seconds: float | None, out: Path, frame_id: str | None) -> None:
    """Write a ROS 2 bag, as RViz and Foxglove show it.

    It has markers, joints and, with skeletons, poses and transforms.
    """
    from .ros_bag import HandBag

    with HandBag(out, frame_id) as bag:
        _pass_on(source, seconds, bag.take, str(out))


@bridge.command()
@source_options
@SECONDS
@OUT
@click.option(
    "--fps", type=click.IntRange(1, 240), default=30, show_default=True, help="Frames per second of the data set."
)
@click.option(
    "--gap-s",
    type=FiniteRange(min=0, min_open=True),
    default=2.0,
    show_default=True,
    help="Seconds without a hand after which the next one begins a new episode.",
)
@click.option("--task", default="hand tracking", show_default=True, help="What is being done, for the data set.")
def lerobot(
    source: PacketSource, seconds: float | None, out: Path, fps: int, gap_s: float, task: str
) -> None:  # fmt: skip
    """Write a LeRobot data set of both hands' joints (version 3.0)."""
    from handmap.files.atomic import no_names, refuse_foreign, refuse_unwritable

    from .lerobot_files import write_dataset
    from .lerobot_frames import EpisodeSampler

    refuse_foreign(out, no_names)
    refuse_unwritable(out)
    sampler = EpisodeSampler(fps, gap_s)
    _pass_on(source, seconds, sampler.take, str(out))
    write_dataset(out, sampler.finish(), fps, task)


def _pass_on(
    source: PacketSource, seconds: float | None, take: Callable[[Any], None], to: str = "standard output"
) -> None:
    """Receives until it is stopped."""
    from .hand_watch import pass_on
    from .listen import reception_summary

    receiver = open_source(source)
    click.echo(f"listening for {source.shown}, passing on to {to}", err=True)
    try:
        pass_on(receiver, take, lambda line: click.echo(line, err=True), source.hint, seconds)
    except KeyboardInterrupt:
        pass
    finally:
        receiver.close()
        click.echo(reception_summary(receiver.counts), err=True)
