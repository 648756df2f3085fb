"""Names of machines to addresses for UDP."""

import socket
from typing import TypeAlias

Address: TypeAlias = tuple[str, int] | tuple[str, int, int, int]


def resolve(host: str, port: int, flags: int = 0) -> list[tuple[socket.AddressFamily, Address]]:
    """The addresses of a host, IPv4 first: what listens on any or on loopback has that, and `localhost` is often ::1 first.

    Raises OSError (socket.gaierror), or UnicodeError for what is no name.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=flags)
    answers = [(answer[0], answer[4]) for answer in found]
    return sorted(answers, key=_is_ipv6)  # type: ignore[arg-type]  # these families have addresses of those two shapes


def _is_ipv6(answer: tuple[socket.AddressFamily, Address]) -> bool:
    return answer[0] != socket.AF_INET
