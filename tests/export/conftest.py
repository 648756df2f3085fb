"""A recording to compare graphs on, and an exported program."""

from pathlib import Path

import numpy as np
import pytest
import torch

from handmap.recording.writer import RecordingWriter
from handmap.types.intrinsics import Intrinsics
from handmap.types.values import DepthFrame
from tests.export.programs import SmallNetwork, save_program


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """220 frames of a moving, noisy disc, 320x240."""
    path = tmp_path_factory.mktemp("recording") / "disc"
    intrinsics = Intrinsics(320, 240, 240.0, 240.0, 159.5, 119.5)
    rng = np.random.default_rng(1)
    v, u = np.mgrid[:240, :320]
    with RecordingWriter(path, intrinsics, 1.0) as writer:
        for number in range(220):
            depth = np.zeros((240, 320), np.uint16)
            inside = (u - 100 - number / 3) ** 2 + (v - 120) ** 2 < 40**2
            depth[inside] = 450 + rng.integers(0, 30, int(inside.sum()))
            writer.write(DepthFrame(depth, 1.0, intrinsics, number, number * 33_000_000))
    return path


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    return save_program(tmp_path_factory.mktemp("program") / "small.pt2", SmallNetwork())
