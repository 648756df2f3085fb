"""Asks the daemon that runs on this machine for its facts and pages."""

import http.client
import socket
from dataclasses import dataclass
from pathlib import Path

from handmap.files.reading import NotJson, decode_json
from handmap.types.errors import NoAnswer

from .endpoint import status_address
from .snapshot import Snapshot

HOST = "127.0.0.1"
WAIT_S = 3.0
MAX_BYTES = 1 << 20
MAX_SHOWN = 120  # characters of what another program has answered


@dataclass(frozen=True)
class Answer:
    """What the daemon said, or why it did not: exactly one of both."""

    facts: Snapshot | None
    problem: str = ""


def refuse_other(facts: Snapshot, config: Path, port: int) -> None:
    """Raises NoAnswer if the daemon that answered uses another configuration file."""
    theirs = Path(facts.config)
    if theirs.is_absolute() and theirs.resolve() != config.resolve():
        raise NoAnswer(
            f"status: the daemon at {HOST}:{port} uses configuration {facts.config!r}, wanted {str(config.resolve())!r}; "
            "give each daemon its own telemetry.port, or pass --port"
        )


def ask_daemon(port: int, wait_s: float = WAIT_S) -> Snapshot:
    """The facts of the daemon at this loopback port.

    Raises NoAnswer if there is none.
    """
    try:
        status, body = _get(port, "/status.json", wait_s)
        if status != http.client.OK:
            raise NoAnswer(
                f"status: the program at {HOST}:{port} is not a HandMap daemon (HTTP {status}); pass another --port"
            )
        return decode_json(body, Snapshot)
    except OSError as error:
        raise NoAnswer(
            f"status: no daemon answers at {HOST}:{port} ({error}); start it with: handmap run --config PATH, or pass its --port"
        ) from error
    except NotJson as error:
        raise NoAnswer(
            f"status: the program at {HOST}:{port} answers, but not as a daemon of this version ({_printable(error)}); "
            "pass another --port"
        ) from error


def ask_once(port: int, config: Path | None, wait_s: float) -> Answer:
    """The daemon's answer; a daemon of another configuration is a problem, as is none."""
    try:
        facts = ask_daemon(port, wait_s)
        if config is not None:
            refuse_other(facts, config, port)
    except NoAnswer as error:
        return Answer(None, str(error))
    return Answer(facts)


def ask_page(port: int, path: str) -> bytes:
    """A page of the daemon at this loopback port, such as /metrics.

    Raises NoAnswer if there is none.
    """
    try:
        status, body = _get(port, path, WAIT_S)
    except OSError as error:
        raise NoAnswer(f"status: no daemon answers at {HOST}:{port} ({error}); start it, or pass its --port") from error
    if status != http.client.OK:
        raise NoAnswer(f"status: {HOST}:{port} has no page {path} (HTTP {status}); pass another --port")
    return body


def _get(port: int, path: str, wait_s: float) -> tuple[int, bytes]:
    """Status and body of a page. Raises OSError if there is none, NoAnswer if what answers does not speak HTTP."""
    connection = http.client.HTTPConnection(HOST, port, timeout=wait_s)
    connection.sock = own_path(port, wait_s)  # without one, the port says who is there
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(MAX_BYTES)
    except OSError:  # also a connection that is closed without an answer
        raise
    except http.client.HTTPException as error:
        raise NoAnswer(
            f"status: the program at {HOST}:{port} answers, but not as a HandMap daemon ({_printable(error)}); "
            "pass another --port"
        ) from error
    finally:
        connection.close()


def own_path(port: int, wait_s: float = WAIT_S) -> socket.socket | None:
    """A connection to the daemon's own socket for this purpose, or None if there is none."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(wait_s)
    try:
        client.connect(status_address(port))
    except OSError:
        client.close()
        return None
    return client


def _printable(error: Exception) -> str:
    """What an error says of another program's answer, of which anything may be part, as a little printable text."""
    text = "".join(one if one.isprintable() else repr(one)[1:-1] for one in str(error))
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
