"""The configuration of the daemon: one frozen struct per section, as it stands in a file of configs/."""

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import msgspec

from handmap.engines import EngineConfig
from handmap.follow import TrackingConfig
from handmap.packet_fields import DEFAULT_PORT
from handmap.png_folder import PngFolderConfig

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class ReplayConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="replay"):
    """A recording in the role of the camera.

    pace: `recorded` keeps the recorded spacing; `flat_out` reads the next frame when the last was taken, `lockstep`
    when
    it was published.
    """

    path: Path
    pace: Literal["recorded", "flat_out", "lockstep"] = "recorded"
    loop: bool = True
    topic: str | None = None
    png_folder: PngFolderConfig | None = None


# Becomes a union, told apart by `kind`, as cameras are added.
CameraConfig: TypeAlias = ReplayConfig


class TargetConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A receiver of packets: an IPv4 or IPv6 address or a host name, and a UDP port."""

    host: Annotated[str, msgspec.Meta(min_length=1)]
    port: Port = DEFAULT_PORT


class PublishConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where joints go."""

    targets: Annotated[tuple[TargetConfig, ...], msgspec.Meta(min_length=1, max_length=16)]


class LogConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is logged, and how often rates and percentiles are."""

    stats_s: Annotated[float, msgspec.Meta(ge=0.1, le=3600)] = 10.0
    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole configuration file."""

    bundle: Path
    camera: CameraConfig
    publish: PublishConfig
    engine: EngineConfig = EngineConfig()
    tracking: TrackingConfig = TrackingConfig()
    log: LogConfig = LogConfig()
