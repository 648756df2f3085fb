"""The section `flight_recorder` of the configuration, and where snapshots go by default."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec


class FlightRecorderConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The newest seconds of depth, joints and state, kept in memory and written when something goes wrong or somebody asks."""

    enabled: bool = True  # false: keep nothing
    seconds: Annotated[float, msgspec.Meta(ge=1, le=120)] = 10.0  # how far back it reaches
    memory_mb: Annotated[int, msgspec.Meta(ge=4, le=4096)] = (
        64  # most memory for that; less far back if it is too little
    )
    folder: Path | None = None  # where snapshots are written; null: snapshots in the service's or user's state folder
    budget_mb: Annotated[int, msgspec.Meta(ge=8, le=1_000_000)] = 512  # most disk space; the oldest snapshots make room
    on_degraded: bool = True  # true: also write one when the state becomes DEGRADED, at most once a minute


def snapshots_folder(config: FlightRecorderConfig, environment: Mapping[str, str] = os.environ) -> Path:
    """The configured folder, else `snapshots` in the service's state directory, else in the user's."""
    if config.folder is not None:
        return config.folder
    # systemd sets it for a unit with StateDirectory=; a colon separates several, and the last is an instance's own.
    of_service = environment.get("STATE_DIRECTORY", "").rpartition(":")[2]
    if of_service:
        return Path(of_service) / "snapshots"
    of_user = Path(environment.get("XDG_STATE_HOME", ""))
    # The XDG specification requires relative paths to be ignored.
    return (of_user if of_user.is_absolute() else Path.home() / ".local" / "state") / "handmap" / "snapshots"
