"""Handedness: a small branch on the features of the HandMap network, and the two combined in one graph."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from handmap.types.joints import KNUCKLES, MIDDLE_MCP, WRIST

from .blocks import BasicResidual, conv_norm_relu
from .network import HandMap


class PalmFrame(NamedTuple):
    """The orientation of a hand as unit vectors (N, 3): out of the palm, from the little to the index knuckle, from wrist to middle knuckle."""

    normal: Tensor
    across: Tensor
    along: Tensor


class HandednessBranch(nn.Module):
    """The trunk's features and maps with the depth that they are of, at 32x32, to the logit (N, 1) of a right hand; 11 M multiply-adds.

    It learns the orientation of the palm, which is visible, rather than handedness itself, which depends on whether two
    orientations agree (measured: trained on handedness alone, it was still at chance after 90,000 samples). Handedness is the
    sign of normal . (along x across).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.shrink = nn.AvgPool2d(4)
        self.body = nn.Sequential(
            conv_norm_relu(channels + 1, 32, 3, stride=2),  # 16x16
            BasicResidual(32),
            conv_norm_relu(32, 64, 3, stride=2),
            BasicResidual(64),  # 8x8
            conv_norm_relu(64, 64, 3, stride=2),  # 4x4
            nn.Flatten(),
        )
        self.palm = nn.Linear(64 * 16, 9)
        self.scale = nn.Parameter(torch.tensor(4.0))

    def describe(self, features: Tensor, depth: Tensor) -> PalmFrame:
        """The palm, vectors of about unit length."""
        vectors = self.palm(self.body(torch.cat([features, self.shrink(depth)], dim=1)))
        return PalmFrame(vectors[:, 0:3], vectors[:, 3:6], vectors[:, 6:9])

    def forward(self, features: Tensor, depth: Tensor) -> Tensor:
        """The logit (N, 1)."""
        return self.judge(self.describe(features, depth))

    def judge(self, palm: PalmFrame) -> Tensor:
        """The logit (N, 1) of a palm."""
        # Written out: half precision keeps these products and sums as they are, where a reduction would go through floats.
        (nx, ny, nz), (bx, by, bz), (ax, ay, az) = ((vector[:, 0:1], vector[:, 1:2], vector[:, 2:3]) for vector in palm)
        logit: Tensor = self.scale * (nx * (ay * bz - az * by) + ny * (az * bx - ax * bz) + nz * (ax * by - ay * bx))
        return logit


def palm_frame(joints: Tensor, is_right: Tensor) -> PalmFrame:
    """The palm of hands (N, 21, 3) of known side (N, 1); mirrored joints of a right hand are those of a left one."""
    along = functional.normalize(joints[:, MIDDLE_MCP] - joints[:, WRIST], dim=1)
    across = functional.normalize(joints[:, KNUCKLES[1]] - joints[:, KNUCKLES[4]], dim=1)
    normal = functional.normalize(torch.linalg.cross(along, across), dim=1) * (2 * is_right - 1)
    return PalmFrame(normal, across, along)


class HandMapWithHandedness(nn.Module):
    """The deployed hand graph: what HandMap gives, and `side`."""

    def __init__(self, network: HandMap, side: HandednessBranch) -> None:
        super().__init__()
        self.network = network
        self.side = side

    def forward(self, depth: Tensor) -> dict[str, Tensor]:
        """See `HandMap.forward`; `side` (N, 1) is the logit of a right hand."""
        described = self.network.describe(depth)
        return {**self.network.outputs(described), "side": self.side(described.features, depth)}
