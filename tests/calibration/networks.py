"""Graphs to quantize: small, but with a residual, a concatenation and a matrix product."""

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import ModelProto, numpy_helper
from torch import Tensor, nn

from export.simplify import simplify
from export.to_onnx import load_program, to_onnx
from tests.export.programs import save_program


class ResidualNetwork(nn.Module):
    """Depth to joints and maps; the joints spread over the cube, so that errors in mm mean something."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 8, 4, 4), nn.BatchNorm2d(8), nn.ReLU())
        self.first = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU())
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.short = nn.Sequential(nn.Conv2d(8, 4, 1), nn.ReLU())
        self.long = nn.Sequential(nn.Conv2d(8, 4, 3, padding=1), nn.ReLU())
        self.maps = nn.Conv2d(8, 21, 1)
        linear = nn.Linear(8 * 64, 63)
        nn.init.normal_(linear.weight, std=0.1)
        self.pose = nn.Sequential(nn.MaxPool2d(4), nn.Flatten(), linear)

    def forward(self, depth: Tensor) -> dict[str, Tensor]:
        x = self.stem(depth)
        x = torch.relu(x + self.second(self.first(x)))
        x = torch.cat([self.short(x), self.long(x)], dim=1)
        return {"joints": self.pose(x).unflatten(1, (21, 3)), "guidance": self.maps(x)}


def save_residual_program(path: Path) -> Path:
    torch.manual_seed(3)
    return save_program(path, ResidualNetwork())


def residual_graph(folder: Path) -> ModelProto:
    path = save_residual_program(folder / "residual.pt2")
    return simplify(to_onnx(load_program(path, None)), path)


def plant_outliers(model: ModelProto, before: str, layer: str) -> ModelProto:
    """The same function, with the weights of one input channel of `layer` a thousand times larger and its input that much smaller.

    INT8 then has no levels left for the weights of the other channels.
    """
    planted = ModelProto()
    planted.CopyFrom(model)
    factor = 1000.0
    for tensor in planted.graph.initializer:
        values = numpy_helper.to_array(tensor).copy()
        if tensor.name.startswith(f"{before}."):  # weight and bias
            values[0] /= factor
        elif tensor.name == f"{layer}.weight":
            values[:, 0] *= factor
        else:
            continue
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    onnx.checker.check_model(planted)
    return planted


def disc_depth(
    number: int, z_mm: float, random: np.random.Generator
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint16]]:
    """A noisy tilted disc that moves and turns, 320x240."""
    v, u = np.mgrid[:240, :320]
    angle = number / 9
    along = (u - 160) * np.cos(angle) + (v - 120) * np.sin(angle)
    across = (v - 120) * np.cos(angle) - (u - 160) * np.sin(angle)
    size = 45 * 240 / z_mm * 1.4
    inside = (along / size) ** 2 + (across / (0.6 * size)) ** 2 < 1
    inside &= ~((np.abs(across) < size / 12) & (along > 0))
    depth = np.zeros((240, 320), np.uint16)
    depth[inside] = (z_mm + 0.3 * along[inside] + random.integers(0, 3, int(inside.sum()))).astype(np.uint16)
    return depth
