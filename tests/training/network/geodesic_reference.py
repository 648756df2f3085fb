"""The distances that our fast marching is held against, as scikit-fmm gives them.

python -m tests.training.network.geodesic_reference        writes them; needs scikit-fmm, which has no wheels

They are stored because scikit-fmm has to be compiled, and a fresh machine has no compiler.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy import ndimage

from handmap.types.arrays import Bool, Float32, Float64

STORED = Path(__file__).resolve().parents[2] / "data" / "geodesic_reference.npz"
SIZE = 32
MASKS = 200


def stored_references() -> Iterator[tuple[Bool, int, int, Float32]]:
    """Masks (SIZE, SIZE), a row and column in each, and the distances from there in pixels, inf where not reached."""
    with np.load(STORED) as stored:
        masks = np.unpackbits(stored["masks"], axis=None).reshape(-1, SIZE, SIZE).astype(np.bool_)
        for mask, (row, column), distance in zip(masks, stored["sources"], stored["distances_px"], strict=True):
            yield mask, int(row), int(column), distance


def _random_mask(seed: int) -> tuple[Bool, int, int]:
    """A blobby mask with islands and holes, and one of its pixels."""
    rng = np.random.default_rng(seed)
    mask = ndimage.gaussian_filter(rng.normal(size=(SIZE, SIZE)), rng.uniform(0.8, 3)) > rng.uniform(-0.02, 0.02)
    rows, columns = np.nonzero(mask)
    chosen = rng.integers(len(rows))
    return mask, int(rows[chosen]), int(columns[chosen])


def _march(mask: Bool, row: int, column: int) -> Float64:
    """scikit-fmm, first order, inf where it does not reach."""
    import skfmm

    phi = np.ma.MaskedArray(np.ones(mask.shape), ~mask)
    phi[row, column] = 0
    return np.asarray(np.ma.filled(skfmm.distance(phi, dx=1, order=1), np.inf))


if __name__ == "__main__":
    drawn = [_random_mask(seed) for seed in range(MASKS)]
    np.savez_compressed(
        STORED,
        masks=np.packbits(np.stack([mask for mask, _, _ in drawn])),
        sources=np.array([(row, column) for _, row, column in drawn], np.uint8),
        distances_px=np.stack([_march(*one) for one in drawn]).astype(np.float32),
    )
