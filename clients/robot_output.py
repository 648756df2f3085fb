"""Where a robot's angles go: lines of text, lines of JSON, datagrams."""

import json
import socket
from collections.abc import Callable

from handmap.types.errors import ConfigError

from .robot import RobotFrame

Show = Callable[[RobotFrame], None]


def as_text(names: tuple[str, ...], frame: RobotFrame) -> str:
    """A frame in one line: phase, engagement, angles in rad."""
    angles = "  ".join(f"{name} {angle:+.2f}" for name, angle in zip(names, frame.angles, strict=True))
    return f"{frame.phase.value:<8} {frame.engagement:4.2f}  {angles}"


def as_json_line(names: tuple[str, ...], frame: RobotFrame) -> str:
    """A frame as one line of JSON: t_ns, phase, engagement, age_s, and joints, rad by name."""
    values = {
        "t_ns": frame.at_ns,
        "phase": frame.phase.value,
        "engagement": round(frame.engagement, 4),
        "age_s": round(frame.age_s, 4),
        "joints": {name: round(float(angle), 5) for name, angle in zip(names, frame.angles, strict=True)},
    }
    return json.dumps(values)


class AngleSender:
    """Sends each frame as a datagram of JSON to one address; what cannot be sent is said once, and is gone."""

    def __init__(self, target: str, names: tuple[str, ...], warn: Callable[[str], None]) -> None:
        self._names = names
        self._warn = warn
        self._has_failed = False
        family, self._address = resolve_target(target)
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def __call__(self, frame: RobotFrame) -> None:
        try:
            self._socket.sendto(as_json_line(self._names, frame).encode(), self._address)
        except OSError as error:
            if not self._has_failed:
                self._warn(
                    f"-- angles cannot be sent to {self._address[0]}:{self._address[1]} ({error.strerror or error})"
                )
            self._has_failed = True
        else:
            self._has_failed = False

    def close(self) -> None:
        """Closes the socket."""
        self._socket.close()


def resolve_target(target: str) -> tuple[socket.AddressFamily, tuple[object, ...]]:
    """The address family and address of HOST:PORT; an IPv6 address stands in brackets.

    Raises ConfigError if it is not of that form, or the name does not resolve.
    """
    host, _, port = target.rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]")
    name = host[1:-1] if is_bracketed else host
    is_number = port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= 65535
    if not name or not is_number or (":" in name and not is_bracketed):
        raise ConfigError(
            f"sending angles: found {target!r:.90}, wanted HOST:PORT with a port of 1 to 65535, as 127.0.0.1:5700 or [::1]:5700; "
            "correct --send"
        )
    try:
        family, _, _, _, address = socket.getaddrinfo(name, int(port), type=socket.SOCK_DGRAM)[0]
    except (socket.gaierror, UnicodeError) as error:
        raise ConfigError(
            f"sending angles to {target!r:.90}: the name does not resolve to an address; correct --send, or name an IP address"
        ) from error
    return family, address
