"""How many pixels of the scenes' crops differ between the NumPy reference and an implementation on the GPU."""

from collections.abc import Callable, Sequence
from types import ModuleType

import numpy as np

from handmap.engines.gpu import FusedCrop
from handmap.geometry.crop import crop_hand
from handmap.types.arrays import Float32
from handmap.types.values import DepthFrame, HandRoi
from tests.support.depth_frames import Scene

MAX_VIEWS = 3  # that a scene has
ALLOWED = 1e-4  # share of pixels that may differ

Crops = Callable[[Scene], Float32]


def numpy_crops(scene: Scene) -> Float32:
    """The reference: (views, 128, 128)."""
    return np.stack([crop_hand(np, scene.frame, *roi).depth for roi in scene.rois])


def cupy_crops(cupy: ModuleType) -> Crops:
    """The same functions on CuPy arrays."""

    def crops(scene: Scene) -> Float32:
        frame = on_gpu(cupy, scene.frame)
        made = [crop_hand(cupy, frame, *roi).depth for roi in scene.rois]
        host: Float32 = cupy.stack(made).get()
        return host

    return crops


def fused_crops(stream: object) -> Crops:
    """The kernel, on frames from the host."""
    fused = FusedCrop(MAX_VIEWS)

    def crops(scene: Scene) -> Float32:
        fused.set_frame(scene.frame)
        return run_fused(fused, scene.rois, stream)

    return crops


def run_fused(fused: FusedCrop, rois: Sequence[HandRoi], stream: object) -> Float32:
    """The crops of these views of the frame that was set."""
    fused.set_rois(rois)
    fused.enqueue(stream)
    host: Float32 = fused.out.get(stream=stream)[: len(rois), 0]
    return host


def on_gpu(cupy: ModuleType, frame: DepthFrame) -> DepthFrame:
    """The frame with its depth copied to the GPU, for use on any stream."""
    depth = cupy.asarray(frame.depth)
    cupy.cuda.Device().synchronize()
    return DepthFrame(depth, frame.depth_unit_mm, frame.intrinsics, frame.frame_number, frame.capture_ns)


def differing_share(crops: Crops, compared: Sequence[Scene]) -> float:
    """Share of pixels that are not bit for bit those of the reference."""
    wrong = pixels = 0
    for scene in compared:
        wanted = numpy_crops(scene)
        wrong += int((crops(scene) != wanted).sum())
        pixels += wanted.size
    return wrong / pixels
