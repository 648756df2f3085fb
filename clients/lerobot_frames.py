"""What arrives as episodes of frames at a fixed rate, as a LeRobot data set has them; lerobot_files.py writes them."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from handmap.types.arrays import Bool, Float32
from handmap.types.errors import ConfigError
from handmap.types.joints import HAND21, JOINT_COUNT

from .hand_watch import SIDES, Moment

STATE_NAMES: Final = tuple(
    f"{side.name.lower()}_{joint}_{axis}" for side in SIDES for joint in HAND21 for axis in "xyz"
)
MAX_FPS = 240


@dataclass(frozen=True)
class HandFrame:
    """Both hands at a tick.

    joints_m (2, 21, 3), left and right, in the frame that they came in, and age_s (2,), the time since their capture: NaN for a lost hand.
    is_live (2,) is false for a lost hand, and for one that is held where it was last seen.
    """

    joints_m: Float32
    age_s: Float32
    is_live: Bool


@dataclass
class _Episode:
    first_ns: int
    frames: list[HandFrame] = field(default_factory=list)
    with_hands: int = 0  # how many frames there are up to the last with a hand in it


class EpisodeSampler:
    """Takes moments, and gives the frames of each episode at fps ticks a second; a tick sees the newest moment before it.

    An episode begins with a hand and ends with one: at a restart of the sender, or once no hand has been there for gap_s seconds.
    Raises ConfigError for a rate or a gap that cannot be.
    """

    def __init__(self, fps: int, gap_s: float) -> None:
        if not 1 <= fps <= MAX_FPS or not gap_s > 0:
            raise ConfigError(
                f"data set: found {fps} frames a second and a gap of {gap_s:g} s, wanted 1 to {MAX_FPS} and a gap above 0; correct them"
            )
        self._fps = fps
        self._gap_s = gap_s
        self._episode: _Episode | None = None
        self._before: Moment | None = None
        self._done: list[list[HandFrame]] = []

    def take(self, moment: Moment) -> None:
        """Adds the ticks between the last moment and this one."""
        if moment.is_restart:
            self._end()
        episode, before = self._episode, self._before
        if episode is not None and before is not None:
            while self._tick_ns(episode) < moment.now_ns:
                self._add(episode, before)
                if len(episode.frames) - episode.with_hands > self._gap_s * self._fps:
                    self._end()
                    break
        if self._episode is None and any(seen is not None and seen.is_live for seen in moment.hands.values()):
            self._episode = _Episode(moment.now_ns)
        self._before = moment

    def finish(self) -> list[list[HandFrame]]:
        """The frames of each episode."""
        if (
            self._episode is not None
            and self._before is not None
            and self._tick_ns(self._episode) <= self._before.now_ns
        ):
            self._add(self._episode, self._before)
        self._end()
        return self._done

    def _tick_ns(self, episode: _Episode) -> int:
        return episode.first_ns + len(episode.frames) * 10**9 // self._fps

    def _add(self, episode: _Episode, moment: Moment) -> None:
        frame = frame_of(moment, self._tick_ns(episode))
        episode.frames.append(frame)
        if not np.isnan(frame.age_s).all():
            episode.with_hands = len(episode.frames)

    def _end(self) -> None:
        if self._episode is not None and self._episode.with_hands:
            self._done.append(self._episode.frames[: self._episode.with_hands])
        self._episode = None


def frame_of(moment: Moment, tick_ns: int) -> HandFrame:
    """The hands of a moment, seen at a tick."""
    joints = np.full((len(SIDES), JOINT_COUNT, 3), np.nan, np.float32)
    age_s = np.full(len(SIDES), np.nan, np.float32)
    is_live = np.zeros(len(SIDES), bool)
    for place, side in enumerate(SIDES):
        seen = moment.hands[side]
        if seen is not None:
            joints[place] = seen.hand.xyz_m
            age_s[place] = (tick_ns - seen.sample_ns) / 1e9
            is_live[place] = seen.is_live
    return HandFrame(joints, age_s, is_live)
