"""The section `publish` of the configuration: where joints are sent, in which frame, and how they are protected."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Final

import msgspec

from handmap.protocol.fields import DEFAULT_CONTROL_PORT, DEFAULT_PORT
from handmap.system.redact import SECRET

from .targets import refuse_no_bind, refuse_no_broadcast, refuse_no_group, refuse_no_receiver, same_receiver

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Meters = Annotated[float, msgspec.Meta(ge=-1000, le=1000)]
Share = Annotated[float, msgspec.Meta(ge=-1, le=1)]
MAX_UNIT_ERROR: Final = 1e-3  # of a quaternion written with four decimals
_CREDENTIAL: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class TargetConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A receiver of packets."""

    host: Annotated[
        str, msgspec.Meta(min_length=1)
    ]  # IPv4 address, IPv6 address without brackets, or host name; of one machine
    port: Port = DEFAULT_PORT  # UDP port

    def __post_init__(self) -> None:
        refuse_no_receiver(self.host)


class MulticastConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A multicast group that gets every packet; receivers join it. Wi-Fi sends multicast slowly and unacknowledged."""

    group: Annotated[str, msgspec.Meta(min_length=1)]  # its address, such as 239.255.77.1 or ff15::4d50
    interface: Annotated[
        str, msgspec.Meta(min_length=1, max_length=15)
    ]  # name of the network interface to send on, such as eth0
    port: Port = DEFAULT_PORT  # UDP port
    ttl: Annotated[int, msgspec.Meta(ge=0, le=32)] = 1  # routers to pass; 1: this network only

    def __post_init__(self) -> None:
        refuse_no_group(self.group)


class BroadcastConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All machines of a network get every packet."""

    address: Annotated[str, msgspec.Meta(min_length=1)]  # the broadcast address of that network, such as 192.168.1.255
    port: Port = DEFAULT_PORT  # UDP port

    def __post_init__(self) -> None:
        refuse_no_broadcast(self.address)


class ControlConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The control port, where receivers subscribe, compare clocks and ask for facts."""

    bind: Annotated[str, msgspec.Meta(min_length=1)] = (
        "127.0.0.1"  # address of this machine to answer at; 0.0.0.0 or ::: all of them
    )
    port: Port = DEFAULT_CONTROL_PORT  # UDP port
    max_subscribers: Annotated[int, msgspec.Meta(ge=1, le=64)] = 16  # receivers at a time
    max_lease_s: Annotated[int, msgspec.Meta(ge=2, le=3600)] = 30  # how long one that does not renew gets packets

    def __post_init__(self) -> None:
        refuse_no_bind(self.bind)


class FrameConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The frame of reference of what is published, by the camera's pose in it."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=63)]  # for receivers, such as robot_base
    position_m: tuple[Meters, Meters, Meters]  # of the depth camera in that frame: x, y, z
    quaternion: tuple[
        Share, Share, Share, Share
    ]  # x, y, z, w: turns the camera's axes (x right, y down, z away) to that frame

    def __post_init__(self) -> None:
        if abs(sum(part * part for part in self.quaternion) - 1) > 2 * MAX_UNIT_ERROR:
            raise ValueError(
                f"quaternion: {list(self.quaternion)} does not have length 1; write x, y, z, w of a rotation, such as [0, 0, 0, 1] "
                "for none"
            )


class PublishConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where to send joints, and in which form. One of targets, multicast, broadcast and control must be given."""

    targets: Annotated[tuple[TargetConfig, ...], msgspec.Meta(max_length=16)] = ()  # receivers of every packet
    multicast: MulticastConfig | None = None  # a group that gets every packet; null: none
    broadcast: BroadcastConfig | None = None  # a network that gets every packet; null: none
    control: ControlConfig | None = None  # where receivers can subscribe; null: nowhere
    skeleton: bool = False  # true: also send orientations, angles, pinch and size of the fitted hand
    frame: FrameConfig | None = None  # move everything into this frame; null: that of the depth camera
    device_name: Annotated[str, msgspec.Meta(min_length=1, max_length=63)] | None = (
        None  # for receivers; null: the host's name
    )
    key_file: Annotated[Path, SECRET] | None = (
        None  # authenticate all datagrams with the keys in this file of mode 0600; null: do not
    )
    key_credential: Annotated[str, SECRET] | None = None  # likewise, with the keys in this systemd credential
    discovery: bool = False  # true: announce the control port on the local network by mDNS; needs the package zeroconf

    def __post_init__(self) -> None:
        self._refuse_twins()
        if not (self.targets or self.multicast or self.broadcast or self.control):
            raise ValueError("nobody would receive anything; give targets, multicast, broadcast or control")
        if self.key_file is not None and self.key_credential is not None:
            raise ValueError("key_file and key_credential are both given; remove one of them")
        if self.has_key and self.control is None:
            raise ValueError(
                "a key needs the control port, where receivers ask for a proof; give control, or remove the key"
            )
        if self.key_credential is not None and not _CREDENTIAL.fullmatch(self.key_credential):
            raise ValueError(
                f"key_credential: {self.key_credential!r} is not the name of a credential; write the one in LoadCredential=NAME:FILE"
            )
        if self.discovery and (self.control is None or ipaddress.ip_address(self.control.bind).is_loopback):
            raise ValueError(
                "discovery announces a control port that other machines can reach; set control.bind, such as to 0.0.0.0"
            )

    @property
    def has_key(self) -> bool:
        """Whether everything is authenticated."""
        return self.key_file is not None or self.key_credential is not None

    def _refuse_twins(self) -> None:
        seen: set[tuple[str, int]] = set()
        for target in self.targets:
            receiver = same_receiver(target.host), target.port
            if receiver in seen:
                raise ValueError(f"targets: {target.host} with port {target.port} is given twice; remove one of them")
            seen.add(receiver)
