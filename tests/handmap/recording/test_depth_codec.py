"""Depth in memory: whatever the image, it comes back to the bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from handmap.recording.depth_codec import pack_depth, unpack_depth
from handmap.types.arrays import Uint16


@given(arrays.arrays(np.uint16, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_every_image_comes_back(depth: Uint16) -> None:
    assert (unpack_depth(pack_depth(depth), (depth.shape[0], depth.shape[1])) == depth).all()


@pytest.mark.parametrize("size", [(480, 640), (1, 1), (3, 7)])
def test_noise_comes_back_from_views_too(size: tuple[int, int]) -> None:
    whole = np.random.default_rng(1).integers(0, 1 << 16, (2 * size[0], 2 * size[1]), np.uint16)
    depth = whole[::2, ::2]

    again = unpack_depth(pack_depth(depth), size)

    assert again.dtype == np.uint16
    np.testing.assert_array_equal(again, depth)


def test_a_smooth_surface_takes_a_tenth() -> None:
    v, u = np.mgrid[:480, :640]
    depth = (600 + u // 4 + v // 3).astype(np.uint16)

    assert len(pack_depth(depth)) < depth.nbytes / 10
