"""Which addresses can be receivers of packets, groups, networks, or our own. Everything else is refused by what to write instead."""

import ipaddress
import re
from typing import Final, TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.IGNORECASE)
NUMBER: Final = re.compile(r"\d+|0x[0-9a-f]*", re.IGNORECASE)
MAX_NAME: Final = 253
THIS_NETWORK: Final = ipaddress.ip_network("0.0.0.0/8")
ONE_RECEIVER: Final = "name one receiver by its own address, and list every further one"


def refuse_no_receiver(host: str) -> None:
    """Raises ValueError unless the text is an IPv4 address, an IPv6 address without brackets, or a host name."""
    _refuse_more_than_a_host(host)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        _refuse_no_name(host)
        return
    if why := unfit(address):
        raise ValueError(f"host: {host!r} {why}")


def refuse_no_group(group: str) -> None:
    """Raises ValueError unless the text is a multicast address."""
    address = _address("group", group, "of a multicast group, such as 239.255.77.1")
    if not address.is_multicast:
        raise ValueError(
            f"group: {group!r} is not a multicast address; write one from 224.0.0.0 to 239.255.255.255, or an IPv6 one"
        )
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        raise ValueError(f"group: {group!r} names an interface; write that under interface")


def refuse_no_broadcast(host: str) -> None:
    """Raises ValueError unless the text is an IPv4 address that can be that of a whole network."""
    address = _address("address", host, "of a network's broadcast, such as 192.168.1.255")
    if address.version == 6:
        raise ValueError(
            f"address: {host!r} is an IPv6 address, which has no broadcast; use publish.multicast with ff02::1"
        )
    if address.is_multicast or (address.is_loopback and address.packed[-1] != 255) or address.packed[-1] & 1 == 0:
        raise ValueError(
            f"address: {host!r} is not a broadcast address; `ip address` shows that of each network after brd, such as 192.168.1.255"
        )


def refuse_no_bind(bind: str) -> None:
    """Raises ValueError unless the text is an address that a machine can have, or stands for all of them."""
    address = _address("bind", bind, "of this machine, such as 127.0.0.1, or 0.0.0.0 for all of them")
    if not address.is_unspecified and (why := unfit(address)):
        raise ValueError(f"bind: {bind!r} {why}")


def _address(key: str, text: str, wanted: str) -> Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"{key}: {text!r:.90} is not an address; write that {wanted}") from None


def unfit(address: Address) -> str:
    """Why no single machine has this address, and what to write instead; empty if one can."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return f"is an IPv4 address in IPv6 form; write {address.ipv4_mapped}"
        if address.is_link_local and address.scope_id is None:
            return f"is valid on one link only; add the network interface, as in {address}%eth0"
    if address.is_unspecified or address in THIS_NETWORK:
        loopback = "127.0.0.1" if address.version == 4 else "::1"
        return f"means any address, which is no receiver; write {loopback} for this machine, else the receiver's own address"
    if address.is_multicast:
        return "is a multicast address; write it as group under publish.multicast"
    if address.version == 4 and address.packed[-1] == 255:  # in all but a few oddly sized networks
        return "is a broadcast address; write it as address under publish.broadcast"
    if address.version == 4 and address.is_reserved:
        return f"is in the range 240.0.0.0 to 255.255.255.255, which no machine has; {ONE_RECEIVER}"
    return ""


def same_receiver(host: str) -> str:
    """A form that is equal for the spellings of one address or name."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host.lower().removesuffix(".")


def _refuse_more_than_a_host(host: str) -> None:
    """Refuses an address with a scheme, brackets, a port or a network's prefix."""
    if host != host.strip() or not host:
        raise ValueError(f"host: {host!r} is empty or has spaces around it; write the receiver's address or name alone")
    if "://" in host:
        inner = re.split(r"[/?#]", host.partition("://")[2])[0]
        raise ValueError(f"host: {host!r} is a URL, packets go over UDP; write {_apart(inner)}")
    if host.startswith("[") or re.fullmatch(r"[^:]*:\d*", host):
        raise ValueError(f"host: {host!r} is more than an address; write {_apart(host)}")
    if "/" in host:
        raise ValueError(f"host: {host!r} has a slash, as a network or a path has; {ONE_RECEIVER}")


def _apart(text: str) -> str:
    """How to write "HOST:PORT" or "[HOST]:PORT" as two keys."""
    found = re.fullmatch(r"\[(?P<inside>[^\]]*)\](?::(?P<port>\d*))?|(?P<host>[^:]*)(?::(?P<other>\d*))?", text)
    if found is None:
        return "host: ADDRESS and port: NUMBER, each under its own key"
    host, port = found["inside"] or found["host"] or "ADDRESS", found["port"] or found["other"]
    return f'host: "{host}"' + (f" and port: {port}, each under its own key" if port else "")


def _refuse_no_name(host: str) -> None:
    start = f"host: {host!r:.90}"
    if ":" in host:
        raise ValueError(
            f"{start} is not an IPv6 address; write one like fd00::5 in full, and a port under the key port"
        )
    labels = host.removesuffix(".").split(".")
    if NUMBER.fullmatch(labels[-1]):
        raise ValueError(
            f"{start} is not an IPv4 address; write four numbers from 0 to 255 without leading zeros, as in 192.168.1.20"
        )
    try:
        ascii_name = host.removesuffix(".").encode("idna").decode()
    except UnicodeError:
        ascii_name = ""
    if len(ascii_name) > MAX_NAME or not all(LABEL.fullmatch(label) for label in ascii_name.split(".")):
        raise ValueError(
            f"{start} is not a host name; write letters, digits and hyphens, 1 to 63 of them between dots, or the receiver's address"
        )
