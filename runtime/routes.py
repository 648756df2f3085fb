"""Sockets to send on, and where to: to a host, whose name is looked up again and again, to a multicast group, or to a network."""

import ipaddress
import logging
import socket
import struct
import threading
from typing import Final, Protocol

from handmap.system.resolve import Address, resolve

from .publish_config import BroadcastConfig, MulticastConfig, TargetConfig
from .targets import unfit

LOG = logging.getLogger("handmap.publish")

LOOK_UP_AGAIN_S: Final = 1.0  # while a name does not resolve
LOOK_UP_EVERY_S: Final = 5.0  # once it does: its address can change, as of a laptop that moves to another network
DSCP_EF: Final = 46 << 2  # Expedited Forwarding (RFC 3246), in the upper six bits of the traffic class
SEND_BUFFER_BYTES: Final = 64 * 1024  # some 80 packets: what waits longer is stale


class Route(Protocol):
    """A way to a receiver."""

    @property
    def name(self) -> str:
        """The receiver, for people."""
        ...

    def current(self) -> tuple[socket.socket, Address]:
        """A socket that never blocks, and the address to send to. Raises OSError if there is none now."""
        ...

    def close(self) -> None:
        """Closes its sockets."""
        ...


def open_socket(family: int) -> socket.socket:
    """A UDP socket that never blocks, whose packets go before others where the network heeds that."""
    out = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    out.setblocking(False)
    if family == socket.AF_INET6:
        out.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, DSCP_EF)
    else:
        out.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, DSCP_EF)
    out.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    return out


class HostRoute:
    """To one machine. A host name is looked up in its own thread; while it no longer resolves, packets go to its last address."""

    def __init__(self, config: TargetConfig) -> None:
        self.name = f"{config.host}:{config.port}"
        self._config = config
        self._route: tuple[socket.socket, Address] | None = None  # one assignment, so that no lock is needed
        self._problem = "its host name has not been looked up yet"
        self._sockets: dict[int, socket.socket] = {}  # by address family; a change of address within one keeps it
        self._closed = threading.Event()
        if not self._find_route(socket.AI_NUMERICHOST):
            threading.Thread(target=self._look_up, name="look-up", daemon=True).start()

    def current(self) -> tuple[socket.socket, Address]:
        """The socket and the address that was found last."""
        if self._route is None:
            raise OSError(self._problem)
        return self._route

    def close(self) -> None:
        """Closes the sockets; a lookup in progress ends by itself."""
        self._closed.set()
        self._close_sockets()

    def _close_sockets(self) -> None:
        for out in tuple(self._sockets.values()):
            out.close()

    def _look_up(self) -> None:
        while not self._closed.is_set():
            self._find_route(0)
            self._closed.wait(LOOK_UP_AGAIN_S if self._route is None else LOOK_UP_EVERY_S)
        self._close_sockets()  # one may have been opened while the others were being closed

    def _find_route(self, flags: int) -> bool:
        try:
            found = resolve(self._config.host, self._config.port, flags)
            family, address = found[0]
            if why := unfit(ipaddress.ip_address(address[0])) if flags == 0 else "":  # an address was judged when read
                raise OSError(0, f"{address[0]} {why}")
            if self._route is not None and self._route[1] in [each for _, each in found]:
                self._problem = ""
                return True  # also if the order of several addresses has changed
            out = self._sockets.get(family) or open_socket(family)
        except OSError as error:  # socket.gaierror included
            if not flags and self._problem != (problem := f"its host name cannot be looked up ({error.strerror})"):
                self._problem = problem
                LOG.warning("target=%s error=%r", self.name, f"{problem}; correct publish.targets if this persists")
            return False
        if self._route is not None:
            LOG.info("target=%s address=%s was=%s", self.name, address[0], self._route[1][0])
        self._sockets[family], self._problem = out, ""
        self._route = (out, address)
        return True


class NetworkRoute:
    """To a multicast group or a whole network. The interface need not be there yet: it is looked up until it is."""

    def __init__(self, config: MulticastConfig | BroadcastConfig) -> None:
        self._config = config
        self._socket: socket.socket | None = None
        if isinstance(config, MulticastConfig):
            self.name = f"{config.group}%{config.interface}:{config.port}"
            self._host = config.group
        else:
            self.name = f"{config.address}:{config.port}"
            self._host = config.address
        self._family = socket.AF_INET6 if ":" in self._host else socket.AF_INET

    def current(self) -> tuple[socket.socket, Address]:
        """The socket and the group's or network's address."""
        if self._socket is None:
            out = open_socket(self._family)
            try:
                self._prepare(out)
            except OSError:
                out.close()
                raise
            self._socket = out
        return self._socket, (self._host, self._config.port)

    def close(self) -> None:
        """Closes the socket."""
        if self._socket is not None:
            self._socket.close()

    def _prepare(self, out: socket.socket) -> None:
        config = self._config
        if isinstance(config, BroadcastConfig):
            out.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            return
        index = socket.if_nametoindex(config.interface)  # OSError if there is none
        if self._family == socket.AF_INET6:
            out.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
            out.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, config.ttl)
        else:
            # struct ip_mreqn of Linux: group, address of the interface, index of the interface
            out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("@4s4si", bytes(4), bytes(4), index))
            out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, config.ttl)
