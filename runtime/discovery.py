"""Announces the control port on the local network by mDNS (DNS-SD), for receivers that do not know the board's address.

The only module of this part that imports zeroconf. What it announces anybody there can read, and anybody can announce the same: whom a
receiver trusts is a matter of keys.
"""

import logging
import socket
import threading
from importlib.util import find_spec
from typing import Final

from handmap.protocol.fields import MAJOR, MINOR, SERVICE_TYPE
from handmap.types.errors import DependencyError

from .publish_config import ControlConfig

LOG = logging.getLogger("handmap.discovery")

ANY: Final = ("0.0.0.0", "::")
AGAIN_S: Final = 5.0
JOIN_S: Final = 2.0


def refuse_missing_zeroconf() -> None:
    """Raises DependencyError if the library is not installed."""
    if find_spec("zeroconf") is None:
        raise DependencyError(
            "publish.discovery is true, and the package zeroconf is not installed; run: pip install 'handmap-edge[discovery]', or "
            "set it to false"
        )


class Announcement:
    """Lasts until it is closed. A network that is not there yet is tried again; the daemon runs on meanwhile."""

    def __init__(self, config: ControlConfig, device_name: str) -> None:
        self._config = config
        self._device_name = device_name
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="discovery", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Withdraws it."""
        self._closed.set()
        self._thread.join(JOIN_S)

    def _run(self) -> None:
        from zeroconf import Error

        said = ""
        while not self._closed.is_set():
            try:
                self._announce()
                return
            except (OSError, Error) as error:
                if said != (said := str(error)):
                    LOG.warning("discovery=failing error=%r hint=%r", said, "tried again every few seconds")
                self._closed.wait(AGAIN_S)

    def _announce(self) -> None:
        from zeroconf import InterfaceChoice, ServiceInfo, Zeroconf

        bind = self._config.bind
        network = Zeroconf(interfaces=InterfaceChoice.All if bind in ANY else [bind])
        try:
            # Dots separate labels, and another daemon on the network may have the same name.
            name = f"{self._device_name.replace('.', '-')}.{SERVICE_TYPE}"
            addresses = None if bind in ANY else [bind]
            info = ServiceInfo(
                SERVICE_TYPE, name, self._config.port, properties={"protocol": f"{MAJOR}.{MINOR}"},
                server=f"{socket.gethostname().split('.')[0]}.local.", parsed_addresses=addresses or _own_addresses(),
            )  # fmt: skip
            network.register_service(info, allow_name_change=True)
            LOG.info("discovery=%r", info.name)
            self._closed.wait()
            network.unregister_service(info)
        finally:
            network.close()


def _own_addresses() -> list[str]:
    """The addresses of this machine, loopback and link-local IPv6 left out."""
    import ifaddr  # what zeroconf itself finds interfaces with

    found = [str(ip.ip[0] if ip.is_IPv6 else ip.ip) for adapter in ifaddr.get_adapters() for ip in adapter.ips]
    return [address for address in found if not address.startswith(("127.", "::1", "fe80"))]
