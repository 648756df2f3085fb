"""The golden samples of a bundle: what its graphs must compute on every device."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from handmap.bundle.manifest import GOLDEN, Bundle
from handmap.bundle.tensors import fix_batch
from handmap.files.arrays import NotArrays, read_arrays
from handmap.files.reading import MAX_MODEL_BYTES, read_bytes
from handmap.types.arrays import Float32
from handmap.types.errors import BundleError

MAX_BYTES: Final = 1 << 30  # of the unpacked samples


@dataclass(frozen=True)
class Golden:
    """Samples to compare an engine with: depth (N, 1, 128, 128), and the FP32 graph's joints (N, J, 3) for them."""

    depth: Float32
    joints: Float32


def read_golden(bundle: Bundle) -> Golden:
    """The golden samples of a bundle.

    Raises BundleError if the file's arrays do not fit the hand graph.
    """
    try:
        golden = Golden(
            **read_arrays(read_bytes(bundle.path / GOLDEN, MAX_MODEL_BYTES), ("depth", "joints"), MAX_BYTES)
        )
    except (OSError, NotArrays) as error:
        raise BundleError(
            f"bundle {str(bundle.path)!r}: {GOLDEN} holds no samples: {error}; export it again"
        ) from error
    count = len(golden.depth)
    wanted = [fix_batch(bundle.hand.tensors, count).inputs[0].shape, (count, len(bundle.hand.joint_names), 3)]
    if count == 0 or [golden.depth.shape, golden.joints.shape] != wanted:
        raise BundleError(
            f"bundle {str(bundle.path)!r}: {GOLDEN} has arrays of shapes {golden.depth.shape} and {golden.joints.shape}, "
            f"wanted samples of {wanted[0][1:]} and {wanted[1][1:]}; export it again"
        )
    for name, values in (("depth", golden.depth), ("joints", golden.joints)):
        if values.dtype != np.float32 or not np.isfinite(values).all():
            raise BundleError(
                f"bundle {str(bundle.path)!r}: {GOLDEN} has {name} of type {values.dtype}, wanted finite float32 numbers; "
                "export it again"
            )
    return golden
