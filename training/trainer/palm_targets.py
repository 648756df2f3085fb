"""What the palm network should answer, and the loss of what it does: focal where hands are, relative for their size, cross-entropy for their side.

The score's loss is that of CenterNet (Zhou et al. 2019, equation 1): cells near a hand's middle count little as background.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from handmap.tracking.palm_detector import MAP_COLUMNS, MAP_ROWS, STRIDE
from handmap.types.arrays import Bool, Float32

SPREAD_CELLS = 1.0  # of the bump around a hand's middle
NEAR_CELLS = 1.5  # within this a cell says size and side
KNOWN_CELLS = 4.0  # around a labeled hand; what else is in a labeled frame nobody says
SEEN_JOINTS, HIDDEN_JOINTS = 7, 3  # a hand with at least 7 visible joints counts; with fewer than 3 it is not visible


class PalmTargets(NamedTuple):
    """For N pictures: bump (N, 24, 32) with 1 at each hand's cell; weight of the score's loss; size and side of the nearest hand, and
    where these count, all (N, 24, 32)."""

    bump: Tensor
    weight: Tensor
    size: Tensor
    side: Tensor
    is_near: Tensor


def make_targets(
    hands: Float32, is_right: Bool, seen_joints: NDArray[np.int8], is_whole: Bool | None = None
) -> PalmTargets:
    """Targets of hands (N, 2, 3); a hand with too few visible joints is ignored.

    is_whole (N,) marks pictures of which all hands are given; of the others, only what is near a given hand counts. None: all are.
    """
    row, column = np.mgrid[:MAP_ROWS, :MAP_COLUMNS]
    at = (hands[..., :2] - (STRIDE - 1) / 2) / STRIDE  # (N, 2) column, row in cells of the answer
    away = np.hypot(
        np.rint(at[..., 0])[:, :, None, None] - column, np.rint(at[..., 1])[:, :, None, None] - row
    )  # (N, 2, 24, 32)
    is_hand = (np.isfinite(hands[..., 0]) & (seen_joints >= SEEN_JOINTS))[:, :, None, None]
    is_ignored = (np.isfinite(hands[..., 0]) & (seen_joints >= HIDDEN_JOINTS))[:, :, None, None] & ~is_hand
    distance = np.where(is_hand, away, np.inf)
    nearest = distance.argmin(axis=1)  # (N, 24, 32)
    closest = distance.min(axis=1)
    bump = np.exp(-(closest**2) / (2 * SPREAD_CELLS**2))
    weight = ~(is_ignored & (away < 2 * NEAR_CELLS)).any(axis=1) | (bump == 1)
    if is_whole is not None:
        weight &= is_whole[:, None, None] | (closest <= KNOWN_CELLS)
    size = np.take_along_axis(np.nan_to_num(hands[..., 2]), nearest.reshape(len(hands), -1), axis=1)
    side = np.take_along_axis(is_right, nearest.reshape(len(hands), -1), axis=1)
    shape = closest.shape
    arrays = (bump, weight, size.reshape(shape), side.reshape(shape), closest <= NEAR_CELLS)
    return PalmTargets(*(torch.from_numpy(array.astype(np.float32)) for array in arrays))


def palm_loss(palms: Tensor, targets: PalmTargets, side_weight: float) -> Tensor:
    """The scalar loss of answers (N, 3, 24, 32)."""
    score = palms[:, 0]
    chance = torch.sigmoid(score)
    is_middle = targets.bump == 1
    found = -functional.logsigmoid(score) * (1 - chance) ** 2
    quiet = -functional.logsigmoid(-score) * chance**2 * (1 - targets.bump) ** 4
    hands = is_middle.sum().clamp(min=1)
    score_loss = (torch.where(is_middle, found, quiet) * targets.weight).sum() / hands
    near = targets.is_near.sum().clamp(min=1)
    wanted = torch.where(targets.is_near > 0, targets.size, torch.ones_like(targets.size))
    ratio = palms[:, 1] / wanted
    off = functional.smooth_l1_loss(ratio, torch.ones_like(ratio), beta=0.05, reduction="none")
    size_loss = (off * targets.is_near).sum() / near
    side_loss = (
        functional.binary_cross_entropy_with_logits(palms[:, 2], targets.side, reduction="none") * targets.is_near
    ).sum() / near
    return score_loss + size_loss + side_weight * side_loss
