"""What the options of `handmap view` say about its page."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DEFAULT_PAGE_PORT: Final = 8080


@dataclass(frozen=True)
class ViewOptions:
    """Where the page is served, where its recordings go, what to look at if nothing comes, and whether it begins dark.

    port None is DEFAULT_PAGE_PORT or, if that is taken, the next free one.
    """

    host: str
    port: int | None
    recordings: Path
    hint: str = "is the daemon running?"
    is_dark: bool = False


def default_recordings() -> Path:
    """The folder for recordings of this user, after the XDG base directory specification."""
    base = os.environ.get("XDG_DATA_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".local/share") / "handmap/recordings"
