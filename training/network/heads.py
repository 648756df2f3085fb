"""What turns the features of the last stage into joints: the paper's fully connected head, and a dense head whose cells vote.

Both take (N, F, 32, 32) of any body and give joints in half cube sides about the cube's center. `Head` is what a head of one's
own has to give.
"""

from typing import Final, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from handmap.types.joints import JOINT_COUNT

from .blocks import BasicResidual, conv_norm_relu, conv_pool

HEADS: Final = ("votes", "fully_connected")
LIGHT_WIDTH: Final = 256  # of the vector that `light_layers` end in
VOTE_CELLS = 16  # along each side of the crop
# Squares of votes' distances are summed in these parts of a half cube side, where half precision has digits for them.
SPREAD_PARTS = 8.0


class Votes(NamedTuple):
    """The votes of V cells for every joint, xyz (N, 21, 3, V) in half cube sides, and their weight (N, 21, V), 1 in sum over the cells.

    V is 256 for the head `votes`.
    """

    xyz: Tensor
    weight: Tensor


class Estimate(NamedTuple):
    """Joints (N, 21, 3) in half cube sides, not clipped, and the votes that they are the mean of, where the head takes votes."""

    joints: Tensor
    votes: Votes | None = None


class Head(Protocol):
    """A head: an `nn.Module` with these two methods, made for the width F of the features, such as `MyHead(32)`."""

    def embed(self, features: Tensor) -> Tensor:
        """A tensor of any shape (N, ...) from features (N, F, 32, 32); training runs this in bfloat16."""
        ...

    def estimate(self, embedding: Tensor) -> Estimate:
        """The joints of an embedding, with votes if the head takes them; training runs this in float32.

        With votes the network has the output `spread`, and each vote is held to the joint by itself.
        """
        ...


class FullyConnectedHead(nn.Module):
    """The paper's: convolutions down to one vector (N, E), in which the joints are linear."""

    def __init__(self, layers: nn.Module, width: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(layers, nn.Flatten(), nn.Dropout(dropout))
        self.pose = nn.Linear(width, 3 * JOINT_COUNT)

    def embed(self, features: Tensor) -> Tensor:
        """The embedding (N, E) of features (N, F, 32, 32)."""
        return self.layers(features)  # type: ignore[no-any-return]  # nn.Module calls are untyped

    def estimate(self, embedding: Tensor) -> Estimate:
        """The joints of an embedding (N, E)."""
        return Estimate(self.pose(embedding).unflatten(1, (JOINT_COUNT, 3)))


class VotingHead(nn.Module):
    """Down to 8x8 and back to 16x16, where each cell votes for each joint by an offset from its own center; a softmax weights the votes.

    Published relatives: A2J (Xiong et al., ICCV 2019) and AWR (Huang et al., AAAI 2020).
    """

    anchors: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.down16 = nn.Sequential(conv_norm_relu(features, 64, 3, stride=2), BasicResidual(64))
        self.down8 = nn.Sequential(conv_norm_relu(64, 128, 3, stride=2), BasicResidual(128), BasicResidual(128))
        self.up16 = conv_norm_relu(128, 64, 1)
        self.merge = BasicResidual(64)
        self.score = nn.Conv2d(64, JOINT_COUNT, 1)
        self.offset = nn.Conv2d(64, 3 * JOINT_COUNT, 1)
        self.register_buffer("anchors", _cell_centers(), persistent=False)

    def embed(self, features: Tensor) -> Tensor:
        """What the votes are linear in, (N, 64, 16, 16), of features (N, F, 32, 32)."""
        skip = self.down16(features)
        deep = functional.interpolate(self.up16(self.down8(skip)), scale_factor=2.0, mode="nearest")
        return self.merge(skip + deep)  # type: ignore[no-any-return]  # nn.Module calls are untyped

    def estimate(self, embedding: Tensor) -> Estimate:
        """The joints and votes of an embedding (N, 64, 16, 16).

        Softmax and a matrix product: a plain sum would bring casts into the half-precision graph.
        """
        weight = torch.softmax(self.score(embedding).flatten(2), dim=2)  # (N, J, 256)
        xyz = self.offset(embedding).unflatten(1, (JOINT_COUNT, 3)).flatten(3) + self.anchors  # (N, J, 3, 256)
        joints = torch.matmul(xyz, weight.unsqueeze(3)).squeeze(3)
        return Estimate(joints, Votes(xyz, weight))


def spread_of(estimate: Estimate) -> Tensor | None:
    """The weighted standard deviation (N, 21, 3) of the votes about their mean, in half cube sides; None of a head that takes none."""
    if estimate.votes is None:
        return None
    away = (estimate.votes.xyz - estimate.joints.unsqueeze(3)) * SPREAD_PARTS  # (N, J, 3, 256)
    variance = torch.matmul(away * away, estimate.votes.weight.unsqueeze(3)).squeeze(3)
    return torch.sqrt(variance) * (1 / SPREAD_PARTS)


def light_layers(features: int) -> nn.Module:
    """The fully connected head of the light layouts: (N, F, 32, 32) to (N, LIGHT_WIDTH, 1, 1)."""
    return nn.Sequential(
        conv_norm_relu(features, 64, 3, stride=2),  # 16x16
        BasicResidual(64),
        conv_norm_relu(64, 128, 3, stride=2),  # 8x8
        BasicResidual(128),
        conv_norm_relu(128, 64, 1),
        # 8x8 without padding: a fully connected layer with a batch norm.
        nn.Conv2d(64, LIGHT_WIDTH, 8, bias=False),
        nn.BatchNorm2d(LIGHT_WIDTH),
        nn.ReLU(inplace=True),
    )


def paper_layers(features: int) -> nn.Module:
    """CP(F), CP(2F) down to 8x8, then PULL8 up to its fully connected layer: (N, F, 32, 32) to (N, 32 F, 1, 1)."""
    wide = 16 * features
    return nn.Sequential(
        *(conv_pool(features * scale) for scale in (1, 2, 4, 8)),  # 16x16, 8x8, 4x4, 2x2
        nn.Conv2d(wide, 2 * wide, 2, bias=False),
        nn.BatchNorm2d(2 * wide, eps=1e-3),
        nn.ReLU(inplace=True),
    )


def _cell_centers() -> Tensor:
    """x and y of the cells' centers, and 0 for z: (1, 1, 3, 256), row by row."""
    axis = (2 * torch.arange(VOTE_CELLS, dtype=torch.float32) + 1) / VOTE_CELLS - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x, y, torch.zeros_like(x)]).reshape(1, 1, 3, VOTE_CELLS * VOTE_CELLS)
