"""Where the TensorRT engine cache is by default."""

import os
from collections.abc import Mapping
from pathlib import Path


def engine_cache_dir(environment: Mapping[str, str] = os.environ) -> Path:
    """The default engine cache: the service's cache directory, else the user's."""
    # systemd sets it for a unit with CacheDirectory=; a colon separates several.
    of_service = environment.get("CACHE_DIRECTORY", "").partition(":")[0]
    if of_service:
        return Path(of_service) / "engines"
    of_user = Path(environment.get("XDG_CACHE_HOME", ""))
    # The XDG specification requires relative paths to be ignored.
    return (of_user if of_user.is_absolute() else Path.home() / ".cache") / "handmap" / "engines"
