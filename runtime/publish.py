"""Sends packets over UDP to everyone who is to have them. Never blocks; errors are counted, and logged when they begin and end."""

import logging
import secrets
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final, NamedTuple

from handmap import __version__
from handmap.protocol.fields import NO_BUNDLE, MessageType, Precision
from handmap.protocol.info import CameraIntrinsics, DaemonInfo, encode_info
from handmap.protocol.packet import Packet, encode, hand_from_pose
from handmap.protocol.parts import split
from handmap.types.intrinsics import Intrinsics
from handmap.types.values import DepthFrame, HandPose

from .control import ControlPort
from .discovery import Announcement
from .outlet import Outlet, Target, open_outlet
from .publish_config import ControlConfig, PublishConfig
from .skeletons import Skeletons
from .state import DaemonStatus

LOG = logging.getLogger("handmap.publish")

MAX_NAME: Final = 200  # of a camera in INFO, which must fit into a datagram


class ModelFacts(NamedTuple):
    """What packets and INFO say of the model: the bundle's id and name, and the engine's precision."""

    bundle_id: bytes
    bundle: str
    precision: Precision


class Publisher:
    """One stream of packets: numbered, with a random stream ID.

    Safe to use from the loop and the heartbeat.
    """

    def __init__(self, outlet: Outlet, raise_fault: Callable[[], None]) -> None:
        self._outlet = outlet
        self._raise_fault = raise_fault
        self._lock = threading.Lock()
        self._stream_id = secrets.randbits(32)
        self._sequence = 0
        self.packets: tuple[bytes, ...] = ()  # the datagrams of the frame published last
        self._model: ModelFacts | None = None
        self._camera: tuple[str, str | None] | None = None
        self._intrinsics: Intrinsics | None = None
        self._skeletons = Skeletons()
        self.ask_snapshot: Callable[[str], int] = lambda trigger: 0  # for receivers; returns 0 if nothing is recorded
        self.control = self._open_control(outlet)
        self._announcement = _announce(outlet)

    @property
    def targets(self) -> tuple[Target, ...]:
        """The configured receivers."""
        return self._outlet.targets

    @property
    def outlet(self) -> Outlet:
        """Where the stream goes now."""
        return self._outlet

    @property
    def errors(self) -> int:
        """Packets that could not be handed to the network, over all receivers."""
        return sum(target.errors for target in self.targets) + (0 if self.control is None else self.control.errors)

    def identify(self, model: ModelFacts) -> None:
        """Sets what later packets and INFO say of the model."""
        self._model = model

    def identify_camera(self, name: str, serial: str | None) -> None:
        """Sets what INFO says of the camera."""
        self._camera = name, serial

    def publish(self, frame: DepthFrame, poses: list[HandPose], status: DaemonStatus) -> int:
        """Sends the hands of a frame, if any, and returns the publish time, CLOCK_MONOTONIC ns."""
        outlet, self._intrinsics = self._outlet, frame.intrinsics
        hands = [hand_from_pose(pose) for pose in poses]
        if outlet.config.skeleton and status.bodies is not None:
            skeletons = self._skeletons.of(status.bodies, outlet.frame.rotation)
            hands = [replace(hand, skeleton=skeleton) for hand, skeleton in zip(hands, skeletons, strict=True)]
        packet = Packet(
            MessageType.JOINTS, status.state, self._stream_id, 0, frame.frame_number, frame.capture_ns, 0,
            outlet.frame.place(hands), timestamp_source=frame.timestamp_source,
        )  # fmt: skip
        publish_ns, self.packets = self._send(packet)
        return publish_ns

    def heartbeat(self, status: DaemonStatus) -> int:
        """Sends the state alone, and returns the publish time."""
        packet = Packet(
            MessageType.HEARTBEAT, status.reported[0], self._stream_id, 0, status.frame_number, status.capture_ns, 0
        )
        return self._send(packet)[0]

    def configure(self, outlet: Outlet) -> None:
        """Sends the same stream as this says from the next packet on. Subscribers stay, unless the control port or a key has changed."""
        with self._lock:
            old, self._outlet = self._outlet, outlet
        if (outlet.config.control, outlet.keys) != (old.config.control, old.keys):
            if self.control is not None:
                self.control.close()
            self.control = self._open_control(outlet)
        if _announced(outlet) != _announced(old):
            if self._announcement is not None:
                self._announcement.close()
            self._announcement = _announce(outlet)
        old.close()

    def close(self) -> None:
        """Closes the sockets, and withdraws the announcement."""
        if self._announcement is not None:
            self._announcement.close()
        if self.control is not None:
            self.control.close()
        self._outlet.close()

    def info(self) -> bytes:
        """What INFO says now."""
        outlet, model, lens = self._outlet, self._model, self._intrinsics
        name, serial = self._camera or (None, None)
        return encode_info(
            DaemonInfo(
                version=__version__,
                device_name=_device_name(outlet),
                bundle=None if model is None else model.bundle,
                bundle_id=None if model is None else model.bundle_id.hex(),
                precision=None if model is None else model.precision.name.lower(),
                camera=None if name is None else name[:MAX_NAME],
                serial=serial,
                intrinsics=None if lens is None else _intrinsics(lens),
                frame=outlet.frame.name,
                frame_from_camera=outlet.frame.rows,
            )
        )

    def _open_control(self, outlet: Outlet) -> ControlPort | None:
        control = outlet.config.control
        return None if control is None else ControlPort(
            control, outlet.keys, self._stream_id, self.info, lambda: self.ask_snapshot("asked")
        )  # fmt: skip

    def _send(self, packet: Packet) -> tuple[int, tuple[bytes, ...]]:
        """Sends a packet; returns when, and its datagrams."""
        sent = []
        with self._lock:
            outlet, control, model = self._outlet, self.control, self._model
            now_ns = time.monotonic_ns()
            packet = replace(
                packet, publish_ns=now_ns, bundle_id=NO_BUNDLE if model is None else model.bundle_id,
                precision=Precision.NONE if model is None else model.precision,
                frame_of_reference=outlet.frame.kind, control_port=0 if control is None else control.port,
            )  # fmt: skip
            for part in split(packet):
                data = encode(replace(part, sequence=self._sequence), outlet.keys)
                self._sequence += 1
                sent.append(data)
                for target in outlet.targets:
                    target.send(data, self._raise_fault)
                if control is not None:
                    control.send(data, self._raise_fault)
        return now_ns, tuple(sent)


def _device_name(outlet: Outlet) -> str:
    return outlet.config.device_name or socket.gethostname()


def _announced(outlet: Outlet) -> tuple[ControlConfig, str] | None:
    """What is announced on the network, if anything."""
    config = outlet.config
    return (config.control, _device_name(outlet)) if config.discovery and config.control is not None else None


def _announce(outlet: Outlet) -> Announcement | None:
    announced = _announced(outlet)
    return None if announced is None else Announcement(*announced)


def _intrinsics(lens: Intrinsics) -> CameraIntrinsics:
    return CameraIntrinsics(lens.fx_px, lens.fy_px, lens.cx_px, lens.cy_px, lens.width_px, lens.height_px)


def _without_fault() -> None:
    """Raises nothing."""


def open_publisher(config: PublishConfig, raise_fault: Callable[[], None] = _without_fault) -> Publisher:
    """A publisher as configured; raise_fault is called before each packet, and can raise the OSError of a socket.

    Addresses are used at once; a target with a host name joins when it resolves. Raises ConfigError if a key cannot be read.
    """
    return Publisher(open_outlet(config), raise_fault)
