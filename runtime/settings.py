"""The configuration of the daemon: one frozen struct per section, as it stands in a file of configs/."""

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import msgspec

from handmap.engines.factory import EngineConfig
from handmap.protocol.fields import DEFAULT_PORT
from handmap.recording.png_folder import PngFolderConfig
from handmap.tracking.smooth import SmoothingConfig
from handmap.tracking.tracker_settings import TrackingConfig

from .faults.fault_schedule import Fault

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class ReplayConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="replay"):
    """A recording in the role of the camera."""

    path: Path  # a recording, or a folder of 16-bit PNGs with an intrinsics.yaml beside them
    # recorded: as it was; flat_out: the next frame when the last was taken; lockstep: when it was published
    pace: Literal["recorded", "flat_out", "lockstep"] = "recorded"
    loop: bool = True  # begin again at the end; false: leave with exit code 0
    topic: str | None = None  # the depth topic to use, where a bag has several
    png_folder: PngFolderConfig | None = None  # for PNGs without intrinsics.yaml


class RealSenseConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="realsense"):
    """A RealSense depth camera, or a file that its SDK recorded in the role of one.

    What the device does not offer is refused with what it does.
    """

    serial: str | None = None  # which camera, where more than one is plugged in; null: the only one
    width_px: Annotated[int, msgspec.Meta(ge=1, le=8192)] = 640  # of the depth image
    height_px: Annotated[int, msgspec.Meta(ge=1, le=8192)] = 480  # of the depth image
    fps: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 60  # frames a second
    preset: str | None = (
        None  # default, hand, high_accuracy, high_density or medium_density; null: as the device has it
    )
    laser_power: Annotated[float, msgspec.Meta(ge=0)] | None = (
        None  # in the device's unit, mW for D400; 0: projector off
    )
    exposure_us: Annotated[float, msgspec.Meta(gt=0)] | None = None  # null: the camera exposes by itself
    gpu_frames: bool = (
        False  # true: a GPU engine reads frames where SDK 2.59 of a board keeps them, without a copy; not measured
    )
    playback: Path | None = None  # a .db3 or .bag file to play; its own size and rate hold, options cannot be given

    def __post_init__(self) -> None:
        if self.playback is not None and (self.serial, self.preset, self.laser_power, self.exposure_us) != (None,) * 4:
            raise ValueError("with playback, serial, preset, laser_power and exposure_us must be left out")


class FaultyConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="faulty"):
    """A camera on which faults are tried, with the whole device around it: some kinds spoil the engine or the sockets."""

    camera: ReplayConfig | RealSenseConfig  # the one that is spoiled
    faults: tuple[Fault, ...] = ()  # what fails when
    clock_scale: Annotated[float, msgspec.Meta(gt=0, le=1000)] = 1.0  # the schedule's seconds pass so much faster


CameraConfig: TypeAlias = ReplayConfig | RealSenseConfig | FaultyConfig


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
    camera: CameraConfig  # where depth frames come from
    publish: PublishConfig  # where joints go
    engine: EngineConfig = EngineConfig()  # what runs the network
    tracking: TrackingConfig = TrackingConfig()  # which hands are followed
    smoothing: SmoothingConfig = SmoothingConfig()  # of the joints that are published
    thermal: ThermalConfig = ThermalConfig()  # what heat does to the rate
    telemetry: TelemetryConfig = TelemetryConfig()  # metrics
    log: LogConfig = LogConfig()  # log lines
