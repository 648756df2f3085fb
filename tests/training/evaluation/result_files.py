"""Small result and label files of public data sets, in the field's text format."""

import os
from pathlib import Path

import numpy as np

from handmap.types.arrays import Float64
from training.datasets.published import PUBLISHED_SETS

ROOT = Path(__file__).resolve().parents[3]
GIVEN = os.environ.get("HANDMAP_PUBLISHED_RESULTS")
PUBLISHED_RESULTS = Path(GIVEN) if GIVEN else ROOT.parent / "shared/data/published-results"


def joints_of(dataset: str, frames: int, seed: int = 1) -> Float64:
    """Random joints (N, J, 3) inside the image, as u, v and depth."""
    published = PUBLISHED_SETS[dataset]
    camera = published.evaluator_intrinsics
    low, high = (20.0, 20.0, 300.0), (camera.width_px - 20.0, camera.height_px - 20.0, 800.0)
    return np.random.default_rng(seed).uniform(low, high, (frames, len(published.joint_names), 3)).round(3)


def lines_of(joints: Float64) -> list[str]:
    return [" ".join(f"{value:.3f}" for value in frame.ravel()) for frame in joints]


def write_joints(path: Path, joints: Float64) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines_of(joints)))
    return path
