"""Trains the handedness branch on the features of a trained HandMap network, which stays frozen.

Samples are the same rendered hands and their mirror images. For negatives it learns a logit of 0.
"""

import hashlib
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from handmap.bundle.confidence_fit import fit_confidence
from handmap.bundle.model_metadata import METADATA_FILE, ModelMetadata, decode_metadata
from handmap.files.atomic import refuse_unwritable
from handmap.files.reading import MAX_MODEL_BYTES, read_bytes
from handmap.system.progress import track_progress
from handmap.types.arrays import Bool
from handmap.types.errors import ConfigError, DatasetError, ModelError
from handmap.types.values import CROP_PX

from ..network.handedness_branch import HandednessBranch, HandMapWithHandedness, PalmFrame, palm_frame
from ..network.network import HandMap, NetworkConfig
from ..samples.augment import augment, draw_warps
from ..samples.sample_cache import RenderedHands, is_whole, open_cache, read_hands, write_shard
from .checkpoint import LAST, load_weights, read_branch_weights, read_checkpoint, read_weights, write_checkpoint
from .handedness_config import RESUME_MUTABLE_KEYS, SHARDS_A_BATCH, HandednessTrainConfig
from .program import commit_of_sources, describe_start, export_network, output_names, save_program
from .resumable import Learner, RunState, begin, is_due, restore, settings_besides, steps_of, take_snapshot, take_step
from .validate import make_validation_set, predict

VALIDATION_SHARD = 0
SURE_HANDEDNESS_LOGIT = 1.0
SIDE_WEIGHT = 0.2  # the palm's orientation leads, handedness follows


class HandednessBatch(NamedTuple):
    """depth (N, 1, 128, 128); is_hand and is_right (N, 1), 1 or 0; the palm's orientation, zeros without a hand."""

    depth: Tensor
    is_hand: Tensor
    is_right: Tensor
    palm: PalmFrame


class HandednessScore(NamedTuple):
    """Fractions: hands with correct handedness, hands with a confident one, and negatives with a logit near 0."""

    told: float
    sure: float
    quiet: float

    def __str__(self) -> str:
        return f"told {self.told:.3f}, sure {self.sure:.3f}, quiet {self.quiet:.3f}"


def make_handedness_batch(
    hands: RenderedHands, key: tuple[int, int], indices: NDArray[np.int64], config: HandednessTrainConfig
) -> HandednessBatch:
    """The samples warped under key and index, every second one mirrored to a left hand."""
    warps = draw_warps(config.augment, key, indices)
    samples = augment(hands, warps, config.cube_mm)
    depth, joints = samples.depth, samples.joints
    is_left: Bool = (warps.noise_seed & np.uint64(1)).astype(bool)
    depth[is_left] = depth[is_left, :, ::-1]
    joints[is_left, :, 0] *= -1
    is_right = torch.from_numpy((~is_left).astype(np.float32))[:, None]
    is_hand = torch.from_numpy(np.isfinite(joints[:, 0, :1]).astype(np.float32))
    palm = palm_frame(torch.from_numpy(np.nan_to_num(joints)), is_right)  # no joints have no directions: zeros
    return HandednessBatch(torch.from_numpy(depth)[:, None], is_hand, is_right, palm)


def train_handedness(config: HandednessTrainConfig) -> Path:
    """Trains until the budget is spent, resumed from the last checkpoint of its folder; gives the path of the joined program."""
    torch.set_num_threads(config.threads)
    refuse_unwritable(config.out / "handmap.pt2")
    folder = open_cache(config.cache)
    _render_missing(folder, config)
    torch.manual_seed(config.seed)
    trunk, _ = read_trunk(config.trunk)
    branch = make_branch(trunk)
    if config.start_from is not None:
        load_weights(branch, read_branch_weights(config.start_from), config.start_from)
    _loop(trunk, begin(branch, config), folder, config)
    path = config.out / "handmap.pt2"
    write_joined(path, config)
    return path


@torch.inference_mode()
def score(trunk: HandMap, branch: HandednessBranch, batch: HandednessBatch) -> HandednessScore:
    """How well the sides of a batch are told; a share of nothing is NaN."""
    parts = torch.split(batch.depth, 64)
    logits = torch.cat([branch(trunk.describe(depth).features, depth) for depth in parts])
    is_hand, is_sure = batch.is_hand > 0.5, logits.abs() >= SURE_HANDEDNESS_LOGIT
    is_told = (logits > 0) == (batch.is_right > 0.5)
    return HandednessScore(
        *(float(share.float().mean()) for share in (is_told[is_hand], is_sure[is_hand], ~is_sure[~is_hand]))
    )


def read_trunk(path: Path) -> tuple[HandMap, ModelMetadata]:
    """The hand network of a program, never trained here, and its facts.

    Raises ModelError if it is not one of ours.
    """
    extra = {METADATA_FILE: ""}
    try:
        torch.export.load(path, extra_files=extra)
    except Exception as error:  # torch raises whatever the bytes lead it to
        raise ModelError(
            f"trunk {str(path)!r} cannot be read ({type(error).__name__}); use a .pt2 written by `handmap train`"
        ) from error
    facts = decode_metadata(extra[METADATA_FILE], str(path))
    try:
        trunk = HandMap(msgspec.convert(facts.provenance["config"]["network"], NetworkConfig))
        trunk.load_state_dict(read_weights(path))
    except ConfigError as error:  # a layout or head that is not installed here
        raise ModelError(f"trunk {str(path)!r} cannot be built again: {error}") from error
    except (KeyError, TypeError, RuntimeError, msgspec.ValidationError) as error:
        raise ModelError(
            f"trunk {str(path)!r} is not a HandMap network from `handmap train` ({error}); use the program of one"
        ) from error
    fixed: HandMap = trunk.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch stubs lack this form
    return fixed, facts


def make_branch(trunk: HandMap) -> HandednessBranch:
    """An untrained branch that fits a trunk."""
    with torch.inference_mode():
        channels = trunk.describe(torch.ones(1, 1, CROP_PX, CROP_PX)).features.shape[1]
    return HandednessBranch(channels).to(memory_format=torch.channels_last)  # type: ignore[no-any-return,call-overload]  # torch stubs lack this form


def write_joined(path: Path, config: HandednessTrainConfig) -> None:
    """Writes the trunk's program with the trained branch in it; everything else of it stays.

    Raises ModelError where that cannot be.
    """
    trunk, facts = read_trunk(config.trunk)
    saved = read_checkpoint(config.out / LAST)
    branch = make_branch(trunk).eval()
    branch.load_state_dict(saved.average)
    told = {
        "samples": saved.samples,
        "right_share": round(saved.smoothed["side"], 4),
        "config": _identity(config),
        "start": describe_start(config.start_from),
        "commit": commit_of_sources(),
    }
    joined = HandMapWithHandedness(trunk, branch)
    # Certain handedness is evidence of a hand: the presence odds are fitted again.
    confidence = fit_confidence(predict(joined, make_validation_set(config)), output_names(joined))
    facts = msgspec.structs.replace(facts, confidence=confidence, provenance={**facts.provenance, "side": told})
    save_program(path, export_network(joined), facts)


def _loop(trunk: HandMap, learner: Learner[HandednessBranch], folder: Path, config: HandednessTrainConfig) -> None:
    """Steps from the last checkpoint to the end of the budget; validates and writes checkpoints."""
    validation = make_handedness_batch(*_pick_validation(folder, config), config)
    identity, note = _identity(config), ""
    state = restore(config.out, learner, identity)
    first = state.step * config.batch_samples
    with track_progress("train side", config.total_samples, "samples", first) as advance:
        for step in range(state.step, steps_of(config)):
            loss = _loss(trunk, learner.network, make_handedness_batch(*_pick(folder, step, config), config))
            take_step(learner, loss, step, config)
            if is_due(step + 1, config.checkpoint_every_samples, config):
                found = score(trunk, learner.average, validation)
                state = RunState(step + 1, {"side": found.told}, 1 - found.told)
                write_checkpoint(config.out / LAST, take_snapshot(learner, state, config, identity))
                note = f"loss {loss.item():.3f}, {found}"
            advance((step + 1) * config.batch_samples, note)


def _loss(trunk: HandMap, branch: HandednessBranch, batch: HandednessBatch) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        with torch.no_grad():
            features = trunk.describe(batch.depth).features
        described = branch.describe(features, batch.depth)
    palm = PalmFrame(*(vector.float() for vector in described))
    off = torch.stack([functional.mse_loss(*pair) for pair in zip(palm, batch.palm, strict=True)]).sum()
    side = functional.binary_cross_entropy_with_logits(branch.judge(palm), batch.is_right, batch.is_hand)
    return 3 * off + SIDE_WEIGHT * side


def _render_missing(folder: Path, config: HandednessTrainConfig) -> None:
    for shard in range(config.shards + 1):
        if not is_whole(folder, shard, config.cache.shard_samples):
            write_shard(folder, shard, config.cache)


def _pick(
    folder: Path, step: int, config: HandednessTrainConfig
) -> tuple[RenderedHands, tuple[int, int], NDArray[np.int64]]:
    """The samples of a step, some from each of a few shards."""
    random = np.random.default_rng([config.seed, step])
    size = config.cache.shard_samples
    parts, indices = [], []
    for shard in random.integers(1, config.shards + 1, SHARDS_A_BATCH).tolist():
        rows = np.sort(random.integers(0, size, config.batch_samples // SHARDS_A_BATCH))
        parts.append(read_hands(folder, shard, rows))
        indices.append(shard * size + rows)
    joined = RenderedHands(
        np.concatenate([part.canvas for part in parts]),
        np.concatenate([part.is_hand for part in parts]),
        np.concatenate([part.joints_mm for part in parts]),
    )
    return joined, (config.seed, step), np.concatenate(indices)


def _pick_validation(
    folder: Path, config: HandednessTrainConfig
) -> tuple[RenderedHands, tuple[int, int], NDArray[np.int64]]:
    rows = np.arange(config.cache.shard_samples)
    hands = read_hands(folder, VALIDATION_SHARD, rows)
    if not np.isfinite(hands.joints_mm[:, 0, 0]).any():
        raise DatasetError(
            f"sample cache {str(folder)!r}: shard {VALIDATION_SHARD} contains no hands; delete the cache"
        )
    return hands, (0, 0), rows


def _identity(config: HandednessTrainConfig) -> dict[str, object]:
    # The features that the branch learned on: another trunk means another run, whatever its path.
    trunk = hashlib.sha256(read_bytes(config.trunk, MAX_MODEL_BYTES)).hexdigest()
    return settings_besides(config, RESUME_MUTABLE_KEYS) | {"trunk_sha256": trunk}
