"""What is tried when a RealSense camera gives no frames, and what is raised where its SDK raises."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any

from handmap.types.errors import CameraLost

from ..retry import RestartRequired

LOG = logging.getLogger("handmap.realsense")


class Step(Enum):
    """What is tried, in this order, as long as no frame comes."""

    RESTART = "restart the stream"
    RESET = "reset the device"
    REOPEN = "open the device anew"
    EXIT = "exit"


class Recovery:
    """How far the steps have gone since the last frame; outlives the camera."""

    def __init__(self) -> None:
        self._left: Iterator[Step] = iter(Step)

    def frame_came(self) -> None:
        """Begins with the first step again."""
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
    """Raises SdkFailed, with what was being done, where the SDK raises."""
    try:
        yield
    except RuntimeError as error:
        raise SdkFailed(f"camera: {doing} failed: {error}; it is tried again") from error


def take_step(recovery: Recovery, device: Any, restart: Callable[[], None] | None) -> None:
    """Takes the next step of recovery; returns after a restart, which an open stream can do alone.

    Raises CameraLost where the device must be opened anew, RestartRequired where nothing is left.
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
            "camera: no frame came after restarting the stream, resetting the device and opening it anew; start the daemon afresh, "
            "then unplug the camera"
        )
    raise CameraLost(f"camera: no frame came in time; step taken: {step.value}")
