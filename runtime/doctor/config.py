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

LISTENING: Final = "0A"  # of a line of /proc/net/tcp, as TCP_LISTEN in the kernel's tcp_states.h
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
    """Whether every file of the bundle is what its manifest says."""
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
    """Whether bundle, camera and receivers allow what the configuration asks, as `handmap run --validate` judges it."""
    _ = context.whole_bundle
    try:
        check_settings(context.settings)
    except Fatal as error:
        return failed(str(error), context.edit_config())
    return ok("bundle, camera and receivers allow what it asks")


def check_targets(context: DoctorContext) -> Finding:
    """Whether every receiver has an address and there is a way to it."""
    context.need_running()
    unreached: dict[str, str] = {}
    for target in context.valid_settings.publish.targets:
        try:
            for family, kind, protocol, _, address in socket.getaddrinfo(
                target.host, target.port, type=socket.SOCK_DGRAM
            )[:1]:
                with socket.socket(family, kind, protocol) as out:
                    out.connect(address)  # of a UDP socket: sends nothing, only asks for the way
        except OSError as error:  # socket.gaierror is one
            unreached[target.host] = f"{target.host}:{target.port} ({error.strerror})"
        except UnicodeError:  # of two dots in a row, say
            unreached[target.host] = f"{target.host}:{target.port} (it can be no host name)"
    if unreached:
        look = "; ".join(f"getent ahosts {shlex.quote(host)}" for host in unreached)
        return failed(f"no way to {', '.join(unreached.values())}", f"ip route; {look}; {context.edit_config()}")
    return ok(", ".join(f"{target.host}:{target.port}" for target in context.valid_settings.publish.targets))


def check_receivers(context: DoctorContext) -> Finding:
    """Whether somebody listens where a receiver is on this machine."""
    context.need_running()
    here = [target.port for target in context.valid_settings.publish.targets if _is_loopback(target.host)]
    if not here:
        raise NotApplicable("no receiver is on this machine")
    bound = {port for port, _, _ in _sockets(context, UDP)}
    deaf = [port for port in here if port not in bound]
    if deaf:
        return warning(
            f"nobody on this machine listens at UDP port {', '.join(map(str, deaf))}",
            f"handmap listen --port {deaf[0]}",
        )
    return ok(f"somebody listens at UDP port {', '.join(map(str, here))}")


def check_telemetry(context: DoctorContext) -> Finding:
    """Whether the telemetry's port is free, or the daemon has it."""
    context.need_running()
    port = context.valid_settings.telemetry.port
    if port is None:
        raise NotApplicable("the configuration switches telemetry off")
    holders = {uid for found, state, uid in _sockets(context, TCP) if found == port and state == LISTENING}
    foreign = holders - {context.account.uid}
    if foreign:
        return failed(
            f"a program of user {min(foreign)} has TCP port {port}: no metrics, no handmap status",
            f"sudo ss -ltnp 'sport = :{port}' && {context.edit_config()}",
        )
    return ok(f"TCP port {port} is {'held by the daemon' if holders else 'free'}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _sockets(context: DoctorContext, tables: tuple[str, ...]) -> list[tuple[int, str, int]]:
    """Local port, state and user of every socket, from the kernel's tables.

    Raises NotApplicable where it shows none of them.
    """
    texts = [text for text in map(context.machine.text, tables) if text]
    if not texts:
        raise NotApplicable(f"the kernel shows no sockets in {' or '.join(tables)}")
    lines = [line.split() for text in texts for line in text.splitlines()[1:]]
    return [(int(fields[1].rpartition(":")[2], 16), fields[3], int(fields[7])) for fields in lines if len(fields) > 7]


CHECKS: Final = (
    Check("config", "the configuration can be read", check_config),
    Check("bundle", "the bundle is whole", check_bundle),
    Check("config.fit", "bundle, camera and receivers fit it", check_fit),
    Check("network.targets", "there is a way to every receiver", check_targets),
    Check("network.receivers", "somebody listens on this machine", check_receivers),
    Check("network.telemetry", "the telemetry's port is free or ours", check_telemetry),
)
