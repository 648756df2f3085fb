"""Engines on a card that crop two hands themselves before the network: given the crop, shown the hands, replayed."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from handmap.engines import gpu
from handmap.engines.device_engine import DeviceEngine
from handmap.types.arrays import Float32
from handmap.types.values import CROP_PX, HandRoi
from tests.gpu.parity import numpy_crops
from tests.support.depth_frames import Scene, two_hands
from tests.support.gpu_memory import bytes_in_use

BATCH = 2
WARM_UP = 1000
MAX_GROWTH_BYTES = 8 << 20


def random_depth(seed: int) -> Float32:
    """An input for a network of BATCH hands."""
    return np.random.default_rng(seed).uniform(-1, 1, (BATCH, 1, CROP_PX, CROP_PX)).astype(np.float32)


def use_fused_crop(engine: DeviceEngine, is_eager: bool) -> gpu.FusedCrop:
    """The crop of two hands before the network; one that waits for its stream cannot be recorded."""
    crop = gpu.FusedCrop(BATCH, out=engine.input_buffer)

    def preprocess(stream: Any) -> None:
        crop.enqueue(stream)
        if is_eager:
            stream.synchronize()

    engine.set_preprocess(preprocess)
    return crop


def move_hands(crops: Sequence[gpu.FusedCrop]) -> Iterator[Float32]:
    """Shows every crop two hands in one place after another, one of them mirrored; gives what the reference crops there."""
    scene = two_hands()
    for shift_mm in (0.0, 7.5, -30.0):
        rois = tuple(
            HandRoi(roi.center_mm + np.float32(shift_mm), roi.cube_mm, bool(place))
            for place, roi in enumerate(scene.rois)
        )
        for crop in crops:
            crop.set_frame(scene.frame)
            crop.set_rois(rois)
        yield numpy_crops(Scene(scene.frame, rois))


def replay_growth_bytes(engine: DeviceEngine, crop: gpu.FusedCrop, replays: int) -> tuple[int, int]:
    """By how much the memory of the GPU and of this process grows while two hands are looked at over and over.

    The last answer must be the first one.
    """
    scene = two_hands()
    crop.set_frame(scene.frame)
    crop.set_rois(scene.rois)
    wanted = engine.replay().joints
    for _ in range(WARM_UP):
        engine.replay()
    before = bytes_in_use(gpu.open_gpu())

    for _ in range(replays):
        found = engine.replay()

    np.testing.assert_array_equal(found.joints, wanted)
    after = bytes_in_use(gpu.open_gpu())
    return after[0] - before[0], after[1] - before[1]
