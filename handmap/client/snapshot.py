"""Asks a daemon's control port for a snapshot of its flight recorder."""

import secrets
import socket
import time
from contextlib import suppress
from typing import Final

from handmap.protocol.authentication import KeyRing
from handmap.protocol.control import ControlMessage, decode_control, encode_control
from handmap.protocol.fields import MAX_PACKET_BYTES, ControlStatus, ControlType
from handmap.system.resolve import resolve
from handmap.types.errors import ConfigError, NoAnswer, PacketError

ASK_AGAIN_S: Final = 0.3  # no more often than the daemon allows


def ask_snapshot(host: str, port: int, keys: KeyRing | None = None, limit_s: float = 3.0) -> None:
    """Has the daemon at this control port write its last seconds to its own disk; returns once it has taken that up.

    Raises NoAnswer if it does not answer within limit_s, ConfigError if it does not allow that, or the host cannot be found.
    """
    where, end_s = f"{host}:{port}", time.monotonic() + limit_s
    try:
        family, address = resolve(host, port, 0)[0]
        with socket.socket(family, socket.SOCK_DGRAM) as out:
            out.connect(address)
            token = _exchange(out, ControlMessage(ControlType.PING, 0), keys, end_s, where).token
            answer = _exchange(out, ControlMessage(ControlType.SNAPSHOT, 0, token=token), keys, end_s, where)
    except OSError as error:
        raise ConfigError(f"snapshot: {where!r} cannot be asked ({error.strerror}); correct the address") from error
    if answer.status is not ControlStatus.OK:
        raise ConfigError(
            f"snapshot: the daemon at {where} does not allow it ({answer.status.name}); ask on its own machine, or with its key, and "
            "leave flight_recorder.enabled true there"
        )


def _exchange(
    out: socket.socket, question: ControlMessage, keys: KeyRing | None, end_s: float, where: str
) -> ControlMessage:
    """The answer; what is lost is asked again."""
    nonce = secrets.randbits(64)
    asked = ControlMessage(question.message_type, nonce, token=question.token, client_ns=time.monotonic_ns())
    while (left_s := end_s - time.monotonic()) > 0:
        with suppress(ConnectionRefusedError):  # of the question before
            out.send(encode_control(asked, keys))
        again_s = time.monotonic() + min(left_s, ASK_AGAIN_S)
        while (wait_s := again_s - time.monotonic()) > 0:
            out.settimeout(wait_s)
            try:
                answer = decode_control(out.recv(MAX_PACKET_BYTES), keys)
            except PacketError:
                continue
            except TimeoutError:
                break
            except ConnectionRefusedError:
                time.sleep(min(wait_s, ASK_AGAIN_S))
                break
            if answer.nonce == nonce:
                return answer
    raise NoAnswer(
        f"snapshot: no daemon answers at {where}; its configuration must have publish.control, and with a key this side needs it too"
    )
