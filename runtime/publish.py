"""Sends packets over UDP to a list of receivers. Never blocks; errors are counted, and logged when they begin and end."""

import dataclasses
import ipaddress
import logging
import secrets
import socket
import threading
import time
from collections.abc import Callable
from typing import Final, TypeAlias

from handmap.protocol.fields import NO_BUNDLE, MessageType, Precision
from handmap.protocol.packet import Packet, encode, hand_from_pose
from handmap.types.values import DepthFrame, HandPose

from .settings import PublishConfig, TargetConfig
from .state import DaemonStatus
from .targets import unfit

LOG = logging.getLogger("handmap.publish")

LOOK_UP_AGAIN_S: Final = 1.0  # while a name does not resolve
LOOK_UP_EVERY_S: Final = 5.0  # once it does: its address can change, as of a laptop that moves to another network

Address: TypeAlias = tuple[str, int] | tuple[str, int, int, int]


class Target:
    """A receiver, and the state of sending to it. A host name is looked up in its own thread, again and again.

    While a name that once resolved no longer does, packets go to its last address.
    """

    def __init__(self, config: TargetConfig) -> None:
        self.name = f"{config.host}:{config.port}"
        self.errors = 0
        self.packets = 0
        self.sent_bytes = 0
        self.is_failing = False
        self._config = config
        self._route: tuple[socket.socket, Address] | None = None  # one assignment, so that no lock is needed
        self._problem = "its host name has not been looked up yet"
        self._sockets: dict[int, socket.socket] = {}  # by address family; a change of address within one keeps it
        self._closed = threading.Event()
        if not self._find_route(socket.AI_NUMERICHOST):
            threading.Thread(target=self._look_up, name="look-up", daemon=True).start()

    def send(self, data: bytes, raise_fault: Callable[[], None]) -> None:
        """Hands the packet to the network, or counts an error if that fails; raise_fault can simulate a failure."""
        try:
            raise_fault()
            if self._route is None:
                raise OSError(self._problem)
            out, address = self._route
            out.sendto(data, address)
            self.packets += 1
            self.sent_bytes += len(data)
        except OSError as error:
            self.errors += 1
            if not self.is_failing:
                self.is_failing = True
                LOG.warning(
                    "target=%s sending=failing error=%r errors=%d", self.name, error.strerror or str(error), self.errors
                )
            return
        if self.is_failing:
            self.is_failing = False
            LOG.info("target=%s sending=well errors=%d", self.name, self.errors)

    def close(self) -> None:
        """Closes the socket; a lookup in progress ends by itself."""
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
            found = socket.getaddrinfo(self._config.host, self._config.port, type=socket.SOCK_DGRAM, flags=flags)
            if (
                why := unfit(ipaddress.ip_address(found[0][4][0])) if flags == 0 else ""
            ):  # an address was judged when it was read
                raise OSError(0, f"{found[0][4][0]} {why}")
            if self._route is not None and self._route[1] in [answer[4] for answer in found]:
                self._problem = ""
                return True  # also if the order of several addresses has changed
            family, address = found[0][0], found[0][4]
            out = self._sockets.get(family) or socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        except OSError as error:  # socket.gaierror included
            if not flags and self._problem != (problem := f"its host name cannot be looked up ({error.strerror})"):
                self._problem = problem
                LOG.warning("target=%s error=%r", self.name, f"{problem}; correct publish.targets if this persists")
            return False
        out.setblocking(False)
        if self._route is not None:
            LOG.info("target=%s address=%s was=%s", self.name, address[0], self._route[1][0])
        self._sockets[family], self._problem = out, ""
        self._route = (out, address)  # type: ignore[assignment]  # AF_INET and AF_INET6 give these two shapes
        return True


class Publisher:
    """One stream of packets to all targets: numbered, with a random stream ID.

    Safe to use from the loop and the heartbeat.
    """

    def __init__(self, targets: list[Target], raise_fault: Callable[[], None]) -> None:
        self.targets = tuple(targets)
        self._raise_fault = raise_fault
        self._lock = threading.Lock()
        self._stream_id = secrets.randbits(32)
        self._sequence = 0
        self._bundle_id = NO_BUNDLE
        self._precision = Precision.NONE

    @property
    def errors(self) -> int:
        """Packets that could not be handed to the network, over all targets."""
        return sum(target.errors for target in self.targets)

    def identify(self, bundle_id: bytes, precision: Precision) -> None:
        """Sets the model facts that later packets carry."""
        self._bundle_id, self._precision = bundle_id, precision

    def publish(self, frame: DepthFrame, poses: list[HandPose], status: DaemonStatus) -> int:
        """Sends the hands of a frame, if any, and returns the publish time, CLOCK_MONOTONIC ns."""
        hands = tuple(hand_from_pose(pose) for pose in poses)
        packet = Packet(
            MessageType.JOINTS, status.state, self._stream_id, 0, frame.frame_number, frame.capture_ns, 0, hands,
            self._bundle_id, self._precision, timestamp_source=frame.timestamp_source,
        )  # fmt: skip
        return self._send(packet)

    def heartbeat(self, status: DaemonStatus) -> int:
        """Sends the state alone, and returns the publish time."""
        packet = Packet(
            MessageType.HEARTBEAT, status.reported[0], self._stream_id, 0, status.frame_number, status.capture_ns, 0,
            bundle_id=self._bundle_id, precision=self._precision,
        )  # fmt: skip
        return self._send(packet)

    def retarget(self, targets: list[Target]) -> None:
        """Sends the same stream to other targets from the next packet on, and closes the old ones."""
        with self._lock:
            old, self.targets = self.targets, tuple(targets)
        for target in old:
            target.close()

    def close(self) -> None:
        """Closes the sockets."""
        for target in self.targets:
            target.close()

    def _send(self, packet: Packet) -> int:
        with self._lock:
            now_ns = time.monotonic_ns()
            data = encode(dataclasses.replace(packet, sequence=self._sequence, publish_ns=now_ns))
            self._sequence += 1
            for target in self.targets:
                target.send(data, self._raise_fault)
        return now_ns


def _without_fault() -> None:
    """Raises nothing."""


def open_publisher(config: PublishConfig, raise_fault: Callable[[], None] = _without_fault) -> Publisher:
    """A publisher to the configured targets; raise_fault is called before each packet, and can raise the OSError of a socket.

    Addresses are used at once; a target with a host name joins when it resolves.
    """
    return Publisher(open_targets(config), raise_fault)


def open_targets(config: PublishConfig) -> list[Target]:
    """The configured targets; see `open_publisher`."""
    return [Target(target) for target in config.targets]
