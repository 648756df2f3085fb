"""What a configuration makes of a stream of packets: where it goes, in which frame, sealed with which keys."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from handmap.protocol.authentication import KeyRing, read_credential, read_keys

from .discovery import refuse_missing_zeroconf
from .publish_config import PublishConfig
from .publish_frame import PublishFrame, publish_frame
from .routes import HostRoute, NetworkRoute, Route

LOG = logging.getLogger("handmap.publish")


class Target:
    """A receiver, group or network, and the state of sending to it."""

    def __init__(self, route: Route) -> None:
        self.name = route.name
        self.errors = 0
        self.packets = 0
        self.sent_bytes = 0
        self.is_failing = False
        self._route = route

    def send(self, data: bytes, raise_fault: Callable[[], None]) -> None:
        """Hands the packet to the network, or counts an error if that fails; raise_fault can simulate a failure."""
        try:
            raise_fault()
            out, address = self._route.current()
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
        """Closes its sockets."""
        self._route.close()


@dataclass(frozen=True)
class Outlet:
    """What a configuration makes of a stream: where it goes, in which frame, sealed with which keys."""

    config: PublishConfig
    targets: tuple[Target, ...]
    frame: PublishFrame
    keys: KeyRing | None

    def close(self) -> None:
        """Closes the targets."""
        for target in self.targets:
            target.close()


def open_outlet(config: PublishConfig) -> Outlet:
    """The targets, frame and keys of a configuration. Raises ConfigError if a key cannot be read, DependencyError if a library is missing."""
    keys = _read_keys(config)
    if config.discovery:
        refuse_missing_zeroconf()
    routes: list[Route] = [HostRoute(target) for target in config.targets]
    routes += [NetworkRoute(network) for network in (config.multicast, config.broadcast) if network is not None]
    return Outlet(config, tuple(Target(route) for route in routes), publish_frame(config.frame), keys)


def _read_keys(config: PublishConfig) -> KeyRing | None:
    if config.key_credential is not None:
        return read_credential(config.key_credential)
    return None if config.key_file is None else read_keys(config.key_file)
