"""What `handmap status` and the metrics say of the ports that others connect to: who is connected, and why one is not open."""

import msgspec

from .control import ControlPort
from .preview import Preview


class ControlFacts(msgspec.Struct, frozen=True):
    """The control port: subscribers now, and totals since it was opened; problem is why it is not open, empty if it is."""

    name: str
    subscribers: tuple[str, ...]
    max_subscribers: int
    answered: int
    refused: int
    errors: int
    problem: str


class PreviewFacts(msgspec.Struct, frozen=True):
    """The preview's port: viewers now, and totals since the start of the daemon; problem is why it is not open, empty if it is."""

    name: str
    viewers: int
    max_viewers: int
    pictures: int
    refused: int
    problem: str


def control_facts(control: ControlPort | None) -> ControlFacts | None:
    """The facts of a control port; None without one."""
    if control is None:
        return None
    return ControlFacts(
        control.name,
        tuple(f"{each[0]}:{each[1]}" for each in control.subscribers),
        control.max_subscribers,
        control.answered,
        control.refused,
        control.errors,
        control.problem,
    )


def preview_facts(preview: Preview | None) -> PreviewFacts | None:
    """The facts of a preview; None where it is off."""
    if preview is None or (config := preview.config) is None:
        return None
    return PreviewFacts(
        f"{config.bind}:{config.port}",
        preview.viewers,
        config.max_viewers,
        preview.pictures,
        preview.refused,
        preview.problem,
    )
