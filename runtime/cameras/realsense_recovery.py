"""The steps tried when a RealSense camera delivers no frames, and the error raised when its SDK raises."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any

from handmap.types.errors import CameraLost

from ..retry import RestartRequired

LOG = logging.getLogger("handmap.realsense")


class Step(Enum):
    """The recovery steps, tried in this order until a frame arrives."""

    RESTART = "restart the stream"
    RESET = "reset the device"
    REOPEN = "reopen the device"
    EXIT = "exit"


class Recovery:
    """How far recovery has gone since the last frame; outlives the camera."""

    def __init__(self) -> None:
        self._left: Iterator[Step] = iter(Step)

    def frame_came(self) -> None:
        """Starts over with the first step."""
        self._left = iter(Step)

    def next_step(self) -> Step:
        """The step to take now."""
        step = next(self._left, Step.EXIT)
        LOG.warning("stream=stalled step=%r", step.value)
        return step


class SdkFailed(CameraLost):
    """The SDK raised."""


@contextmanager
def sdk_errors(doing: str) -> Iterator[None]:
    """Raises SdkFailed, with what was being done, if the SDK raises."""
    try:
        yield
    except RuntimeError as error:
        raise SdkFailed(f"camera: {doing} failed: {error}; retrying") from error


def take_step(recovery: Recovery, device: Any, restart: Callable[[], None] | None) -> None:
    """Takes the next recovery step; returns only after a restart, which an open stream can do by itself.

    Raises CameraLost if the device must be reopened, RestartRequired if no step is left.
    """
    step = recovery.next_step()
    if step is Step.RESTART:
        if restart is not None:
            restart()
        return
    if step is Step.RESET:
        with sdk_errors("resetting the device"):
            device.hardware_reset()
    if step is Step.EXIT:
        raise RestartRequired(
            "camera: no frame arrived after restarting the stream, resetting the device and reopening it; restart the daemon, "
            "and if that does not help, unplug the camera"
        )
    raise CameraLost(f"camera: no frame arrived in time; recovery step taken: {step.value}")
