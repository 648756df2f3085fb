"""What the daemon is doing: its state, logged and reported to systemd when it changes, and its progress."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from handmap.protocol.fields import DaemonState
from handmap.skeleton.body import Bodies
from handmap.system.notify import Notifier
from handmap.types.values import DepthFrame

from .rate import RateMeter

LOG = logging.getLogger("handmap.state")

WARNED: Final = (DaemonState.NO_CAMERA, DaemonState.DEGRADED)  # a person should look
WORKING: Final = (DaemonState.NO_HAND, DaemonState.TRACKING)
STALLED: Final = "the main loop stands still"


@dataclass
class Counts:
    """Totals since the start, across all openings of the camera. Each field has one writer."""

    dropped: int = 0  # frames overtaken by a newer one before their turn
    skipped: int = 0  # late frames skipped for one that followed at once
    stale: int = 0  # frames refused because their capture time is too far from now or before the last one
    outdated: int = 0  # frames discarded because they had become too old by their turn, or while they were processed
    repeated: int = 0  # frames refused because they repeat the last capture time
    throttled: int = 0  # frames skipped because the device is warm
    late: int = 0  # frames published with an age above the budget
    hung: int = 0  # threads abandoned in a camera call
    camera_openings: int = 0
    engine_openings: int = 0
    arrivals: RateMeter = field(default_factory=RateMeter)  # frames that the camera delivered


class DaemonStatus:
    """Written by the main loop, read by the heartbeat thread; every field is one assignment, so no lock is needed.

    Only is_stalled is written by the heartbeat thread.
    """

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._is_ready = False
        self.state = DaemonState.STARTING
        self.progress = 0
        self.frame_number = 0
        self.capture_ns = 0
        self.hands = 0
        self.bodies: Bodies | None = None  # the fitted hands of the newest frame
        self.reason = ""  # why it is in this state
        self.limited_by = ""  # why the rate is lowered; every frame is then DEGRADED
        self.fallback_reason = ""  # why the engines are not those configured; every frame is then DEGRADED
        self.warning = ""  # what looks wrong, though it is as configured
        self.is_stalled = False  # the main loop has stopped advancing
        self.counts = Counts()
        self.on_change: Callable[[DaemonState, DaemonState, str], None] = lambda state, was, reason: None

    @property
    def reported(self) -> tuple[DaemonState, str]:
        """State and reason for others to see: a main loop that stands still does no work, whatever it said last."""
        if self.is_stalled and self.state in WORKING:
            return DaemonState.DEGRADED, STALLED
        return self.state, self.reason

    def enter(self, state: DaemonState, reason: str = "") -> None:
        """Changes the state; the first one after STARTING reports readiness to systemd."""
        if state is self.state:
            return
        level = logging.WARNING if state in WARNED else logging.INFO
        LOG.log(level, "state=%s was=%s%s", state.name, self.state.name, f" reason={reason!r}" if reason else "")
        was, self.state, self.reason = self.state, state, reason
        self.on_change(state, was, reason)
        if state is DaemonState.NO_CAMERA:
            self.bodies = None
        notes = [f"STATUS={state.name}{': ' + reason if reason else ''}"]
        if state is DaemonState.STOPPING:
            notes.append("STOPPING=1")
        elif not self._is_ready:
            self._is_ready = True
            notes.append("READY=1")
        self._notifier.send(*notes)

    def saw(self, frame: DepthFrame, hands: int) -> None:
        """Records a processed frame, and enters the state that follows from it."""
        self.frame_number, self.capture_ns, self.hands = frame.frame_number, frame.capture_ns, hands
        if why := self.limited_by or self.fallback_reason:
            self.enter(DaemonState.DEGRADED, why)
        else:
            self.enter(DaemonState.TRACKING if hands else DaemonState.NO_HAND)

    def advance(self) -> None:
        """Reports that the main loop is alive: it processed a frame, or is waiting for one as it should."""
        self.progress += 1
