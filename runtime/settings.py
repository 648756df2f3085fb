"""The configuration of the daemon: one frozen struct per section, as it stands in a file of configs/."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from handmap.engines.factory import EngineConfig
from handmap.protocol.fields import DEFAULT_PORT
from handmap.recording.cameras import CAMERAS, CameraConfig
from handmap.system.config import read_config
from handmap.tracking.smooth import SmoothingConfig
from handmap.tracking.tracker_settings import TrackingConfig

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class TargetConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A receiver of packets."""

    host: Annotated[str, msgspec.Meta(min_length=1)]  # IPv4 or IPv6 address, or host name
    port: Port = DEFAULT_PORT  # UDP port


class PublishConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where joints go."""

    targets: Annotated[tuple[TargetConfig, ...], msgspec.Meta(min_length=1, max_length=16)]  # who gets every packet


class LogConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is logged, and how often rates and percentiles are."""

    stats_interval_s: Annotated[float, msgspec.Meta(ge=0.1, le=3600)] = (
        10.0  # time between lines with rate and stage times
    )
    level: Literal["debug", "info", "warning", "error"] = "info"  # the least important lines that are written
    format: Literal["text", "json"] = "text"  # text: key=value; json: one object a line


class TelemetryConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Metrics for Prometheus and for `handmap status`; only programs on the same machine can ask for them."""

    port: Port | None = 9400  # TCP port on the loopback address; null: no telemetry


class ThermalConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From which heat on fewer frames are worked on.

    Bounds fit Orin, which lowers its own clocks at 99 C.
    """

    warm_c: Annotated[float, msgspec.Meta(ge=30, le=120)] = 85.0  # from here on every second frame
    hot_c: Annotated[float, msgspec.Meta(ge=30, le=120)] = 94.0  # from here on every fourth frame
    hysteresis_c: Annotated[float, msgspec.Meta(ge=0.5, le=20)] = 4.0  # how much cooler before the rate goes up again
    poll_interval_s: Annotated[float, msgspec.Meta(ge=0.1, le=60)] = 2.0  # time between two looks at the sensors
    zones: tuple[str, ...] | None = None  # types of thermal zones that count; null: all; []: heat changes nothing
    sysfs: Path = Path("/sys")  # where the kernel shows its sensors; another folder for tests and containers

    def __post_init__(self) -> None:
        if self.warm_c >= self.hot_c:
            raise ValueError(f"warm_c must be below hot_c, found {self.warm_c} and {self.hot_c}")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole configuration file."""

    bundle: Path  # folder that `handmap export` wrote: what the model is
    camera: CameraConfig  # where depth frames come from: the section of one kind
    publish: PublishConfig  # where joints go
    engine: EngineConfig = EngineConfig()  # what runs the network
    tracking: TrackingConfig = TrackingConfig()  # which hands are followed
    smoothing: SmoothingConfig = SmoothingConfig()  # of the joints that are published
    thermal: ThermalConfig = ThermalConfig()  # what heat does to the rate
    telemetry: TelemetryConfig = TelemetryConfig()  # metrics
    log: LogConfig = LogConfig()  # log lines


def read_settings(path: Path) -> Settings:
    """The configuration in a file, its camera of any kind that is installed.

    Raises ConfigError with what is wrong in it, and where.
    """
    return read_config(path, Settings, (CAMERAS,))
