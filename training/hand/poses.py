"""Draws hand poses within human limits, of the kinds that hands really take, with those that cut into themselves rejected.

Angles are those of `hand_model.pose_hand`: (19, 3) rad of flexion, splay to the thumb's side and twist for each bone.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from handmap.types.arrays import Bool, Float64

from .collision import self_collides
from .hand_model import FIRST_FINGER_BONE, FOREARM, LITTLE_PALM, RING_PALM, HandAsset, PosedHand, pose_hand

# Draws a row of angles in degrees, not yet clipped to the limits.
Kind: TypeAlias = Callable[[np.random.Generator], Float64]

ATTEMPTS = 24
BLEND_FROM = 12  # attempts from here on are drawn ever closer to the open hand, which the last one is

# Columns of a row of angles in degrees: the wrist, the palm arch, the thumb, and four fingers (index to little) of four each.
WRIST_FLEXION, WRIST_DEVIATION, FOREARM_TWIST, ARCH = range(4)
THUMB = slice(4, 9)  # flexion, splay and twist of its base, flexion of its knuckle, flexion of its end joint
FINGERS_FROM = 9  # then flexion and splay of the knuckle, flexion of the middle joint, flexion of the end joint
COLUMNS = 25
KNUCKLE, SPLAY, MIDDLE, END = (np.arange(FINGERS_FROM + k, COLUMNS, 4) for k in range(4))

LOW = np.array([-75.0, -25, -35, 0, -28, -32, -12, -12, -25, *(-25.0, -22, 0, -8) * 4])
HIGH = np.array([80.0, 38, 35, 14, 55, 30, 28, 55, 80, *(92.0, 22, 110, 80) * 4])

# Thumb angles at which the mean hand's pads meet those of each finger, with that finger's knuckle and middle joint; found by
# minimizing the distance of the pads, their facing away from each other and the strain (Nelder-Mead, once, by hand).
PINCH_THUMB = np.array(
    [[29, -2, 16, 16, -8], [36, 1, 21, 22, -6], [43, 11, 19, 27, -2], [53, 15, 13, 30, -1]], np.float64
)
PINCH_FINGER = np.array([[45, 62], [52, 63], [58, 52], [61, 32]], np.float64)
FIST_THUMB = np.array([21.0, -9, -2, 31, 47])  # over the middle phalanges of index and middle finger, found likewise
THUMB_REACH = np.array([14.0, 3, 2, 8, 12])  # and from there on to the ring finger
BESIDE_THUMB = np.array([12.0, -4, 0, 8, 14])  # along the side of the index
SPREAD = np.array([10.0, 1, -7, -13])  # splay of four spread fingers
CLOSED = np.array([-8.0, 1, 7, 13])  # and of four that touch
REST_THUMB = np.array([5.0, 0, 0, 5, 5])


def sample_pose(asset: HandAsset, anchors_mm: Float64, random: np.random.Generator) -> tuple[Float64, PosedHand]:
    """Angles (19, 3) in rad of a random pose free of self-collision, and the hand in it."""
    kind = KINDS[int(np.searchsorted(CUMULATIVE_SHARES, random.uniform()))]
    return sample_kind(asset, anchors_mm, kind, random)


def sample_any_pose(asset: HandAsset, anchors_mm: Float64, random: np.random.Generator) -> tuple[Float64, PosedHand]:
    """As `sample_pose`, of all kinds: rare ones too."""
    kind = ALL_KINDS[int(np.searchsorted(ALL_CUMULATIVE_SHARES, random.uniform()))]
    return sample_kind(asset, anchors_mm, kind, random)


def sample_kind(
    asset: HandAsset, anchors_mm: Float64, kind: Kind, random: np.random.Generator
) -> tuple[Float64, PosedHand]:
    """As `sample_pose`, of one kind of pose."""
    rest = _rest_row()
    for attempt in range(ATTEMPTS):
        row = np.clip(kind(random), LOW, HIGH)
        blend = max(0.0, (attempt - BLEND_FROM + 1) / (ATTEMPTS - BLEND_FROM))
        row[ARCH:] += blend * (rest - row)[ARCH:]
        angles = bone_angles(row)
        hand = pose_hand(asset, anchors_mm, angles)
        if not self_collides(hand.joints_mm):
            break
    return angles, hand


def bone_angles(row: Float64) -> Float64:
    """Angles (19, 3) in rad of a row (25,) in degrees."""
    angles = np.zeros((FIRST_FINGER_BONE + 15, 3))
    angles[FOREARM] = -row[WRIST_FLEXION], row[WRIST_DEVIATION], row[FOREARM_TWIST]
    angles[RING_PALM, 0] = row[ARCH] / 2
    angles[LITTLE_PALM, 0] = row[ARCH]
    fingers = angles[FIRST_FINGER_BONE:].reshape(5, 3, 3)
    fingers[0, 0] = row[THUMB][:3]
    fingers[0, 1:, 0] = row[THUMB][3:]
    fingers[1:, 0, 0] = row[KNUCKLE]
    fingers[1:, 0, 1] = row[SPLAY]
    fingers[1:, 1, 0] = row[MIDDLE]
    fingers[1:, 2, 0] = row[END]
    return np.radians(angles)


def _rest_row() -> Float64:
    row = np.zeros(COLUMNS)
    row[THUMB] = REST_THUMB
    row[KNUCKLE] = 12
    row[MIDDLE] = 15
    row[END] = 10
    return row


def _row(random: np.random.Generator, knuckle: Float64, middle: Float64, thumb: Float64, spread: float) -> Float64:
    """A row with a random wrist, for flexions (4,) of knuckles and middle joints; spread 1 is wide, -1 fingers together."""
    row = np.zeros(COLUMNS)
    row[:ARCH] = _sample_wrist(random)
    row[ARCH] = np.mean(knuckle[2:]) / 8 + random.normal(0, 1.5)
    row[THUMB] = thumb
    row[KNUCKLE] = knuckle
    row[MIDDLE] = middle
    row[END] = middle * random.uniform(0.4, 0.75) + random.normal(0, 6, 4)
    bent = np.clip(knuckle / 80, 0, 1)  # bent fingers cannot spread
    wide = SPREAD * spread if spread > 0 else -CLOSED * spread
    row[SPLAY] = wide * (1 - bent) + random.normal(0, 2, 4)
    return row


def _sample_wrist(random: np.random.Generator) -> Float64:
    """Flexion, deviation and twist in degrees; wide, so that the forearm hangs at every angle below a hand."""
    if random.uniform() < 0.35:
        return random.uniform((-70, -25, -35), (75, 38, 35))
    return random.normal((0, 5, 0), (22, 11, 15))


def _sample_thumb(random: np.random.Generator) -> Float64:
    """A thumb anywhere in its range, more often near rest."""
    if random.uniform() < 0.5:
        return random.uniform((-25, -30, -8, -8, -20), (45, 28, 22, 50, 75))
    return random.normal(REST_THUMB, (12, 10, 5, 12, 16))


def curled(random: np.random.Generator) -> Float64:
    """All fingers bent by about the same amount, knuckles and middle joints each by their own."""
    knuckle, middle = np.clip(random.uniform(-0.05, 1.0, 1) + random.normal(0, 0.2, 2), -0.1, 1.05)
    slope = random.normal(0, 0.12)  # from index to little
    each = np.arange(4) - 1.5
    return _row(
        random,
        88 * (knuckle + slope * each + random.normal(0, 0.07, 4)),
        105 * (middle + slope * each + random.normal(0, 0.07, 4)),
        _sample_thumb(random),
        random.uniform(-1, 1),
    )


def counting(random: np.random.Generator) -> Float64:
    """Each finger either straight or folded into the palm."""
    folded = random.uniform(size=4) < 0.5
    return _folded(random, folded, _thumb_for(random, folded))


def independent(random: np.random.Generator) -> Float64:
    """Every joint for itself."""
    return _row(
        random, random.uniform(-20, 90, 4), random.uniform(0, 105, 4), _sample_thumb(random), random.uniform(-1, 1)
    )


def open_hand(random: np.random.Generator) -> Float64:
    """A flat or slightly hollow hand, fingers together or wide apart."""
    bend = random.uniform(-15, 25)
    return _row(
        random,
        bend + random.normal(0, 5, 4),
        np.abs(random.normal(6, 10, 4)),
        _sample_thumb(random),
        random.uniform(-1, 1.1),
    )


def pointing(random: np.random.Generator) -> Float64:
    """The index straight, at times the middle finger with it, the others folded."""
    folded = np.array([False, random.uniform() < 0.75, True, True])
    return _folded(random, folded, _thumb_for(random, folded))


def fist(random: np.random.Generator) -> Float64:
    """All fingers folded, the thumb over them."""
    return _folded(random, np.ones(4, bool), FIST_THUMB + random.normal(0, 4, 5))


def pinching(random: np.random.Generator) -> Float64:
    """The thumb's pad at or near a finger's, the other fingers anyhow."""
    finger = int(random.choice(4, p=(0.55, 0.2, 0.15, 0.1)))
    curl = random.uniform(0, 0.9)
    falloff = np.abs(np.arange(4) - finger) * random.uniform(0.2, 0.5)
    knuckle = PINCH_FINGER[finger, 0] * np.maximum(1 - falloff, curl) + random.normal(0, 6, 4)
    middle = PINCH_FINGER[finger, 1] * np.maximum(1 - falloff, curl) + random.normal(0, 6, 4)
    reach = 1 - 0.35 * random.uniform() ** 2  # not yet, or no longer, closed
    knuckle[finger], middle[finger] = PINCH_FINGER[finger] * reach + random.normal(0, 2, 2)
    thumb = REST_THUMB + (PINCH_THUMB[finger] - REST_THUMB) * reach + random.normal(0, 2, 5)
    row = _row(random, knuckle, middle, thumb, random.uniform(-0.3, 0.4))
    row[SPLAY[finger]] = random.normal(0, 1.5)
    row[END[finger]] = 0.45 * row[MIDDLE[finger]] + random.normal(0, 3)
    return row


def one_bent(random: np.random.Generator) -> Float64:
    """One finger bent, the others straight: its middle joint at least, often the knuckle with it."""
    bent = np.arange(4) == random.integers(4)
    knuckle = np.where(bent, random.uniform(-5, 85), random.normal(4, 6, 4))
    middle = np.where(bent, random.uniform(55, 108), np.abs(random.normal(3, 6, 4)))
    return _row(random, knuckle, middle, _sample_thumb(random), random.uniform(-1, 1))


def folded_tips(random: np.random.Generator) -> Float64:
    """A fist whose end joints are bent too, so that the tips vanish into the palm; the thumb over it or beside it."""
    is_over = random.uniform() < 0.4
    thumb = FIST_THUMB + random.normal(0, 5, 5) if is_over else BESIDE_THUMB + random.normal(0, (7, 6, 4, 7, 10))
    knuckle, middle = random.uniform((55, 86), (80, 104))
    row = _row(random, knuckle + random.normal(0, 2, 4), middle + random.normal(0, 2, 4), thumb, -0.5)
    # In the mean hand the tips meet the palm about there (a scan of the capsules in steps of 4 degrees).
    stopped = 72 - 2.4 * (middle - 94) - 1.7 * (knuckle - 60)
    row[END] = min(stopped, 76) - random.uniform(5, 16) + random.normal(0, 2, 4)
    return row


def thumb_over_fist(random: np.random.Generator) -> Float64:
    """A fist with the thumb laid over the fingers, anywhere from the index to the ring finger."""
    reach = random.uniform(-0.4, 1)
    return _folded(random, np.ones(4, bool), FIST_THUMB + reach * THUMB_REACH + random.normal(0, 4, 5))


def _folded(random: np.random.Generator, folded: Bool, thumb: Float64) -> Float64:
    """Folded fingers (4,) bool in the palm, the others straight."""
    knuckle = np.where(folded, random.uniform(58, 90) + random.normal(0, 4, 4), random.normal(5, 9, 4))
    # The palm stops a fold: the more the knuckle bends, the less is left for the middle joint.
    middle = np.where(folded, 173 - knuckle + random.normal(0, 4, 4), np.abs(random.normal(4, 8, 4)))
    row = _row(random, knuckle, middle, thumb, random.uniform(-0.8, 1))
    row[END] = np.where(folded, middle * random.uniform(0.2, 0.45), row[END])
    return row


def _thumb_for(random: np.random.Generator, folded: Bool) -> Float64:
    """A thumb that holds folded fingers down, or one that stands off."""
    if folded[:2].any() and random.uniform() < 0.5:
        return FIST_THUMB + random.normal(0, 7, 5)
    return _sample_thumb(random)


KINDS: tuple[Kind, ...] = (
    curled, counting, independent, open_hand, pointing, fist, pinching,
)  # fmt: skip
CUMULATIVE_SHARES = np.array([0.24, 0.39, 0.57, 0.70, 0.79, 0.86, 1.0])
# Training draws these; `KINDS` stays as it is, since the fixed sets are drawn from it.
ALL_KINDS: tuple[Kind, ...] = (*KINDS, one_bent, thumb_over_fist, folded_tips)
ALL_CUMULATIVE_SHARES = np.array([*(0.80 * CUMULATIVE_SHARES), 0.89, 0.94, 1.0])
