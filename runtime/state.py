"""What the daemon is doing now: its state, which is logged and told to systemd when it changes, and its progress."""

import logging

from handmap.notify import Notifier
from handmap.packet_fields import DaemonState
from handmap.values import DepthFrame

LOG = logging.getLogger("handmap.state")


class DaemonStatus:
    """Written by the main loop, read by the heartbeat thread; every field is one assignment, so no lock is needed."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._is_ready = False
        self.state = DaemonState.STARTING
        self.progress = 0
        self.frame_number = 0
        self.capture_ns = 0

    def enter(self, state: DaemonState, reason: str = "") -> None:
        """Changes the state; the first one after STARTING is what systemd calls ready."""
        if state is self.state:
            return
        LOG.info("state=%s was=%s%s", state.name, self.state.name, f" reason={reason!r}" if reason else "")
        self.state = state
        notes = [f"STATUS={state.name}{': ' + reason if reason else ''}"]
        if state is DaemonState.STOPPING:
            notes.append("STOPPING=1")
        elif not self._is_ready:
            self._is_ready = True
            notes.append("READY=1")
        self._notifier.send(*notes)

    def saw(self, frame: DepthFrame, hands: int) -> None:
        """Takes note of a frame that was worked on, and enters the state that follows from it."""
        self.frame_number, self.capture_ns = frame.frame_number, frame.capture_ns
        self.enter(DaemonState.TRACKING if hands else DaemonState.NO_HAND)

    def advance(self) -> None:
        """Says that the main loop is alive: it worked on a frame, or waits for one as it should."""
        self.progress += 1
