"""What a training loop of one's own takes from ours: its batches, and the program that it ends in."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
import torch
from torch import nn

from handmap.types.errors import ModelError
from handmap.types.joints import JOINT_COUNT
from handmap.types.values import CROP_PX

from .distributed import join_processes
from .pool_stream import DeviceBatch
from .program import describe_network, export_network, save_program
from .streams import open_stream
from .train_config import TrainConfig
from .validate import make_validation_set, predict

INPUT: Final = "depth"
# Settings of the losses and the optimizer, which a loop of one's own need not use: its program does not claim them.
OF_OUR_LOOP: Final = frozenset(
    ("learning_rate", "weight_decay", "warmup_samples", "average_decay", "pose_knee", "map_weight", "bone_weight")
)


@contextmanager
def open_batches(config: TrainConfig) -> Iterator[Iterator[DeviceBatch]]:
    """The batches that `train` would take, from the first sample to the last of the budget, on the configured device.

    Of each the depth is (N, 1, 128, 128) in [-1, 1], background +1; the joints (N, 21, 3) in half cube sides, NaN without a hand
    or a label; the maps (N, K, 32, 32), None with `guidance: null`; the weight (N, 21), None if every joint counts in full.
    Whoever renders for them ends with the block. Under `torchrun` each process gets its share of every batch.
    """
    with join_processes(config.batch_samples, config.device) as place, open_stream(config, place, 0) as batches:
        yield batches


def save_network(path: Path, network: nn.Module, config: TrainConfig, samples: int) -> None:
    """Writes any trained network as the program `path` (.pt2) with its facts, which `handmap export` accepts.

    network takes `depth` (N, 1, 128, 128) and gives a dict of float32: `joints` (N, 21, 3) in half cube sides, and if it has them
    `guidance` (N, 21, 32, 32), `spread` (N, 21, 3) and `side` (N, 1). It is moved to the CPU. samples is how many it has seen;
    cube, normalization and validation samples are the configuration's.

    Raises ModelError if the network's input or joints are not these, or the files cannot be written.
    """
    parameters = list(inspect.signature(network.forward).parameters)
    if parameters[:1] != [INPUT]:
        raise ModelError(
            f"saving a network to {str(path)!r}: its forward takes {parameters}, wanted ['{INPUT}']; rename the parameter"
        )
    _check_joints(path, network.cpu())
    facts = describe_network(network, predict(network, make_validation_set(config)), config, samples)
    settings = {name: value for name, value in facts.provenance["config"].items() if name not in OF_OUR_LOOP}
    facts = msgspec.structs.replace(facts, provenance={**facts.provenance, "config": settings})
    save_program(path, export_network(network), facts)


@torch.no_grad()
def _check_joints(path: Path, network: nn.Module) -> None:
    outputs = network.eval()(torch.ones(2, 1, CROP_PX, CROP_PX))
    joints = outputs.get("joints") if isinstance(outputs, dict) else None
    found = type(outputs).__name__ if joints is None else f"`joints` of shape {tuple(joints.shape)}"
    if joints is None or joints.shape != (2, JOINT_COUNT, 3):
        raise ModelError(
            f"saving a network to {str(path)!r}: it gives {found} for two crops, wanted a dict with `joints` of shape "
            f"(2, {JOINT_COUNT}, 3); correct its forward"
        )
