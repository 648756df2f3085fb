"""Which hand a crop shows: a small branch on the features of the trained HandMap network, which itself stays as it is.

Trained on the same rendered hands and their mirror images.
"""

from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from handmap.arrays import Bool
from handmap.config import read_config
from handmap.errors import DatasetError, ModelError
from handmap.joints import JOINT_COUNT, KNUCKLES, MIDDLE_MCP, WRIST
from handmap.progress import track_progress
from handmap.values import CROP_PX

from .augment import AugmentConfig, augment, draw_warps
from .blocks import BasicResidual, conv_norm_relu
from .checkpoint import LAST, Checkpoint, check_identity, read_checkpoint, read_weights, write_checkpoint
from .network import HandMap, NetworkConfig
from .optimise import learning_rate_at, make_optimiser, step_optimiser, update_average
from .sample_cache import CacheConfig, RenderedHands, open_cache, read_hands, shard_path, write_shard
from .train_config import Count, Fraction, NotNegative, Share

VALIDATION_SHARD = 0
SHARDS_A_BATCH = 4
SIDE_WEIGHT = 0.2  # how the palm lies leads, the side follows


class SideTrainConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A training run of the side branch on shards 1 to `shards` of the hand network's cache; shard 0 is kept for validation."""

    total_samples: Count
    trunk: Path  # the hand network: a checkpoint or a trained program
    out: Path = Path("runs/side")
    start_from: Path | None = None
    network: NetworkConfig = NetworkConfig()
    seed: NotNegative = 1
    shards: Count = 16
    batch_samples: Count = 64
    learning_rate: Fraction = 2e-3
    weight_decay: Share = 1e-4
    warmup_samples: NotNegative = 5_000
    average_decay: Share = 0.998
    cube_mm: float = 250.0
    checkpoint_every_samples: Count = 32_000
    threads: Count = 1
    augment: AugmentConfig = AugmentConfig()
    cache: CacheConfig = CacheConfig()


PACE = frozenset(("total_samples", "out", "start_from", "trunk", "checkpoint_every_samples", "threads", "cache"))


class Palm(NamedTuple):
    """How a hand lies, as unit vectors (N, 3): out of the palm, from the little finger's knuckle to the index's, from wrist to middle knuckle."""

    normal: Tensor
    across: Tensor
    along: Tensor


class SideBranch(nn.Module):
    """The trunk's features and maps with the depth that they are of, at 32x32, to the logit (N, 1) of a right hand; 11 M multiply-adds.

    It learns how the palm lies, which can be seen, and not the side, which is a matter of whether two such things agree (measured:
    after 90,000 samples of the side alone it still guessed). The side is the sign of normal . (along x across).
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

    def describe(self, features: Tensor, depth: Tensor) -> Palm:
        """The palm, vectors of about unit length."""
        vectors = self.palm(self.body(torch.cat([features, self.shrink(depth)], dim=1)))
        return Palm(vectors[:, 0:3], vectors[:, 3:6], vectors[:, 6:9])

    def forward(self, features: Tensor, depth: Tensor) -> Tensor:
        """The logit (N, 1)."""
        return self.judge(self.describe(features, depth))

    def judge(self, palm: Palm) -> Tensor:
        """The logit (N, 1) of a palm."""
        normal, across, along = palm
        turned = torch.stack(
            [
                along[:, 1] * across[:, 2] - along[:, 2] * across[:, 1],
                along[:, 2] * across[:, 0] - along[:, 0] * across[:, 2],
                along[:, 0] * across[:, 1] - along[:, 1] * across[:, 0],
            ],
            dim=1,
        )  # the cross product in operators that every library has
        logit: Tensor = self.scale * (normal * turned).sum(dim=1, keepdim=True)
        return logit


def palm_of(joints: Tensor, is_right: Tensor) -> Palm:
    """The palm of hands (N, 21, 3) of known side (N, 1); mirrored joints of a right hand are those of a left one."""
    along = functional.normalize(joints[:, MIDDLE_MCP] - joints[:, WRIST], dim=1)
    across = functional.normalize(joints[:, KNUCKLES[1]] - joints[:, KNUCKLES[4]], dim=1)
    normal = functional.normalize(torch.linalg.cross(along, across), dim=1) * (2 * is_right - 1)
    return Palm(normal, across, along)


class HandMapWithSide(nn.Module):
    """The deployed hand graph: what HandMap gives, and `side`."""

    def __init__(self, network: HandMap, side: SideBranch) -> None:
        super().__init__()
        self.network = network
        self.side = side

    def forward(self, depth: Tensor) -> dict[str, Tensor]:
        """See `HandMap.forward`; `side` (N, 1) is the logit of a right hand."""
        described = self.network.describe(depth)
        outputs = {"joints": self.network.locate(described.embedding)}
        if described.stage_maps:
            outputs["guidance"] = described.stage_maps[-1][:, :JOINT_COUNT]
        outputs["side"] = self.side(described.features, depth)
        return outputs


class SideBatch(NamedTuple):
    """depth (N, 1, 128, 128), is_right (N, 1), 1 for a right hand, and how the palm lies."""

    depth: Tensor
    is_right: Tensor
    palm: Palm


def make_batch(
    hands: RenderedHands, key: tuple[int, int], indices: NDArray[np.int64], config: SideTrainConfig
) -> SideBatch:
    """The hands warped under key and index, every second one mirrored to a left hand."""
    warps = draw_warps(config.augment, key, indices)
    samples = augment(hands, warps, config.cube_mm)
    depth, joints = samples.depth, samples.joints
    is_left: Bool = (warps.noise_seed & np.uint64(1)).astype(bool)
    depth[is_left] = depth[is_left, :, ::-1]
    joints[is_left, :, 0] *= -1
    is_right = torch.from_numpy((~is_left).astype(np.float32))[:, None]
    return SideBatch(torch.from_numpy(depth)[:, None], is_right, palm_of(torch.from_numpy(joints), is_right))


def train_side(config: SideTrainConfig) -> SideBranch:
    """The averaged weights after the budget; resumes from the last checkpoint of its folder."""
    torch.set_num_threads(config.threads)
    config.out.mkdir(parents=True, exist_ok=True)
    folder = open_cache(config.cache)
    _render_missing(folder, config)
    validation = make_batch(*_pick_validation(folder, config), config)
    torch.manual_seed(config.seed)
    trunk = read_trunk(config.trunk, config.network)
    branch = make_branch(trunk)
    if config.start_from is not None:
        branch.load_state_dict(read_checkpoint(config.start_from).average)
    average = make_branch(trunk).eval().requires_grad_(False)
    average.load_state_dict(branch.state_dict())
    optimiser = make_optimiser(branch, config)
    step, last = 0, config.out / LAST
    if last.exists():
        saved = read_checkpoint(last)
        check_identity(last, saved, _identity(config))
        branch.load_state_dict(saved.network)
        average.load_state_dict(saved.average)
        optimiser.load_state_dict(saved.optimiser)
        step = saved.step
    branch.train()
    weights, note = list(branch.parameters()), ""
    total = -(-config.total_samples // config.batch_samples)
    with track_progress("train side", config.total_samples, "samples", step * config.batch_samples) as advance:
        while step < total:
            batch = make_batch(*_pick(folder, step, config), config)
            with torch.autocast("cpu", torch.bfloat16):
                with torch.no_grad():
                    features = trunk.describe(batch.depth).features
                described = branch.describe(features, batch.depth)
            palm = Palm(*(vector.float() for vector in described))
            off = torch.stack([functional.mse_loss(*pair) for pair in zip(palm, batch.palm, strict=True)]).sum()
            side = functional.binary_cross_entropy_with_logits(branch.judge(palm), batch.is_right)
            loss = 3 * off + SIDE_WEIGHT * side
            loss.backward()  # type: ignore[no-untyped-call]  # torch stubs
            step_optimiser(optimiser, weights, learning_rate_at(step * config.batch_samples, config))
            update_average(average, branch, step, config.average_decay)
            step += 1
            seen = step * config.batch_samples
            if seen % config.checkpoint_every_samples < config.batch_samples or step == total:
                share = score(trunk, average, validation)
                note = f"loss {loss.item():.3f}, right in {share:.3f}"
                write_checkpoint(
                    last,
                    Checkpoint(
                        branch.state_dict(),
                        average.state_dict(),
                        optimiser.state_dict(),
                        step,
                        seen,
                        {"side": share},
                        1 - share,
                        _identity(config),
                    ),
                )
            advance(seen, note)
    return average


@torch.inference_mode()
def score(trunk: HandMap, branch: SideBranch, batch: SideBatch) -> float:
    """The share of a batch whose side is told."""
    right = []
    for first in range(0, len(batch.depth), 64):
        depth, is_right = batch.depth[first : first + 64], batch.is_right[first : first + 64]
        right.append((branch(trunk.describe(depth).features, depth) > 0) == (is_right > 0.5))
    return float(torch.cat(right).float().mean())


def read_trunk(path: Path, config: NetworkConfig) -> HandMap:
    """The hand network of a checkpoint or program, never trained here.

    Raises ModelError if it holds another network.
    """
    trunk = HandMap(config)
    try:
        trunk.load_state_dict(read_weights(path))
    except RuntimeError as error:
        raise ModelError(
            f"trunk {str(path)!r} holds another network than `network` describes; make them agree"
        ) from error
    return trunk.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[no-any-return,call-overload]  # torch stubs lack this form


def make_branch(trunk: HandMap) -> SideBranch:
    """An untrained branch that fits a trunk."""
    with torch.inference_mode():
        channels = trunk.describe(torch.ones(1, 1, CROP_PX, CROP_PX)).features.shape[1]
    return SideBranch(channels).to(memory_format=torch.channels_last)  # type: ignore[no-any-return,call-overload]  # torch stubs lack this form


def train_side_file(config_path: Path) -> Path:
    """Trains as a YAML file says; gives the checkpoint that `join-side` takes."""
    config = read_config(config_path, SideTrainConfig)
    train_side(config)
    return config.out / LAST


def _render_missing(folder: Path, config: SideTrainConfig) -> None:
    for shard in range(config.shards + 1):
        if not shard_path(folder, shard).exists():
            write_shard(folder, shard, config.cache)


def _pick(folder: Path, step: int, config: SideTrainConfig) -> tuple[RenderedHands, tuple[int, int], NDArray[np.int64]]:
    """The hands of a step, some from each of a few shards, none of the samples that show no hand."""
    random = np.random.default_rng([config.seed, step])
    size = config.cache.shard_samples
    parts, indices = [], []
    for shard in random.integers(1, config.shards + 1, SHARDS_A_BATCH).tolist():
        rows = np.sort(random.integers(0, size, config.batch_samples // SHARDS_A_BATCH + 8))
        hands = read_hands(folder, shard, rows)
        kept = np.flatnonzero(np.isfinite(hands.joints_mm[:, 0, 0]))[: config.batch_samples // SHARDS_A_BATCH]
        parts.append(_rows(hands, kept))
        indices.append(shard * size + rows[kept])
    joined = RenderedHands(
        np.concatenate([part.canvas for part in parts]),
        np.concatenate([part.is_hand for part in parts]),
        np.concatenate([part.joints_mm for part in parts]),
    )
    return joined, (config.seed, step), np.concatenate(indices)


def _rows(hands: RenderedHands, rows: NDArray[np.int64]) -> RenderedHands:
    return RenderedHands(hands.canvas[rows], hands.is_hand[rows], hands.joints_mm[rows])


def _pick_validation(folder: Path, config: SideTrainConfig) -> tuple[RenderedHands, tuple[int, int], NDArray[np.int64]]:
    rows = np.arange(config.cache.shard_samples)
    hands = read_hands(folder, VALIDATION_SHARD, rows)
    kept = np.flatnonzero(np.isfinite(hands.joints_mm[:, 0, 0]))
    if not len(kept):
        raise DatasetError(f"sample cache {str(folder)!r}: shard {VALIDATION_SHARD} holds no hand; delete the cache")
    return _rows(hands, kept), (0, 0), kept


def _identity(config: SideTrainConfig) -> dict[str, object]:
    plain: dict[str, object] = msgspec.to_builtins(config, enc_hook=str)
    return {name: value for name, value in plain.items() if name not in PACE}
