"""One training step: the losses, the optimizer with its schedule, the averaged weights. The loop around it is in `train`."""

import math
from collections.abc import Iterable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from handmap.types.joints import BONES

from ..network.heads import Votes
from ..network.network import HandMap
from .train_config import TrainConfig

FINAL_RATE_SHARE = 0.01
GRADIENT_NORM_LIMIT = 5.0
VOTE_WEIGHT = 0.5  # beside the loss of the joint that the votes make together
PARENT_ENDS, CHILD_ENDS = (list(ends) for ends in zip(*BONES, strict=True))


class Schedule(Protocol):
    """What the optimizer wants to know of a run's configuration."""

    @property
    def total_samples(self) -> int: ...
    @property
    def batch_samples(self) -> int: ...
    @property
    def warmup_samples(self) -> int: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...


class Losses(NamedTuple):
    """Scalars of one batch: what is minimized, and its terms before weighting; None for bones that have no weight."""

    total: Tensor
    pose: Tensor
    maps: Tensor
    bones: Tensor | None = None

    @property
    def terms(self) -> dict[str, Tensor]:
        """The terms that there are, by name."""
        named = {"pose": self.pose, "maps": self.maps, "bones": self.bones}
        return {name: term for name, term in named.items() if term is not None}


class Trainee(nn.Module):
    """The network with its losses as one module, so that DistributedDataParallel sees a whole training pass."""

    def __init__(self, network: HandMap, config: TrainConfig) -> None:
        super().__init__()
        self.network = network
        self.pose_knee = config.pose_knee
        self.map_weight = config.map_weight
        self.bone_weight = config.bone_weight

    def forward(self, depth: Tensor, joints: Tensor, maps: Tensor | None, weight: Tensor | None = None) -> Losses:
        """Losses of depth (N, 1, 128, 128) against joints (N, 21, 3) and the guidance maps (N, K, 32, 32).

        weight (N, 21) is how much each joint counts, with its maps; None if all count in full.

        Samples without a hand (joints NaN) count in the maps' loss alone. All but the last linear layer runs in
        bfloat16; the joints and losses are float32.

        Of a head that takes votes, each vote is held to the joint by itself as well, so far as it counts.
        """
        with torch.autocast(depth.device.type, torch.bfloat16):
            described = self.network.describe(depth)
        estimate = self.network.head.estimate(described.embedding.float())
        has_hand = torch.isfinite(joints)
        # As if a joint that is not there had been found: no loss, and no gradient, whatever the batch holds.
        wanted = torch.where(has_hand, joints, estimate.joints.detach())
        counts = has_hand if weight is None else has_hand * weight.unsqueeze(2)
        pose = self._pose_loss(estimate.joints, wanted, weight)
        if estimate.votes is not None:
            pose = pose + VOTE_WEIGHT * self._vote_loss(estimate.votes, wanted, counts)
        stages = [_map_loss(stage.float(), maps, weight) for stage in described.stage_maps if maps is not None]
        map_loss = torch.stack(stages).sum() if stages else torch.zeros_like(pose)
        total = pose + self.map_weight * map_loss
        if not self.bone_weight:
            return Losses(total, pose, map_loss)
        bones = bone_loss(estimate.joints, joints, self.pose_knee)
        return Losses(total + self.bone_weight * bones, pose, map_loss, bones)

    def _pose_loss(self, joints: Tensor, wanted: Tensor, weight: Tensor | None) -> Tensor:
        if weight is None:
            return functional.smooth_l1_loss(joints, wanted, beta=self.pose_knee)
        each = functional.smooth_l1_loss(joints, wanted, beta=self.pose_knee, reduction="none")
        return (each * weight.unsqueeze(2)).mean()

    def _vote_loss(self, votes: Votes, wanted: Tensor, counts: Tensor) -> Tensor:
        """The weighted mean of the loss of every single vote."""
        each = functional.smooth_l1_loss(
            votes.xyz, wanted.unsqueeze(3).expand_as(votes.xyz), beta=self.pose_knee, reduction="none"
        )
        return (torch.matmul(each, votes.weight.unsqueeze(3)).squeeze(3) * counts).mean()


def _map_loss(stage: Tensor, maps: Tensor, weight: Tensor | None) -> Tensor:
    """The mean squared error of a stage's maps (N, K, 32, 32), K a multiple of 21; a sample without a hand counts in full.

    Channels come in lots of 21: of udir2 the distances, then x, y, z of joint 0, of joint 1, ...
    """
    if weight is None:
        return functional.mse_loss(stage, maps)
    lots = maps.shape[1] // weight.shape[1]
    channels = weight if lots == 1 else torch.cat([weight, weight.repeat_interleave(lots - 1, dim=1)], dim=1)
    return (functional.mse_loss(stage, maps, reduction="none") * channels[..., None, None]).mean()


def bone_loss(joints: Tensor, labeled: Tensor, knee: float) -> Tensor:
    """How far bones of joints (N, 21, 3) are from the length that they have in labeled (N, 21, 3), both in half cube sides.

    The mean over samples and the 20 bones of the smooth L1 loss (Girshick, "Fast R-CNN", ICCV 2015): with d the difference in
    length, d^2 / (2 knee) below the knee, then |d| - knee / 2. A bone with an end that has no label (NaN) is not punished.
    """
    lengths, wanted = _bone_lengths(joints), _bone_lengths(labeled)
    wanted = torch.where(torch.isfinite(wanted), wanted, lengths.detach())
    return functional.smooth_l1_loss(lengths, wanted, beta=knee)


def make_optimizer(network: nn.Module, config: Schedule) -> torch.optim.AdamW:
    """AdamW; weight decay for the weights of layers, none for biases and batch norms."""
    decayed = [weight for weight in network.parameters() if weight.ndim > 1]
    others = [weight for weight in network.parameters() if weight.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.learning_rate)


def learning_rate_at(samples: int, config: Schedule, spent: float = 0.0) -> float:
    """The learning rate after `samples` samples: linear warm-up, then a cosine down to 1 % at the end of the budget.

    spent is the share of a budget in wall time, over which the cosine runs instead; of one in samples it stays 0.
    """
    peak = config.learning_rate * falling_share(spent)
    if samples < config.warmup_samples:
        return peak * (samples + config.batch_samples) / (config.warmup_samples + config.batch_samples)
    span = max(1, config.total_samples - config.warmup_samples)
    return peak * falling_share((samples - config.warmup_samples) / span)


def falling_share(progress: float) -> float:
    """1 at the beginning, along a cosine down to 1 % at the end and beyond."""
    return FINAL_RATE_SHARE + (1 - FINAL_RATE_SHARE) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def step_optimizer(optimizer: torch.optim.Optimizer, weights: Iterable[Tensor], rate: float) -> None:
    """Applies the gradients at a learning rate, their norm limited, and clears them."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    torch.nn.utils.clip_grad_norm_(weights, GRADIENT_NORM_LIMIT)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, step: int, decay: float) -> None:
    """Moves the averaged weights and batch-norm statistics toward the network's; early on faster, so that the start is forgotten."""
    share = 1 - min(decay, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), share)
    for mean, value in zip(average.buffers(), network.buffers(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, share)
        else:
            mean.copy_(value)


def _bone_lengths(joints: Tensor) -> Tensor:
    lengths: Tensor = torch.linalg.vector_norm(joints[:, CHILD_ENDS] - joints[:, PARENT_ENDS], dim=-1)
    return lengths
