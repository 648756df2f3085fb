"""`handmap snapshot`: asks the daemon on this machine for a snapshot, waits until it is there, and copies it if asked to."""

import http.client
import time
from pathlib import Path

import msgspec

from handmap.files.atomic import new_folder, write_file
from handmap.files.folders import copy_folder
from handmap.files.outputs import refuse_taken
from handmap.files.reading import NotJson, decode_json, read_bytes
from handmap.types.errors import ConfigError, FileError, NoAnswer

from ..ask_daemon import HOST, WAIT_S, ask_daemon, own_path
from ..endpoint import status_address
from .facts import FlightFacts, SnapshotOutcome

WRITTEN_S = 120.0  # a slow card takes that long
POLL_S = 0.1
MAX_BYTES = 4 << 30


class Accepted(msgspec.Struct, frozen=True):
    """The daemon's answer: the number of the snapshot, or why there will be none."""

    number: int = 0
    refusal: str = ""


def ask_snapshot(port: int) -> SnapshotOutcome:
    """Asks the daemon with this telemetry port for a snapshot; what became of it, once it is written.

    Raises NoAnswer if there is no daemon, if it refuses, or if it could not write.
    """
    pid = ask_daemon(port).pid
    accepted = _post(port)
    if accepted.refusal:
        raise NoAnswer(f"snapshot: {accepted.refusal}")
    end_s = time.monotonic() + WRITTEN_S
    while (outcome := _outcome(facts := _facts(port, pid), accepted.number)) is None:
        if time.monotonic() > end_s:
            raise NoAnswer(
                f"snapshot: not written within {WRITTEN_S:.0f} s; look at the disk of {facts.folder!r}, then ask again"
            )
        time.sleep(POLL_S)
    if outcome.problem:
        raise NoAnswer(outcome.problem)
    return outcome


def copy_snapshot(source: Path, out: Path) -> None:
    """Copies a snapshot to a new folder, or its MCAP file alone to a name that ends with .mcap.

    Raises ConfigError if that is taken, FileError if it cannot be read or written.
    """
    refuse_taken(out)
    try:
        if out.suffix == ".mcap":
            write_file(out, read_bytes(next(iter(source.glob("*.mcap"))), MAX_BYTES), 0o600)
            return
        with new_folder(out, mode=0o700) as temporary:
            copy_folder(source, temporary)
    except (FileError, ConfigError):
        raise
    except (OSError, StopIteration) as error:
        found = getattr(error, "strerror", None) or "it has no MCAP file"
        raise ConfigError(
            f"snapshot {str(source)!r} cannot be copied to {str(out)!r} ({found}); run this as root, or name another --out"
        ) from error


def _outcome(facts: FlightFacts, number: int) -> SnapshotOutcome | None:
    return next((one for one in facts.outcomes if one.number == number), None)


def _facts(port: int, pid: int) -> FlightFacts:
    """The facts of the flight recorder of this process."""
    now = ask_daemon(port)
    if now.pid != pid:
        raise NoAnswer(f"snapshot: the daemon at {HOST}:{port} was restarted before it was written; ask again")
    if now.flight is None:
        raise NoAnswer(
            f"snapshot: the daemon at {HOST}:{port} was told to record nothing before it was written; set flight_recorder.enabled: true"
        )
    return now.flight


def _post(port: int) -> Accepted:
    client = own_path(port)
    if client is None:
        raise NoAnswer(
            f"snapshot: no daemon on this machine has the telemetry port {port} ({status_address(port)[1:]!r} is not there); start it "
            "with: handmap run --config PATH, or pass its --port"
        )
    connection = http.client.HTTPConnection(HOST, port, timeout=WAIT_S)
    connection.sock = client
    try:
        connection.request("POST", "/snapshot")
        return decode_json(connection.getresponse().read(MAX_BYTES), Accepted)
    except TimeoutError as error:
        raise NoAnswer(
            f"snapshot: the daemon at port {port} does not answer within {WAIT_S:.0f} s, and may write one all the same once it goes "
            "on; look with: handmap status"
        ) from error
    except (OSError, http.client.HTTPException, NotJson) as error:
        raise NoAnswer(
            f"snapshot: the daemon at port {port} does not answer as one of this version ({error}); restart it, then ask again"
        ) from error
    finally:
        connection.close()
