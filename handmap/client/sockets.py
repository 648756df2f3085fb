"""UDP sockets to receive on: of this machine's addresses, or of a multicast group."""

import errno
import ipaddress
import socket
import struct

from handmap.types.errors import ConfigError


def refuse_half_a_group(host: str, interface: str) -> None:
    """Raises ConfigError for a multicast group without the interface to join it on, and for an interface without a group."""
    try:
        is_group = ipaddress.ip_address(host).is_multicast
    except ValueError:
        is_group = False
    if is_group and not interface:
        raise ConfigError(
            f"receiver on {host!r}: is a multicast group; name the network interface to join it on with --interface"
        )
    if interface and not is_group:
        raise ConfigError(
            f"receiver on {host!r:.90}: is not a multicast group, which --interface is for; leave that out"
        )


def joined(group: str, port: int, interface: str) -> socket.socket:
    """A socket that has joined a multicast group, on a port that others may use too."""
    is_ipv6 = ":" in group
    try:
        index = socket.if_nametoindex(interface)
    except OSError as error:
        raise OSError(errno.ENODEV, "there is none with this name") from error
    out = socket.socket(socket.AF_INET6 if is_ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        out.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_ipv6:
            out.bind((group, port, 0, index))
            out.setsockopt(
                socket.IPPROTO_IPV6,
                socket.IPV6_JOIN_GROUP,
                socket.inet_pton(socket.AF_INET6, group) + struct.pack("@i", index),
            )
        else:
            out.bind((group, port))
            # struct ip_mreqn of Linux: group, address of the interface, index of the interface
            out.setsockopt(
                socket.IPPROTO_IP,
                socket.IP_ADD_MEMBERSHIP,
                struct.pack("@4s4si", socket.inet_aton(group), bytes(4), index),
            )
    except OSError:
        out.close()
        raise
    return out


def bound(host: str, port: int) -> socket.socket:
    """A socket on this port; an empty host means all addresses of this machine, IPv4 and IPv6."""
    if host:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        out = socket.socket(family, kind)
    elif socket.has_dualstack_ipv6():
        out, address = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM), ("::", port)
        out.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    else:
        out, address = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), ("", port)
    try:
        out.bind(address)
    except OSError:
        out.close()
        raise
    return out
