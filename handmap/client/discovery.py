"""Finds daemons on the local network that announce themselves by mDNS (`publish.discovery: true`); needs the package zeroconf."""

import time
from dataclasses import dataclass
from typing import Any

from handmap.protocol.fields import SERVICE_TYPE
from handmap.types.errors import DependencyError

RESOLVE_MS = 1500


@dataclass(frozen=True)
class FoundDaemon:
    """A daemon that announces its control port; anybody can announce anything, so trust it as far as its key proves."""

    name: str
    address: str
    port: int
    protocol: str


def find_daemons(seconds: float = 2.0, interfaces: list[str] | None = None) -> list[FoundDaemon]:
    """The daemons that answer within so many seconds, by name; on all networks, or on those that these addresses of ours belong to.

    Raises DependencyError if zeroconf is not installed.
    """
    try:
        from zeroconf import InterfaceChoice, ServiceBrowser, Zeroconf
    except ModuleNotFoundError as error:
        raise DependencyError(
            "discovery: the package zeroconf is not installed; run: pip install 'handmap-edge[discovery]', or pass the daemon's address"
        ) from error
    names: set[str] = set()
    network = Zeroconf(interfaces=interfaces or InterfaceChoice.All)
    try:
        ServiceBrowser(network, SERVICE_TYPE, handlers=[_collector(names)])
        time.sleep(seconds)
        found = [_found(network, name) for name in sorted(names)]
    finally:
        network.close()
    return [daemon for daemon in found if daemon is not None]


def _collector(names: set[str]) -> Any:
    def collect(zeroconf: Any, service_type: str, name: str, state_change: Any) -> None:
        if state_change.name == "Removed":
            names.discard(name)
        else:
            names.add(name)

    return collect


def _found(network: Any, name: str) -> FoundDaemon | None:
    """What the announcement with this name says; None for one that does not say where the daemon is."""
    info = network.get_service_info(SERVICE_TYPE, name, RESOLVE_MS)
    addresses = info.parsed_addresses() if info is not None else []
    if not addresses or not info.port:
        return None
    protocol = (info.decoded_properties or {}).get("protocol") or "unknown"
    return FoundDaemon(name.removesuffix(f".{SERVICE_TYPE}"), addresses[0], info.port, protocol)
