"""Who may talk to the page of `handmap view`: its own page and programs, not a page of another site in the same browser.

A browser lets any page open a WebSocket to this machine and says in `Origin` which page it was. A name that somebody else
has pointed at this machine (DNS rebinding) makes Origin and Host agree, so the host must be one of our own, too.
"""

import ipaddress
import socket
from urllib.parse import urlsplit


def is_own_origin(origin: str | None, host: str | None, local_host: str) -> bool:
    """Whether a request comes from a page that this server has served, or from a program that is no browser.

    origin and host are the headers of the request, local_host the address of this machine that it arrived at.
    """
    if origin is None:
        return True
    page = urlsplit(origin)
    if page.scheme not in ("http", "https") or page.netloc.lower() != (host or "").lower():
        return False
    return _is_own_host((page.hostname or "").rstrip("."), local_host)


def _is_own_host(host: str, local_host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = socket.gethostname().lower()
        return host in ("localhost", name, f"{name}.local", socket.getfqdn().lower())
    local = ipaddress.ip_address(local_host.partition("%")[0])
    return address.is_loopback or address == (getattr(local, "ipv4_mapped", None) or local)
