"""The configuration of the daemon: one frozen struct per section of the YAML file."""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from handmap.engines.factory import EngineConfig
from handmap.protocol.preview import DEFAULT_PREVIEW_PORT
from handmap.recording.cameras import CAMERAS, CameraConfig
from handmap.system.config import decode_config
from handmap.system.drop_ins import read_layers
from handmap.system.yaml_file import Document
from handmap.tracking.fitted_hands import SkeletonConfig
from handmap.tracking.smooth import SmoothingConfig
from handmap.tracking.tracker_settings import TrackingConfig

from .flight.config import FlightRecorderConfig
from .publish_config import Port, PublishConfig
from .targets import refuse_no_bind


class LogConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is logged, in which format, and how often rates and percentiles are."""

    stats_interval_s: Annotated[float, msgspec.Meta(ge=0.1, le=3600)] = (
        10.0  # time between log lines with rates and stage times
    )
    level: Literal["debug", "info", "warning", "error"] = "info"  # lowest level that is logged
    format: Literal["text", "json"] = "text"  # text: key=value; json: one object per line


class TelemetryConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Metrics for Prometheus and for `handmap status`; available to programs on this machine only."""

    port: Port | None = 9400  # TCP port on the loopback address; null: no telemetry


class PreviewConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Depth pictures for `handmap view`: what the camera sees, and what was found in it."""

    bind: Annotated[str, msgspec.Meta(min_length=1)] = (
        "127.0.0.1"  # address of this machine to answer at; one that others can reach needs a key in publish
    )
    port: Port = DEFAULT_PREVIEW_PORT  # TCP port
    max_hz: Annotated[float, msgspec.Meta(ge=0.1, le=60)] = 10.0  # pictures per second at most
    max_viewers: Annotated[int, msgspec.Meta(ge=1, le=16)] = 4  # pages at a time

    def __post_init__(self) -> None:
        refuse_no_bind(self.bind)


class ThermalConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Temperatures from which fewer frames are processed.

    The defaults suit Orin, which lowers its own clocks at 99 C.
    """

    warm_c: Annotated[float, msgspec.Meta(ge=30, le=120)] = 85.0  # from here on, every second frame is processed
    hot_c: Annotated[float, msgspec.Meta(ge=30, le=120)] = 94.0  # from here on, every fourth frame is processed
    hysteresis_c: Annotated[float, msgspec.Meta(ge=0.5, le=20)] = (
        4.0  # how far it must cool down before the rate goes up again
    )
    poll_interval_s: Annotated[float, msgspec.Meta(ge=0.1, le=60)] = 2.0  # time between sensor readings
    zones: tuple[str, ...] | None = None  # thermal zone types to watch; null: all; []: none, temperature has no effect
    sysfs: Path = Path("/sys")  # where to find the kernel's sensors; differs in tests and containers

    def __post_init__(self) -> None:
        if self.warm_c >= self.hot_c:
            raise ValueError(f"warm_c must be below hot_c, found {self.warm_c} and {self.hot_c}")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole configuration file."""

    bundle: Path  # bundle folder written by `handmap export`
    camera: CameraConfig  # where depth frames come from: a section of one of the kinds below
    publish: PublishConfig  # where to send joints
    engine: EngineConfig = EngineConfig()  # what runs the networks
    tracking: TrackingConfig = TrackingConfig()  # which hands are tracked
    skeleton: SkeletonConfig = SkeletonConfig()  # fit of the hand's bones to the joints
    smoothing: SmoothingConfig = SmoothingConfig()  # smoothing and prediction of the joints
    thermal: ThermalConfig = ThermalConfig()  # how temperature limits the rate
    telemetry: TelemetryConfig = TelemetryConfig()  # metrics
    preview: PreviewConfig | None = PreviewConfig()  # depth pictures for `handmap view`; null: none
    log: LogConfig = LogConfig()  # log lines
    flight_recorder: FlightRecorderConfig = (
        FlightRecorderConfig()
    )  # the newest seconds, to be written when something goes wrong

    def __post_init__(self) -> None:
        if self.publish.skeleton and not self.skeleton.enabled:
            raise ValueError(
                "publish.skeleton is true, and skeleton.enabled false, so that there is no fitted hand to send; change one of them"
            )
        if (
            self.preview is not None
            and not self.publish.has_key
            and not ipaddress.ip_address(self.preview.bind).is_loopback
        ):
            raise ValueError(
                f"preview.bind: {self.preview.bind} lets other machines see what the camera sees, which needs a key; give "
                "publish.key_file, or bind to 127.0.0.1"
            )


def read_settings(path: Path) -> Settings:
    """Reads a configuration file and its drop-ins; its camera can be of any installed kind.

    Raises ConfigError that states what is wrong, and where.
    """
    return decode_settings(read_layers(path))


def decode_settings(document: Document) -> Settings:
    """The settings in a configuration that has been read.

    Raises ConfigError that states what is wrong, and where.
    """
    return decode_config(document, Settings, (CAMERAS,))
