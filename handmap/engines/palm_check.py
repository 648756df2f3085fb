"""Whether a palm engine computes what the bundle's palm graph does: compared with its FP32 graph on ONNX Runtime.

A bundle has golden samples of the hand graph only; pictures for the palm graph are made from them.
"""

from typing import Final

import numpy as np

from handmap.bundle.golden import Golden
from handmap.bundle.manifest import Bundle
from handmap.engines.engine import PalmEngine
from handmap.types.arrays import Float32
from handmap.types.errors import BundleError

ROWS: Final = slice(16, 112)  # of a crop's 128
SPAN: Final = 0.75  # of the near face of the cube, in the input's unit; that of the far face is half of it
# Largest difference of any output value; 0.1 in a logit changes a score by at most 0.025.
TOLERANCE: Final = {"fp32": 0.01, "fp16": 0.1, "int8": 1.5}


def palm_pictures(golden: Golden) -> Float32:
    """Inputs (N, 1, 96, 128) of the palm graph with the golden samples' hands in them; 0 is empty."""
    depth = golden.depth[:, :, ROWS]
    pictures: Float32 = np.where(depth < 1, SPAN * (3 - depth) / 4, 0).astype(np.float32)
    return pictures


def palm_difference(engine: PalmEngine, golden: Golden, bundle: Bundle) -> float:
    """Largest difference of any output value from the bundle's FP32 graph; NaN if any value is."""
    from handmap.engines.onnx_engine import open_onnx_palm_engine

    assert bundle.palm is not None  # or there would be no engine
    precision = "fp32" if "fp32" in bundle.palm.precisions else engine.precision
    reference = open_onnx_palm_engine(bundle.graph_path("palm", precision), 1, precision)
    apart = [np.abs(engine.infer(one[0]) - reference.infer(one[0])).max() for one in palm_pictures(golden)]
    reference.close()
    return float(np.max(apart))  # unlike max(), it does not pass over NaN


def check_palm(engine: PalmEngine, golden: Golden, bundle: Bundle) -> float:
    """The difference, refused if it is above the precision's tolerance.

    Raises BundleError if the engine does not compute what the bundle's network does.
    """
    found, limit = palm_difference(engine, golden, bundle), TOLERANCE[engine.precision]
    if not found <= limit:
        raise BundleError(
            f"bundle {str(bundle.path)!r}: outputs of the {engine.precision} palm engine are up to {found:.3f} off those of its FP32 "
            f"graph, wanted at most {limit}; export or build it again"
        )
    return found
