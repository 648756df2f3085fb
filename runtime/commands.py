"""The verbs `run`, `status`, `record`, `inspect`, `check` and `bench`; each imports heavy modules only when it runs."""

import faulthandler
import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from handmap.recording.stated import RecordingAt, read_stated, recording_options
from handmap.system.options import PATH, FiniteRange
from handmap.types.errors import ConfigError

if TYPE_CHECKING:
    from .bench import BenchReport
    from .retry import StopFlag

CONFIG = click.option(
    "--config",
    "config",
    type=PATH,
    required=True,
    help="YAML file; see configs/laptop_demo.yaml.",
)
STDERR = 2
BUNDLE = click.option("--bundle", type=PATH, required=True, help="Folder that `handmap export` wrote.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.command()
@CONFIG
@click.option("--validate", is_flag=True, help="Check everything that needs no camera, then exit.")
def run(config: Path, validate: bool) -> None:
    """Track hands and publish their joints over UDP.

    Runs until the recording ends or SIGTERM arrives; SIGHUP reloads the
    configuration, SIGUSR2 writes a snapshot of the flight recorder.
    """
    from .daemon import Daemon
    from .logs import finish_logging, start_logging
    from .reload import check_settings
    from .settings import read_settings

    settings = read_settings(config)
    if validate:
        bundle = check_settings(settings)
        click.echo(
            f"configuration {str(config)!r} is valid; bundle {bundle.id.hex()} at {str(bundle.path)!r} is intact"
        )
        return
    # The watchdog's SIGABRT then writes the stack of every thread to the journal.
    faulthandler.enable(STDERR)
    start_logging(settings.log)
    try:
        daemon = Daemon(settings, _stop_on_signals(), config)
        signal.signal(signal.SIGHUP, lambda *_: daemon.request_reload())
        signal.signal(signal.SIGUSR2, lambda *_: daemon.request_snapshot("signal"))
        daemon.run()
    finally:
        finish_logging()


@click.command()
@click.option("--config", type=PATH, help="Configuration file of the daemon to query.")
@click.option("--port", type=click.IntRange(1, 65535), help="The daemon's telemetry port; default: 9400.")
@click.option("--watch", is_flag=True, help="Show it every second until q or Ctrl-C.")
@JSON
def status(config: Path | None, port: int | None, watch: bool, as_json: bool) -> None:
    """Show what the daemon on this machine is doing.

    Exits with code 1 if no daemon answers.
    """
    import msgspec

    from .ask_daemon import ask_daemon, refuse_other
    from .status import format_status, status_port

    asked = status_port(config, port)
    if watch:
        from .status_watch import watch_status

        watch_status(asked, config, as_json)
        return
    facts = ask_daemon(asked)
    if config is not None:
        refuse_other(facts, config, asked)
    click.echo(json.dumps(msgspec.to_builtins(facts)) if as_json else format_status(facts))


@click.command()
@CONFIG
@click.option("--out", type=PATH, required=True, help="Recording to write; must not exist yet.")
@click.option(
    "--seconds",
    type=FiniteRange(min=0, min_open=True),
    help="Stop after this many seconds; default: on Ctrl-C or at the end.",
)
@JSON
def record(config: Path, out: Path, seconds: float | None, as_json: bool) -> None:
    """Record the depth camera as a ROS 2 bag."""
    from .record import record_frames
    from .settings import read_settings

    source = read_settings(config).camera.source()
    camera = source.open()
    try:
        frames = record_frames(camera, source.pace, out, seconds, _stop_on_signals())
    finally:
        camera.close()
    if as_json:
        click.echo(json.dumps({"recording": str(out), "frames": frames}))
    else:
        click.echo(
            f"{frames} frames of {camera.name} written to {str(out)!r}"
            if frames
            else "no frame arrived, nothing was written"
        )


@click.command()
@BUNDLE
@JSON
def check(bundle: Path, as_json: bool) -> None:
    """Check the hashes, tensors and golden samples of a bundle."""
    from dataclasses import asdict

    from handmap.bundle.manifest import read_bundle

    from .check import verify_bundle

    found = read_bundle(bundle)
    results = verify_bundle(found)
    if as_json:
        click.echo(json.dumps({"bundle": found.id.hex(), "precisions": [asdict(result) for result in results]}))
        return
    click.echo(f"bundle {found.id.hex()} at {str(bundle)!r}: manifest and hashes are correct")
    for result in results:
        distance = "" if result.golden_mm is None else f"{result.golden_mm:.4f} mm from the golden samples, "
        click.echo(f"  {result.precision}: {distance}{result.note}")


@click.command()
@BUNDLE
@click.option("--recording", type=PATH, help="Recording to run; default: demo_recording beside the bundle.")
@click.option("--precision", type=click.Choice(["fp32", "fp16", "int8"]), default="fp32", show_default=True)
@click.option("--threads", type=click.IntRange(1, 64), default=1, show_default=True, help="Threads of ONNX Runtime.")
@click.option("--skeleton/--no-skeleton", default=True, show_default=True, help="Whether the hand's bones are fitted.")
@recording_options
@JSON
def bench(
    bundle: Path, recording: Path | None, precision: str, threads: int, skeleton: bool, as_json: bool, topic: str | None,
    depth_unit_mm: float | None, intrinsics: str | None,
) -> None:  # fmt: skip
    """Time every stage of the daemon over a recording."""
    from handmap.bundle.manifest import read_bundle
    from handmap.engines.factory import EngineConfig, open_engines
    from handmap.tracking.fitted_hands import SkeletonConfig
    from handmap.tracking.tracker_settings import TrackingConfig, tracker_settings

    from .bench import run_bench as measure

    found = read_bundle(bundle)
    chosen = recording or bundle.parent / "demo_recording"
    if not chosen.exists():
        raise ConfigError(f"bench: no recording at {str(chosen)!r}; pass one with --recording")
    config = EngineConfig(precision=precision, threads=threads)  # type: ignore[arg-type]  # click checked it
    at = RecordingAt(chosen, read_stated(topic, depth_unit_mm, intrinsics))
    with open_engines(found, config) as engines:
        settings = tracker_settings(found, TrackingConfig(), skeleton=SkeletonConfig(skeleton))
        report = measure(found, engines, threads, at, settings)
    click.echo(json.dumps(report.as_json()) if as_json else _as_text(report))
    if report.note:
        click.echo(f"note: {report.note}", err=True)


@click.command()
@click.argument("recording", type=PATH)
@recording_options
@click.option("--sheet", type=PATH, help="PNG to write with frames from the whole recording.")
@JSON
def inspect(
    recording: Path, topic: str | None, depth_unit_mm: float | None, intrinsics: str | None, sheet: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Show what is in a recording, what of it is read, and why.

    Exits with code 1 if its depth cannot be read as it is.
    """
    from handmap.files.atomic import write_file
    from handmap.files.images import encode_png
    from handmap.recording.inspection import inspect_recording

    from .inspect_text import format_inspection

    at = RecordingAt(recording, read_stated(topic, depth_unit_mm, intrinsics))
    report, pixels = inspect_recording(at)
    if sheet is not None and pixels is not None:
        write_file(sheet, encode_png(pixels))
    click.echo(json.dumps(report) if as_json else format_inspection(report))
    if report["fault"] is not None:
        raise SystemExit(1)


def _as_text(report: "BenchReport") -> str:
    rows = [*report.stages.items(), ("end_to_end", report.end_to_end)]
    lines = [f"{'stage':<12}{'p50 ms':>9}{'p99 ms':>9}{'calls':>8}"]
    lines += [f"{name:<12}{stage.p50_ms:>9.3f}{stage.p99_ms:>9.3f}{stage.count:>8}" for name, stage in rows]
    load = " ".join(f"{value:.2f}" for value in report.load_average)
    lines.append(
        f"{report.fps:.1f} frames/s over {report.frames} frames with {report.hands} hands, {report.dropped} dropped, "
        f"{report.rss_mb:.0f} MB, {report.precision} on {report.threads} threads, load average {load}"
    )
    return "\n".join(lines)


def _stop_on_signals() -> "StopFlag":
    """A flag that SIGTERM and Ctrl-C set."""
    from .retry import StopFlag

    stop = StopFlag()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
