"""Watches whether the configured side of a hand contradicts what the model sees, for as long as a person would need to tell."""

import logging
from collections.abc import Sequence
from typing import Final

from handmap.tracking.track import Track
from handmap.types.values import Handedness

LOG: Final = logging.getLogger("handmap.daemon")

CONTRARY_LOGIT: Final = 4.0  # odds of 55 to 1, accumulated over frames
CONTRARY_S: Final = 2.0


class SideWatch:
    """The state over the frames of one configuration. Belongs to the main loop; `warning` can be read by any thread."""

    def __init__(self) -> None:
        self.warning = ""  # what contradicts the configuration now; empty if nothing does
        self._since_ns: int | None = None

    def see(self, configured: Handedness, tracks: Sequence[Track], capture_ns: int) -> None:
        """Takes the tracks of a frame; logs a warning once CONTRARY_S of evidence contradict the configured side."""
        if not any(_is_contrary(track, configured) for track in tracks):
            if tracks or configured is Handedness.UNKNOWN:  # without a hand there is no new evidence
                self._since_ns, self.warning = None, ""
            return
        if self._since_ns is None or capture_ns < self._since_ns:
            self._since_ns = capture_ns
        if self.warning or capture_ns - self._since_ns < CONTRARY_S * 1e9:
            return
        side, other = configured.name.lower(), "left" if configured is Handedness.RIGHT else "right"
        self.warning = f"tracking.handedness is {side}, but the model sees a {other} hand, whose joints are then wrong; set it to any or {other}"
        LOG.warning("handedness=%s seen=%s reason=%r", side, other, self.warning)


def _is_contrary(track: Track, configured: Handedness) -> bool:
    """Whether the accumulated evidence of a track is against the configured side."""
    if configured is Handedness.UNKNOWN:
        return False
    against = -track.right_logit if configured is Handedness.RIGHT else track.right_logit
    return against >= CONTRARY_LOGIT
