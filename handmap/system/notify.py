"""sd_notify in a few lines: tells systemd, over a datagram socket, that a service is ready, alive, still starting or stopping."""

import os
import socket
from collections.abc import Mapping


class Notifier:
    """Sends states to the address in $NOTIFY_SOCKET; does nothing if there is none."""

    def __init__(self, address: str | None) -> None:
        # A leading @ stands for the null byte of the abstract name space.
        self._address = "\0" + address[1:] if address and address.startswith("@") else address

    def send(self, *states: str) -> None:
        """Sends assignments such as READY=1 or STATUS=text in one datagram; ignores a missing supervisor."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.setblocking(False)
                out.sendto("\n".join(states).encode(), self._address)
        except OSError:
            return


def open_notifier(environment: Mapping[str, str] = os.environ) -> Notifier:
    """The notifier of this process."""
    return Notifier(environment.get("NOTIFY_SOCKET"))
