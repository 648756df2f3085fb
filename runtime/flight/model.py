"""What packets depend on beyond frames: recorded with them, and compared when they are replayed."""

import logging
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable

import msgspec

from handmap.recording.flight_records import About
from handmap.system.redact import without_secrets
from handmap.tracking.tracker import TrackerState
from handmap.types.values import DepthFrame

from ..settings import Settings

LOG = logging.getLogger("handmap.flight")

SECTIONS: Final = ("tracking", "skeleton", "smoothing")


class Model(NamedTuple):
    """Bundle id, engine precision, and the configuration's sections that decide about joints."""

    bundle: str
    precision: str
    tracker: dict[str, Any]


@runtime_checkable
class Resuming(Protocol):
    """A `Camera` that replays a snapshot of the flight recorder."""

    about: About

    def state_before(self, frame: DepthFrame) -> TrackerState | None:
        """The tracker's state in which the work on this frame begins; None for what the frame before leaves."""
        ...


def tracker_sections(settings: Settings) -> dict[str, Any]:
    """The sections that decide about joints."""
    return {name: without_secrets(getattr(settings, name)) for name in SECTIONS}


def config_text(settings: Settings) -> str:
    """The whole configuration as JSON, without secrets."""
    return msgspec.json.encode(without_secrets(settings)).decode()


def note_other_model(camera: Resuming, model: Model) -> None:
    """Logs a warning if the packets of a replayed snapshot will not be those recorded."""
    about = camera.about
    others = [
        f"{what} {now} instead of {was}"
        for what, was, now in (("bundle", about.bundle, model.bundle), ("precision", about.precision, model.precision))
        if was != now
    ]
    others += [f"another section {name}" for name in SECTIONS if about.tracker.get(name) != model.tracker[name]]
    if others:
        LOG.warning(
            "replay=differs reason=%r", f"this daemon has {', '.join(others)}, so joints will not be those recorded"
        )
