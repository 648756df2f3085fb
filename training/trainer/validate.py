"""Validation while training: held-out rendered hands under fixed warps, always the same, scored with plain Euclidean mm.

It chooses the best checkpoint and fits the confidence table. It is not `synthetic:val`; no weights are chosen on that.
"""

from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import nn

from handmap.bundle.confidence import Signals, read_signals
from handmap.bundle.confidence_fit import KnownLooks, gather_looks
from handmap.engines.engine import EngineOutput
from handmap.tracking.pose_estimate import split_batch
from handmap.types.arrays import Float32

from ..samples.augment import AugmentConfig, augment, draw_warps
from ..samples.labeled_hands import open_labeled_hands
from ..samples.sample_cache import RenderedHands
from ..synthesis.synthetic import render_samples

# Far above every seed that training reaches.
FIRST_SEED = 1_000_000_000
WARP_KEY = (0x76616C, 0)
PASS_SAMPLES = 64


class ValidationSet(NamedTuple):
    """Held-out samples: depth (N, 1, 128, 128), joints (N, 21, 3) in half cube sides, and the cube's side in mm."""

    depth: Float32
    joints: Float32
    cube_mm: float


class Validated(Protocol):
    """What a run says of its validation."""

    @property
    def validation_samples(self) -> int: ...
    @property
    def augment(self) -> AugmentConfig: ...
    @property
    def cube_mm(self) -> float: ...


def make_validation_set(config: Validated) -> ValidationSet:
    """The validation samples of a run; the same for every run of the same cube, augmentation and count."""
    count = config.validation_samples
    drawn = render_samples(FIRST_SEED, count)
    hands = RenderedHands(drawn.canvas, drawn.is_hand, drawn.joints_mm)
    samples = augment(hands, draw_warps(config.augment, WARP_KEY, np.arange(count)), config.cube_mm)
    return ValidationSet(samples.depth[:, None], samples.joints, config.cube_mm)


def make_labeled_validation_set(data: str, config: Validated, folder: Path) -> ValidationSet:
    """As `make_validation_set`, of hands of a data set, evenly spread over it; at most as many as it has."""
    hands = open_labeled_hands(data, folder)
    rows = np.linspace(0, len(hands) - 1, min(config.validation_samples, len(hands))).round().astype(np.int64)
    warps = draw_warps(config.augment, WARP_KEY, np.arange(len(rows)))
    samples = augment(hands.read(rows), warps, config.cube_mm)
    return ValidationSet(samples.depth[:, None], samples.joints, config.cube_mm)


@torch.no_grad()
def predict(network: nn.Module, validation: ValidationSet) -> KnownLooks:
    """What a network says of a validation set, in evaluation mode and float32, and how far off its joints are."""
    was_training = network.training
    network.eval()
    device = next(network.parameters()).device
    signals: list[Signals] = []
    located: list[Float32] = []
    for start in range(0, len(validation.depth), PASS_SAMPLES):
        depth = torch.from_numpy(validation.depth[start : start + PASS_SAMPLES]).to(device)
        output = EngineOutput.of({name: value.cpu().numpy() for name, value in network(depth).items()})
        signals += [read_signals(np, one, validation.cube_mm) for one in split_batch(output, len(depth))]
        located.append(output.joints)
    network.train(was_training)
    offsets = np.concatenate(located) - validation.joints
    error_mm = np.linalg.norm(offsets, axis=-1) * (validation.cube_mm / 2)
    return gather_looks(signals, list(error_mm.astype(np.float32)))
