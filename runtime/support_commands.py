"""The verbs `snapshot` and `doctor`, for when something is wrong; each imports heavy modules only when it runs."""

import json
from pathlib import Path

import click

from handmap.system.options import PATH
from handmap.types.errors import ConfigError

JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.command()
@click.option("--config", type=PATH, help="Configuration file of the daemon to ask.")
@click.option("--port", type=click.IntRange(1, 65535), help="The daemon's telemetry port; default: 9400.")
@click.option("--out", type=PATH, help="Also copy it there: a new folder, or a .mcap file.")
@JSON
def snapshot(config: Path | None, port: int | None, out: Path | None, as_json: bool) -> None:
    """Write the daemon's last seconds to disk, for replay.

    Exits with code 1 if no daemon answers, or it cannot write.
    """
    from handmap.files.outputs import refuse_taken

    from .ask_daemon import ask_daemon, refuse_other
    from .flight.ask import ask_snapshot, copy_snapshot
    from .status import status_port

    asked = status_port(config, port)
    if out is not None:
        refuse_taken(out)
    if config is not None:
        refuse_other(ask_daemon(asked), config, asked)
    outcome = ask_snapshot(asked)
    path = Path(outcome.path)
    if out is not None:
        copy_snapshot(path, out)
        path = out
    if as_json:
        click.echo(json.dumps({"snapshot": str(path), "frames": outcome.frames, "seconds": outcome.seconds}))
    else:
        click.echo(f"{outcome.seconds:.1f} s, {outcome.frames} frames, written to {str(path)!r}")


@click.command()
@click.option("--config", type=PATH, help="The daemon's configuration; default: /etc/handmap/config.yaml.")
@click.option("--image", type=PATH, help="Root file system to examine instead of this machine.")
@click.option("--collect", type=PATH, metavar="OUT.tar.zst", help="Write a bundle for support there.")
@click.option("--snapshot", "with_snapshot", is_flag=True, help="Add the last snapshot to it: depth images!")
@click.option("--bench", "with_bench", is_flag=True, help="Run the benchmark for it.")
@JSON
def doctor(
    config: Path | None, image: Path | None, collect: Path | None, with_snapshot: bool, with_bench: bool, as_json: bool
) -> None:
    """Find problems of the daemon, and how to fix them.

    Exits with code 1 if a check fails.
    """
    from .doctor.context import DoctorContext
    from .doctor.report import format_report, open_machine, run_checks

    if collect is None and (with_snapshot or with_bench):
        raise ConfigError(
            "doctor: --snapshot and --bench add to a bundle for support; name one with --collect OUT.tar.zst"
        )
    from .doctor.collect import Wanted, collect_support, refuse_out

    if collect is not None:
        refuse_out(collect)
    context = DoctorContext(open_machine(image), config)
    report = run_checks(context)
    if collect is not None:
        missing = collect_support(collect, context, report, Wanted(with_snapshot, with_bench))
        click.echo(
            f"written to {str(collect)!r}; look at it before you send it. Not in it: {', '.join(missing) or 'nothing'}",
            err=True,
        )
    click.echo(json.dumps(report.as_json()) if as_json else format_report(report))
    raise SystemExit(report.exit_code)
