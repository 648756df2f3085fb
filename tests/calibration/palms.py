"""A palm network trained in seconds to detect the disc of the recordings."""

import copy
from functools import cache
from pathlib import Path

import numpy as np
import torch

from handmap.tracking.palm_detector import SPAN_CELLS, SPAN_MM, encode_depth
from handmap.types.arrays import Bool, Float32
from handmap.types.intrinsics import Intrinsics
from handmap.types.values import DepthFrame
from tests.calibration.networks import disc_depth
from training.network.palm_network import PalmNetwork
from training.trainer.palm_program import write_palm_program
from training.trainer.palm_score import PalmScore
from training.trainer.palm_targets import make_targets, palm_loss

INTRINSICS = Intrinsics(320, 240, 240.0, 240.0, 159.5, 119.5)
PICTURES, STEPS, BATCH = 64, 70, 8


@cache
def learn_discs() -> PalmNetwork:
    """A deterministic, shared network; callers must not modify it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # with a network this small, more threads only wait for each other on busy cores
    try:
        return _learn()
    finally:
        torch.set_num_threads(threads)


def _learn() -> PalmNetwork:
    pictures, hands = _discs()
    right: Bool = np.ones((PICTURES, 2), bool)
    torch.manual_seed(0)
    network = PalmNetwork()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.1
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for step in range(STEPS):
        picked = np.random.default_rng(step).integers(0, PICTURES, BATCH)
        targets = make_targets(hands[picked], right[picked], np.full((BATCH, 2), 21, np.int8))
        loss = palm_loss(network(torch.from_numpy(pictures[picked]))["palms"], targets, 0.25)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch stubs
        optimizer.step()
    return network.eval()


def save_palm_program(path: Path, network: PalmNetwork) -> Path:
    write_palm_program(path, network, PalmScore(0.0, 0.0, 0.0, 0.0), {})
    return path


def spoil_int8(network: PalmNetwork) -> PalmNetwork:
    """A network of the same function, but with one input channel's weights so large that INT8 has no levels left for the others."""
    factor, spoiled = 1000.0, copy.deepcopy(network)
    norm, reader = spoiled.stem[0][1], spoiled.stem[1][0]  # type: ignore[index]  # a Sequential of Sequentials
    with torch.no_grad():
        norm.weight[0] /= factor
        norm.bias[0] /= factor
        reader.weight[:, 0] *= factor
    return spoiled


def _discs() -> tuple[Float32, Float32]:
    """Pictures (N, 1, 96, 128) of discs all over the image, and hands (N, 2, 3) as training states them."""
    random = np.random.default_rng(0)
    pictures, hands = [], np.full((PICTURES, 2, 3), np.nan, np.float32)
    for index in range(PICTURES):
        z_mm, across, down = float(random.uniform(350, 800)), *random.integers((-80, -60), (80, 60))
        depth = np.roll(disc_depth(int(random.integers(0, 500)), z_mm, random), (down, across), (0, 1))
        view = encode_depth(np, DepthFrame(depth, 1.0, INTRINSICS, index, 0))
        pictures.append(view.depth_small)
        cells = ((160 + across) / 2.5 - 0.5, (120 + down) / 2.5 - 0.5)
        hands[index, 0] = (*cells, view.intrinsics.fx_px * SPAN_MM / SPAN_CELLS / z_mm)
    return np.stack(pictures)[:, None].astype(np.float32), hands
