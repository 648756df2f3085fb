"""Recordings by the camera of other_camera.yaml: people outside training's shapes, each moving one hand freely before it."""

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np

from handmap.recording.datasets import LabeledFrame
from handmap.recording.writer import RecordingWriter
from handmap.system.config import read_config
from handmap.types.arrays import Float32
from handmap.types.errors import ConfigError
from handmap.types.intrinsics import Intrinsics
from training.hand.hand_model import HandShape, held_out_coefficients, load_hand_asset, shape_hand
from training.hand.shape_variation import draw_outer_variation, vary_shape
from training.seed_domains import SeedDomain
from training.synthesis.observe import observe
from training.synthesis.scene import HEIGHT_PX, WIDTH_PX, Scene, skin_of
from training.synthesis.sensor import Sensor

from .skeleton_motion import FPS, move_freely

FILE = Path(__file__).with_suffix(".yaml")
SHA256 = "eab456925814347e2b5c6e0a1730cda86a5b4fd24c813380376efef662dce72c"
Positive = Annotated[float, msgspec.Meta(gt=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class OtherCamera(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Focal lengths in px, faults as in `training.synthesis.sensor.Sensor`, and the range of hole shares."""

    stated_focal_px: Positive
    true_focal_px: Positive
    white_px: Positive
    correlated_px: Positive
    step_px: Positive
    jitter_rate: Share
    lost_edge_rate: Share
    flying_edge_rate: Share
    min_mm: Positive
    hole_share: tuple[Share, Share]
    people: int


def read_other_camera() -> OtherCamera:
    """The camera in FILE.

    Raises ConfigError if the file is not the one that was fixed.
    """
    found = hashlib.sha256(FILE.read_bytes()).hexdigest()
    if found != SHA256:
        raise ConfigError(f"{FILE.name}: it was fixed with sha256 {SHA256}, found {found}; restore it")
    return read_config(FILE, OtherCamera)


def film(camera: OtherCamera, first_person: int, frames_each: int, stride: int) -> Iterator[LabeledFrame]:
    """Every stride-th of frames_each frames of each person, at 30 frames per second, with the truth in the true camera's frame.

    The frames state the wrong focal length.
    """
    asset = load_hand_asset()
    true, stated = (_intrinsics(focal) for focal in (camera.true_focal_px, camera.stated_focal_px))
    sensor = Sensor(
        1.0, camera.white_px, camera.correlated_px, camera.step_px, camera.jitter_rate, camera.lost_edge_rate,
        camera.flying_edge_rate, camera.min_mm, np.zeros((0, 3)), 0,
    )  # fmt: skip
    number = 0
    for person in range(first_person, first_person + camera.people):
        shape, random = _draw_person(person)
        faults = np.random.default_rng([SeedDomain.OTHER_CAMERA, person, 1])
        for index, moment in enumerate(move_freely(shape, frames_each, random)):
            seed, hole_share = int(faults.integers(0, 2**62)), faults.uniform(*camera.hole_share)
            if index % stride == 0:
                skin_mm = skin_of(asset, shape, moment.hand, moment.rotation, moment.joints_mm[0])
                scene = Scene(true, skin_mm, moment.joints_mm, None, None)
                faulty = replace(sensor, seed=seed, hole_share=hole_share)
                seen = observe(asset, scene, faulty, number, round(number * stride * 1e9 / FPS))
                yield replace(seen, frame=replace(seen.frame, intrinsics=stated))
                number += 1


def true_joints(camera: OtherCamera, first_person: int, frames_each: int) -> Float32:
    """The joints (T, 21, 3) of all frames of `film`, mm, without drawing them."""
    joints: list[Float32] = []
    for person in range(first_person, first_person + camera.people):
        shape, random = _draw_person(person)
        joints += (moment.joints_mm for moment in move_freely(shape, frames_each, random))
    return np.array(joints, np.float32)


def _draw_person(person: int) -> tuple[HandShape, np.random.Generator]:
    """A shape outside those of training, and what its motion is drawn from."""
    asset = load_hand_asset()
    random = np.random.default_rng([SeedDomain.OTHER_CAMERA, person])
    held_out = shape_hand(asset, held_out_coefficients(asset, random))
    return vary_shape(asset, held_out, draw_outer_variation(random)), random


def write_film(path: Path, frames: Iterator[LabeledFrame], has_labels: bool) -> int:
    """Writes a recording, with the truth or without, and gives its number of frames."""
    first = next(frames)
    count = 0
    with RecordingWriter(path, first.frame.intrinsics, first.frame.depth_unit_mm) as writer:
        for one in itertools.chain([first], frames):
            if has_labels:
                writer.write_labeled(one)
            else:
                writer.write(one.frame)
            count += 1
    return count


def _intrinsics(focal_px: float) -> Intrinsics:
    return Intrinsics(WIDTH_PX, HEIGHT_PX, focal_px, focal_px, WIDTH_PX / 2, HEIGHT_PX / 2)
