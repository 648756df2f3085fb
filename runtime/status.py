"""`handmap status`: queries the daemon running on this machine."""

from pathlib import Path

from handmap.engines.engine import GpuMemory
from handmap.skeleton.hand_size import LEARNING_S
from handmap.types.errors import ConfigError

from .flight.facts import FlightFacts
from .port_facts import ControlFacts, PreviewFacts
from .quality import HandQuality
from .settings import TelemetryConfig, read_settings
from .snapshot import HandSizeFacts, Snapshot


def status_port(config: Path | None, port: int | None) -> int:
    """The port to query: the one given, else that of the configuration, else the default.

    Raises ConfigError if both are given, or if telemetry is disabled in the configuration.
    """
    if config is not None and port is not None:
        raise ConfigError("--config and --port both say which daemon to ask; pass one of them")
    if port is not None:
        return port
    telemetry = TelemetryConfig() if config is None else read_settings(config).telemetry
    if telemetry.port is None:
        raise ConfigError(
            f"configuration {str(config)!r} disables telemetry, so the daemon cannot be queried; set telemetry.port"
        )
    return telemetry.port


def format_status(now: Snapshot) -> str:
    """The facts as text for a terminal."""
    reason = f" ({now.reason})" if now.reason else ""
    heat = now.thermal
    rows = [
        ("state", f"{now.state}{reason}; running for {span(now.uptime_s)} as process {now.pid}"),
        (
            "config",
            now.config
            + (f"\nlast reload refused, old configuration kept: {now.reload.refusal}" if now.reload.refusal else ""),
        ),
        (
            "bundle",
            f"{now.bundle or 'not read yet'}{f', {now.engine} {now.precision}' if now.engine else ''}, {now.inferences} inferences",
        ),
        *([("warning", now.warning)] if now.warning else []),
        ("camera", f"{now.camera}\n{camera_rate(now)}" if now.camera else "not opened yet"),
        ("hands", f"{now.hands} now, {now.rate_hz:.1f} frames/s"),
        *(("hand", _quality(hand)) for hand in now.hand_qualities),
        *(("size", _size(hand)) for hand in now.hand_sizes),
        (
            "frames",
            _counts(
                published=now.published,
                dropped=now.dropped,
                skipped=now.skipped,
                throttled=now.throttled,
                late=now.late,
                refused=now.refused,
            ),
        ),
        ("restarts", _counts(**now.restarts)),
        ("heat", heat_text(heat.band, heat.every_nth_frame, heat.temperatures_c)),
        *([("gpu", gpu_text(now.gpu_memory))] if now.gpu_memory else []),
    ]
    slowed = [name for name, is_slowed in heat.throttling.items() if is_slowed]
    if slowed or heat.throttle_events:
        rows.append(("throttled", f"{', '.join(slowed) or 'nothing now'}; {_counts(**heat.throttle_events)}"))
    for target in now.targets:
        failing = ", FAILING NOW" if target.is_failing else ""
        rows.append(
            (
                "target",
                f"{target.name}: {target.packets} packets, {_bytes(target.sent_bytes)}, {target.errors} errors{failing}",
            )
        )
    if now.control is not None:
        rows.append(("control", _control(now.control)))
    if now.preview is not None:
        rows.append(("preview", _preview(now.preview)))
    if now.flight is not None:
        rows.append(("recorder", _flight(now.flight)))
    lines = [f"{name:<10}{line}" for name, text in rows for name, line in _hanging(name, text)]
    if now.stages:
        lines += ["", f"{'stage':<10}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}"]
        lines += [f"{name:<10}{s.p50_ms:>9.2f}{s.p99_ms:>9.2f}{s.max_ms:>9.2f}" for name, s in now.stages.items()]
    return "\n".join(lines)


def _flight(flight: FlightFacts) -> str:
    counts = _counts(skipped=flight.skipped, written=flight.written, failed=flight.failed)
    kept = f"{flight.seconds:.1f} s, {flight.frames} frames, {_bytes(flight.bytes)} kept; {counts}"
    return "\n".join([kept, *filter(None, [flight.newest, flight.problem])])


def _control(control: ControlFacts) -> str:
    if control.problem:
        return f"{control.name}: NOT OPEN, {control.problem}"
    counts = _counts(answered=control.answered, refused=control.refused, errors=control.errors)
    taken = f"{len(control.subscribers)} of {control.max_subscribers} subscribers"
    return "\n".join([f"{control.name}: {taken}; {counts}", *(f"subscriber {name}" for name in control.subscribers)])


def _preview(preview: PreviewFacts) -> str:
    if preview.problem:
        return f"{preview.name}: NOT OPEN, {preview.problem}"
    counts = _counts(pictures=preview.pictures, refused=preview.refused)
    return f"{preview.name}: {preview.viewers} of {preview.max_viewers} viewers; {counts}"


def _hanging(name: str, text: str) -> list[tuple[str, str]]:
    return [(name if index == 0 else "", line) for index, line in enumerate(text.split("\n"))]


def _size(hand: HandSizeFacts) -> str:
    learned = "" if hand.is_held else f", learned for {hand.learned_s:.1f} of {LEARNING_S:.0f} s"
    return f"track {hand.track_id}, {hand.hand}: {hand.length_mm:.0f} mm long, give or take {hand.expected_error_mm:.0f} mm{learned}"


def _quality(hand: HandQuality) -> str:
    fit = "" if hand.residual_mm is None else f", {hand.residual_mm:.1f} mm from its fit"
    depth = "" if hand.missing_depth is None else f", {100 * hand.missing_depth:.0f} % without depth"
    return (
        f"track {hand.track_id}, {hand.side}: confidence {hand.confidence:.2f}, error {hand.expected_error_mm:.1f} mm{fit}, "
        f"{hand.distance_mm / 1e3:.2f} m away{depth}"
    )


def camera_rate(now: Snapshot) -> str:
    """The camera's rate, and the one that it was asked for."""
    asked = "" if now.asked_rate_hz is None else f" of {now.asked_rate_hz:.1f}"
    return f"{now.camera_rate_hz:.1f}{asked} frames/s"


def gpu_text(memory: GpuMemory) -> str:
    """The GPU's memory."""
    return f"{memory.used_bytes / 1e9:.1f} of {memory.total_bytes / 1e9:.1f} GB in use"


def _counts(**values: int) -> str:
    return ", ".join(f"{value} {name}" for name, value in values.items())


def heat_text(band: str, every_nth_frame: int, temperatures_c: dict[str, float]) -> str:
    """The zones, the hottest first, and what the heat does to the rate."""
    rate = "" if every_nth_frame == 1 else f", every {every_nth_frame}th frame is processed".replace("2th", "2nd")
    if not temperatures_c:
        return "no thermal zone can be read" + rate
    zones = sorted(temperatures_c.items(), key=lambda zone: -zone[1])
    return f"{band}{rate}: " + ", ".join(f"{name} {degrees_c:.1f} C" for name, degrees_c in zones)


def _bytes(count: int) -> str:
    return f"{count / 1e3:.1f} kB" if count < 1_000_000 else f"{count / 1e6:.1f} MB"


def span(seconds: float) -> str:
    """A time in its two largest units."""
    minutes, rest_s = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest_s, "s")]
    shown = [f"{value} {unit}" for value, unit in parts if value][:2]
    return " ".join(shown) or "0 s"
