"""What the loss on bone lengths does to joints and bones: the shipped network, fine-tuned for a moment with and without it.

`python -m docs.measured.bone_loss train WEIGHT SEED OUT` trains. `score FIRST COUNT WEIGHTS ...` shows COUNT unseen people from number
FIRST on to each of these networks, and prints a line of JSON for each person. `sum FILE ...` prints means over these lines, and the
difference of the last network from the one before it. With `OMP_NUM_THREADS=1`.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from handmap.geometry.crop import crop_hand
from handmap.metrics.bone_variation import bone_lengths_mm, bone_variation
from handmap.tracking.track import cube_center
from handmap.types.arrays import Float32, Float64
from training.hand.hand_model import load_hand_asset
from training.network.network import HandMap, NetworkConfig
from training.samples.sample_cache import CacheConfig
from training.trainer.checkpoint import read_weights
from training.trainer.train import train
from training.trainer.train_config import TrainConfig

from .skeleton_motion import draw_person, move_freely, person_random, render_moments

ROOT = Path(__file__).resolve().parents[2]
START = ROOT / "models/handmap-hand21.pt2"
NETWORK = NetworkConfig(guidance="edt2m", head="votes")
SAMPLES = 12_288
FRAMES = 45  # a second and a half of each person
CUBE_MM = 250.0


def settings(weight: float, seed: int, out: Path) -> TrainConfig:
    """A short run from the shipped weights; everything but the three arguments is the same for all."""
    return TrainConfig(
        total_samples=SAMPLES,
        out=out,
        start_from=START,
        seed=seed,
        batch_samples=64,
        learning_rate=3e-4,
        warmup_samples=1024,
        bone_weight=weight,
        validation_samples=384,
        validate_every_samples=SAMPLES,
        network=NETWORK,
        cache=CacheConfig(ROOT / ".cache/synthetic", shard_samples=2048, window_shards=8),
    )


def score(first: int, count: int, paths: list[Path]) -> Iterator[list[dict[str, float]]]:
    """Figures of each network for each person, with the cube placed by the label and nothing smoothed."""
    networks = [_open(path) for path in paths]
    for number in range(first, first + count):
        random = person_random(number)
        shape = draw_person(load_hand_asset(), number, random)
        moments = list(move_freely(shape, FRAMES, random))
        frames = list(render_moments(shape, moments, random))
        truth = np.stack([one.xyz_camera_mm for one in frames])
        centers = np.stack([cube_center(joints) for joints in truth])
        crops = np.stack([crop_hand(np, one.frame, cube_center(one.xyz_camera_mm), CUBE_MM).depth for one in frames])
        yield [_figures(_locate(network, crops) * (CUBE_MM / 2) + centers[:, None], truth) for network in networks]


def _open(path: Path) -> HandMap:
    network = HandMap(NETWORK)
    network.load_state_dict(read_weights(path))
    return network.eval()


@torch.no_grad()
def _locate(network: HandMap, crops: Float32) -> Float64:
    return np.asarray(network(torch.from_numpy(crops[:, None]))["joints"].numpy(), np.float64)


def _figures(joints_mm: Float64, truth_mm: Float32) -> dict[str, float]:
    variation = bone_variation(joints_mm)
    longer_mm = bone_lengths_mm(joints_mm) - bone_lengths_mm(truth_mm)
    return {
        "mean_mm": float(np.linalg.norm(joints_mm - truth_mm, axis=-1).mean()),
        "bone_variation_percent": 100 * float(variation.mean()),
        "bone_variation_max_percent": 100 * float(variation.max()),
        "bone_error_mm": float(np.abs(longer_mm).mean()),
        "bone_bias_mm": float(longer_mm.mean()),
    }


def summary(paths: list[Path]) -> dict[str, object]:
    """Means over people for each network; the last one's difference from the one before, and its standard error over people."""
    rows = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
    table: dict[str, object] = {"people": len(rows)}
    for name in rows[0][0]:
        values = np.array([[one[name] for one in row] for row in rows])
        apart = values[:, -1] - values[:, -2]
        error = apart.std(ddof=1) / np.sqrt(len(apart))
        table[name] = [*values.mean(axis=0).round(3).tolist(), round(float(apart.mean()), 3), round(float(error), 3)]
    return table


if __name__ == "__main__":
    verb, *arguments = sys.argv[1:]
    if verb == "train":
        train(settings(float(arguments[0]), int(arguments[1]), Path(arguments[2])))
    elif verb == "score":
        for row in score(int(arguments[0]), int(arguments[1]), [Path(one) for one in arguments[2:]]):
            sys.stdout.write(json.dumps(row) + "\n")
            sys.stdout.flush()
    else:
        sys.stdout.write(json.dumps(summary([Path(one) for one in arguments]), indent=1) + "\n")
