"""The fixed data sets that are scored by kind: `synthetic:hard` for reporting, `synthetic:tune` for choosing thresholds.

`assets/synthetic_hard.json` defines them and the hashes of their labels. Neither is used for training, and `hard` is not
used for any decision.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from handmap.recording.datasets import KindFrame, LabeledFrame
from handmap.types.joints import HAND21

from ..hand.hand_model import HandAsset, HandShape, held_out_coefficients, shape_hand
from ..hand.shape_variation import draw_outer_variation, vary_shape
from ..seed_domains import SeedDomain
from ..synthesis.observe import FRAME_NS
from ..synthesis.synthetic import VARIED_SIZE, draw_shape
from .hard_empty import EMPTY_KINDS, show_empty
from .hard_hands import HAND_KINDS, PLAIN_HAND, DrawShape, HandKind, show_hand, stage_hand

LABEL_STEP_MM = 0.01  # labels are hashed in these steps, so that a processor's last bit does not matter
PLAIN = "plain"


def draw_outer_shape(asset: HandAsset, random: np.random.Generator) -> HandShape:
    """A hand outside training: held-out coefficients, scaled beyond the ranges that training draws from."""
    base = shape_hand(asset, VARIED_SIZE * held_out_coefficients(asset, random))
    return vary_shape(asset, base, draw_outer_variation(random))


@dataclass(frozen=True)
class HardSet:
    """A named sequence of independent frames whose kinds take turns; frame i depends on the seed domain and i alone.

    Of each kind with a hand every second one is left.
    """

    name: str
    kinds: tuple[str, ...]  # of the frames of one turn
    turns: int
    seed_domain: SeedDomain
    draw_shape: DrawShape
    joint_names: tuple[str, ...] = HAND21

    def count_frames(self) -> int:
        """How many frames there are, those without a hand too."""
        return self.turns * len(self.kinds)

    def __len__(self) -> int:
        """Frames with a hand."""
        return self.turns * sum(_holds_hand(kind) for kind in self.kinds)

    def __iter__(self) -> Iterator[LabeledFrame]:
        """The frames with a hand, with the hand that each is about."""
        for index in range(self.count_frames()):
            if _holds_hand(self.kinds[index % len(self.kinds)]):
                yield self.show(index).hands[0]

    def kind_frames(self, max_frames: int | None = None) -> Iterator[KindFrame]:
        """All frames, or the first `max_count`, in order."""
        for index in range(min(self.count_frames(), max_frames or self.count_frames())):
            yield self.show(index)

    def show(self, index: int) -> KindFrame:
        """Frame number `index`."""
        kind, random = self._start(index)
        if not _holds_hand(kind):
            return _numbered(show_empty(kind, random), index)
        figures = _hand_kind(kind)
        staged = stage_hand(figures, self.draw_shape, random)
        return _numbered(show_hand(kind, figures, staged, self._is_left(index), random), index)

    def label_digest(self, frames: int | None = None) -> str:
        """SHA-256, in hex, of kind, side and joints in steps of LABEL_STEP_MM as little-endian int32 of the first frames, or of all."""
        digest = hashlib.sha256()
        for index in range(frames or self.count_frames()):
            kind, random = self._start(index)
            digest.update(kind.encode())
            if _holds_hand(kind):
                staged = stage_hand(_hand_kind(kind), self.draw_shape, random)
                digest.update(b"left" if self._is_left(index) else b"right")
                for joints in (staged.scene.joints_mm, staged.other_mm):
                    if joints is not None:
                        digest.update(np.rint(joints / LABEL_STEP_MM).astype("<i4").tobytes())
        return digest.hexdigest()

    def _start(self, index: int) -> tuple[str, np.random.Generator]:
        return self.kinds[index % len(self.kinds)], np.random.default_rng([self.seed_domain, index])

    def _is_left(self, index: int) -> bool:
        return (index // len(self.kinds)) % 2 == 1


def _holds_hand(kind: str) -> bool:
    return kind not in EMPTY_KINDS


def _hand_kind(kind: str) -> HandKind:
    return HAND_KINDS.get(kind, PLAIN_HAND)


def _numbered(shown: KindFrame, index: int) -> KindFrame:
    frame = replace(shown.frame, frame_number=index, capture_ns=index * FRAME_NS)
    return replace(shown, frame=frame, hands=tuple(replace(hand, frame=frame) for hand in shown.hands))


_TUNE_HANDS = (*HAND_KINDS, PLAIN, PLAIN, PLAIN, PLAIN) * 2  # 28 of 40: 70 %
_TUNE_EMPTY = (*EMPTY_KINDS, "shoulder", "sleeved_upper_arm")  # 12
HARD_SETS = {
    "hard": HardSet("synthetic:hard", (*HAND_KINDS, *EMPTY_KINDS), 200, SeedDomain.HARD, draw_outer_shape),
    "tune": HardSet("synthetic:tune", (*_TUNE_HANDS, *_TUNE_EMPTY), 50, SeedDomain.TUNE, draw_shape),
}
