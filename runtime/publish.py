"""Sends packets by UDP to a list of receivers. Never blocks; errors are counted, and logged when they begin and end."""

import dataclasses
import logging
import secrets
import socket
import threading
import time
from dataclasses import dataclass

from handmap.errors import ConfigError, NetworkUnavailable
from handmap.packet import Packet, encode, hand_from_pose
from handmap.packet_fields import NO_BUNDLE, MessageType, Precision
from handmap.values import DepthFrame, HandPose

from .settings import PublishConfig, TargetConfig
from .state import DaemonStatus

LOG = logging.getLogger("handmap.publish")


@dataclass
class Target:
    """A receiver, its resolved address, and how sending to it goes."""

    name: str
    out: socket.socket
    address: tuple[str, int] | tuple[str, int, int, int]
    errors: int = 0
    is_failing: bool = False


class Publisher:
    """One stream of packets: numbered, with a random id, to all targets.

    Safe to use from the loop and the heartbeat.
    """

    def __init__(self, targets: list[Target]) -> None:
        self._targets = targets
        self._lock = threading.Lock()
        self._stream_id = secrets.randbits(32)
        self._sequence = 0
        self._bundle_id = NO_BUNDLE
        self._precision = Precision.NONE

    @property
    def errors(self) -> int:
        """Packets that could not be handed to the network, over all targets."""
        return sum(target.errors for target in self._targets)

    def identify(self, bundle_id: bytes, precision: Precision) -> None:
        """What later packets say of the model that is run."""
        self._bundle_id, self._precision = bundle_id, precision

    def publish(self, frame: DepthFrame, poses: list[HandPose], status: DaemonStatus) -> int:
        """Sends the hands of a frame, none included, and gives the publish time, CLOCK_MONOTONIC ns."""
        hands = tuple(hand_from_pose(pose) for pose in poses)
        packet = Packet(
            MessageType.JOINTS, status.state, self._stream_id, 0, frame.frame_number, frame.capture_ns, 0, hands,
            self._bundle_id, self._precision, timestamp_source=frame.timestamp_source,
        )  # fmt: skip
        return self._send(packet)

    def heartbeat(self, status: DaemonStatus) -> int:
        """Sends the state alone, and gives the publish time."""
        packet = Packet(
            MessageType.HEARTBEAT, status.state, self._stream_id, 0, status.frame_number, status.capture_ns, 0,
            bundle_id=self._bundle_id, precision=self._precision,
        )  # fmt: skip
        return self._send(packet)

    def close(self) -> None:
        """Closes the sockets."""
        for out in {id(target.out): target.out for target in self._targets}.values():
            out.close()

    def _send(self, packet: Packet) -> int:
        with self._lock:
            now_ns = time.monotonic_ns()
            data = encode(dataclasses.replace(packet, sequence=self._sequence, publish_ns=now_ns))
            self._sequence += 1
            for target in self._targets:
                _send_to(target, data)
        return now_ns


def open_publisher(config: PublishConfig) -> Publisher:
    """A publisher to the configured targets, their names resolved once.

    Raises ConfigError for a name that does not exist, NetworkUnavailable if names cannot be looked up now.
    """
    outs: dict[socket.AddressFamily, socket.socket] = {}
    return Publisher([_resolve(target, outs) for target in config.targets])


def _resolve(config: TargetConfig, outs: dict[socket.AddressFamily, socket.socket]) -> Target:
    name = f"{config.host}:{config.port}"
    try:
        found = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_DGRAM)
    except socket.gaierror as error:
        sentence = f"publish target {name!r}: the host name cannot be looked up ({error.strerror})"
        if error.errno == socket.EAI_AGAIN:
            raise NetworkUnavailable(f"{sentence}; the network may not be up yet") from error
        raise ConfigError(f"{sentence}; correct it under publish.targets, or write the address") from error
    except UnicodeError as error:
        raise ConfigError(
            f"publish target {name!r:.90} is no host name: between its dots must stand 1 to 63 characters; correct it under "
            "publish.targets"
        ) from error
    family, address = found[0][0], found[0][4]
    if family not in outs:
        outs[family] = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        outs[family].setblocking(False)
    return Target(name, outs[family], address)  # type: ignore[arg-type]  # AF_INET and AF_INET6 give these two shapes


def _send_to(target: Target, data: bytes) -> None:
    try:
        target.out.sendto(data, target.address)
    except OSError as error:
        target.errors += 1
        if not target.is_failing:
            target.is_failing = True
            LOG.warning(
                "target=%s sending=failing error=%s errors=%d", target.name, error.strerror or error, target.errors
            )
        return
    if target.is_failing:
        target.is_failing = False
        LOG.info("target=%s sending=well errors=%d", target.name, target.errors)
