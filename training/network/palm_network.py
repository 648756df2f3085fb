"""The palm network: a small picture of a frame to where hands are, how large and of which side; under 30 M multiply-adds.

Down to an eighth, where one cell spans a whole near hand, and back up to the cells that it answers in.
"""

import torch
from torch import Tensor, nn

from .blocks import BasicResidual, conv_norm_relu

SCORE_PRIOR = 0.02  # a cell is a hand's middle this often before anything is known


class PalmNetwork(nn.Module):
    """depth_small (N, 1, 96, 128) to palms (N, 3, 24, 32): logit of the score, size, logit of being a right hand."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_norm_relu(1, 12, 5, stride=2), conv_norm_relu(12, 24, 3, stride=2))  # 24x32
        self.near = conv_norm_relu(24, 24, 3)
        self.middle = nn.Sequential(conv_norm_relu(24, 48, 3, stride=2), BasicResidual(48))  # 12x16
        self.coarse = nn.Sequential(
            conv_norm_relu(48, 64, 3, stride=2), BasicResidual(64), conv_norm_relu(64, 48, 1)
        )  # 6x8
        self.up_coarse = nn.Upsample(scale_factor=2, mode="nearest")
        self.mix_middle = conv_norm_relu(48, 24, 3)
        self.up_middle = nn.Upsample(scale_factor=2, mode="nearest")
        self.mix = conv_norm_relu(24, 24, 3)
        self.head = nn.Conv2d(24, 3, 1)
        nn.init.normal_(self.head.weight, std=0.01)
        prior = torch.tensor([SCORE_PRIOR / (1 - SCORE_PRIOR)]).log().item()
        self.head.bias.data = torch.tensor([prior, 0.5, 0.0])  # type: ignore[union-attr]  # a Conv2d has a bias unless told otherwise

    def forward(self, depth_small: Tensor) -> dict[str, Tensor]:
        """The answer under the name of the graph's output."""
        fine = self.near(self.stem(depth_small))
        middle = self.middle(fine)
        middle = middle + self.up_coarse(self.coarse(middle))
        return {"palms": self.head(self.mix(fine + self.up_middle(self.mix_middle(middle))))}
