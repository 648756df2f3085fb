"""Checks of the configuration, of the bundle it names, and of the network it sends to."""

import ipaddress
import shlex
import socket
from typing import Final

from handmap.recording.cameras import kind_of
from handmap.types.errors import ConfigError, Fatal

from ..reload import check_settings
from .context import Check, DoctorContext, Finding, failed, ok, warning
from .machine import NotApplicable

LISTENING: Final = "0A"  # socket state in /proc/net/tcp: TCP_LISTEN in the kernel's tcp_states.h
TCP: Final = ("/proc/net/tcp", "/proc/net/tcp6")
UDP: Final = ("/proc/net/udp", "/proc/net/udp6")


def check_config(context: DoctorContext) -> Finding:
    """Whether the configuration can be read."""
    try:
        settings = context.settings
    except ConfigError as error:
        return failed(str(error), context.edit_config())
    return ok(
        f"{str(context.config)!r}: {kind_of(settings.camera)} camera, {settings.engine.backend} engine in {settings.engine.precision}"
    )


def check_bundle(context: DoctorContext) -> Finding:
    """Whether every file of the bundle matches its manifest."""
    _ = context.valid_settings
    try:
        bundle = context.bundle
    except Fatal as error:
        return failed(
            str(error),
            context.install("--reinstall ./handmap.deb") if context.unit is not None else context.edit_config(),
        )
    return ok(f"bundle {bundle.id.hex()} at {str(bundle.path)!r}, with {', '.join(sorted(bundle.hand.precisions))}")


def check_fit(context: DoctorContext) -> Finding:
    """Whether bundle, camera and receivers fit the configuration, as in `handmap run --validate`."""
    _ = context.whole_bundle
    try:
        check_settings(context.settings)
    except Fatal as error:
        return failed(str(error), context.edit_config())
    return ok("bundle, camera and receivers fit the configuration")


def check_targets(context: DoctorContext) -> Finding:
    """Whether every receiver has an address and a route to it."""
    context.need_running()
    unreached: dict[str, str] = {}
    if not context.valid_settings.publish.targets:
        raise NotApplicable("no target is configured; receivers subscribe, or join a group or a network")
    for target in context.valid_settings.publish.targets:
        try:
            for family, kind, protocol, _, address in socket.getaddrinfo(
                target.host, target.port, type=socket.SOCK_DGRAM
            )[:1]:
                with socket.socket(family, kind, protocol) as out:
                    out.connect(address)  # on a UDP socket this sends nothing, it only looks up the route
        except OSError as error:  # socket.gaierror included
            unreached[target.host] = f"{target.host}:{target.port} ({error.strerror})"
    if unreached:
        look = "; ".join(f"getent ahosts {shlex.quote(host)}" for host in unreached)
        return failed(f"no route to {', '.join(unreached.values())}", f"ip route; {look}; {context.edit_config()}")
    return ok(", ".join(f"{target.host}:{target.port}" for target in context.valid_settings.publish.targets))


def check_receivers(context: DoctorContext) -> Finding:
    """Whether a program listens on the port of every receiver on this machine."""
    context.need_running()
    here = [target.port for target in context.valid_settings.publish.targets if _is_loopback(target.host)]
    if not here:
        raise NotApplicable("no receiver is on this machine")
    bound = {port for port, _, _ in _sockets(context, UDP)}
    deaf = [port for port in here if port not in bound]
    if deaf:
        return warning(
            f"no program on this machine listens on UDP port {', '.join(map(str, deaf))}",
            f"handmap listen --port {deaf[0]}",
        )
    return ok(f"a program listens on UDP port {', '.join(map(str, here))}")


def check_control(context: DoctorContext) -> Finding:
    """Whether the control port is free, or held by the daemon."""
    context.need_running()
    control = context.valid_settings.publish.control
    if control is None:
        raise NotApplicable("the configuration has no control port")
    holders = {uid for found, _, uid in _sockets(context, UDP) if found == control.port}
    return _held(context, f"UDP port {control.port}", holders, "nobody can subscribe")


def check_telemetry(context: DoctorContext) -> Finding:
    """Whether the telemetry port is free, or held by the daemon."""
    context.need_running()
    port = context.valid_settings.telemetry.port
    if port is None:
        raise NotApplicable("telemetry is disabled in the configuration")
    return _listening(context, port, "no metrics, no handmap status")


def check_preview(context: DoctorContext) -> Finding:
    """Whether the preview's port is free, or held by the daemon."""
    context.need_running()
    preview = context.valid_settings.preview
    if preview is None:
        raise NotApplicable("the preview is disabled in the configuration")
    return _listening(context, preview.port, "no depth pictures for handmap view")


def _listening(context: DoctorContext, port: int, consequence: str) -> Finding:
    """Who listens on a TCP port."""
    holders = {uid for found, state, uid in _sockets(context, TCP) if found == port and state == LISTENING}
    return _held(context, f"TCP port {port}", holders, consequence)


def _held(context: DoctorContext, shown: str, holders: set[int], consequence: str) -> Finding:
    """What it means that programs of these users hold a port, shown as "TCP port N"."""
    kind, _, port = shown.partition(" port ")
    foreign = holders - {context.account.uid}
    if foreign:
        return failed(
            f"a program of user {min(foreign)} holds {shown}: {consequence}",
            f"sudo ss -l{kind[0].lower()}np 'sport = :{port}' && {context.edit_config()}",
        )
    return ok(f"{shown} is {'held by the daemon' if holders else 'free'}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _sockets(context: DoctorContext, tables: tuple[str, ...]) -> list[tuple[int, str, int]]:
    """Local port, state and user ID of every socket, from the kernel's tables.

    Raises NotApplicable if the kernel shows none of them.
    """
    texts = [text for text in map(context.machine.text, tables) if text]
    if not texts:
        raise NotApplicable(f"the kernel shows no sockets in {' or '.join(tables)}")
    lines = [line.split() for text in texts for line in text.splitlines()[1:]]
    return [(int(fields[1].rpartition(":")[2], 16), fields[3], int(fields[7])) for fields in lines if len(fields) > 7]


CHECKS: Final = (
    Check("config", "the configuration can be read", check_config),
    Check("bundle", "the bundle is intact", check_bundle),
    Check("config.fit", "bundle, camera and receivers fit the configuration", check_fit),
    Check("network.targets", "there is a route to every receiver", check_targets),
    Check("network.receivers", "a program listens on this machine", check_receivers),
    Check("network.control", "the control port is free or ours", check_control),
    Check("network.telemetry", "the telemetry port is free or ours", check_telemetry),
    Check("network.preview", "the preview port is free or ours", check_preview),
)
