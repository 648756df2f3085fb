"""The optional TensorBoard log of a run: scalars and pictures as event files in the run's folder, on one axis of samples.

Off by default. Home of the package tensorboard; imported only when a configuration asks for it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import nn

from handmap.types.arrays import Float32, Uint8
from handmap.types.errors import DependencyError
from handmap.types.joints import BONES, FINGERTIPS, WRIST

from .validate import ValidationSet

try:
    import tensorboard  # noqa: F401  # torch's writer stands on it, and says less when it is missing
except ImportError as error:
    raise DependencyError(
        "training with tensorboard: true: the package tensorboard is not installed; pip install handmap-edge[tensorboard], "
        "or remove the setting"
    ) from error
from torch.utils.tensorboard import SummaryWriter

PICTURES: Final = 6
COLUMNS: Final = 2
ZOOM: Final = 2  # pixels of a picture for one of the crop
MAPPED: Final = [FINGERTIPS[0], FINGERTIPS[2], WRIST]  # red, green and blue: thumb and middle fingertip, wrist
LABELED, ESTIMATED = (90, 220, 120), (240, 90, 70)
SCALARS: Final = {"mean_mm": "validation/mean_mm", "median_mm": "validation/median_mm"}


class TensorBoardLog:
    """Writes the log of one run. The axis of everything is the number of samples."""

    def __init__(self, writer: SummaryWriter, validation: ValidationSet) -> None:
        """The pictures show the first hands of a validation set."""
        self._writer = writer
        rows = np.flatnonzero(np.isfinite(validation.joints).all(axis=(1, 2)))[:PICTURES]
        self._depth = torch.from_numpy(validation.depth[rows])
        self._labeled = validation.joints[rows]

    def note_losses(self, samples: int, losses: Mapping[str, float], rate: float) -> None:
        """The smoothed losses by name, and the learning rate."""
        for name, value in losses.items():
            self._writer.add_scalar(f"loss/{name}", value, samples)
        self._writer.add_scalar("learning_rate", rate, samples)

    @torch.no_grad()
    def note_validation(self, facts: Mapping[str, float], network: nn.Module) -> None:
        """A line of the history, and the pictures of a network in evaluation mode."""
        samples = int(facts["samples"])
        for name, tag in SCALARS.items():
            self._writer.add_scalar(tag, facts[name], samples)
        if len(self._depth):
            device = next(network.parameters()).device
            outputs = {name: value.cpu().numpy() for name, value in network(self._depth.to(device)).items()}
            self._writer.add_image("validation/hands", self._draw(outputs), samples, dataformats="HWC")
        self._writer.flush()

    def _draw(self, outputs: Mapping[str, Float32]) -> Uint8:
        """One picture (H, W, 3): each crop with labeled and estimated joints, beside it guidance maps of MAPPED."""
        pictures = []
        for number, depth in enumerate(self._depth.numpy()[:, 0]):
            crop = _enlarged(_shade(depth), ZOOM)
            _draw_hand(crop, self._labeled[number], LABELED)
            _draw_hand(crop, outputs["joints"][number], ESTIMATED)
            shown = [crop]
            if "guidance" in outputs:
                maps = np.clip(outputs["guidance"][number, MAPPED], 0, 1).transpose(1, 2, 0)
                shown.append(_enlarged((255 * maps).astype(np.uint8), len(crop) // len(maps)))
            pictures.append(np.concatenate(shown, axis=1))
        rows = [np.concatenate(pictures[start : start + COLUMNS], axis=1) for start in range(0, len(pictures), COLUMNS)]
        return np.concatenate([row for row in rows if row.shape == rows[0].shape])


@contextmanager
def open_log(folder: Path, validation: ValidationSet, samples: int) -> Iterator[TensorBoardLog]:
    """The log in a run's folder, from `samples` on: what was noted after them, before the run was killed, is hidden."""
    with SummaryWriter(str(folder), purge_step=samples + 1 if samples else None) as writer:
        yield TensorBoardLog(writer, validation)


def _shade(depth: Float32) -> Uint8:
    """A crop (H, W) in [-1, 1] as a picture (H, W, 3): near bright, far dark, the background black."""
    return _gray(np.where(depth < 1, 230 - 170 * (depth + 1) / 2, 0))


def _gray(values: Float32) -> Uint8:
    """Values (H, W) in [0, 255] as (H, W, 3)."""
    picture: Uint8 = np.repeat(values.astype(np.uint8)[..., None], 3, axis=2)
    return picture


def _enlarged(picture: Uint8, times: int) -> Uint8:
    larger: Uint8 = picture.repeat(times, axis=0).repeat(times, axis=1)
    return larger


def _draw_hand(picture: Uint8, joints: Float32, color: tuple[int, int, int]) -> None:
    """Draws the bones of joints (21, 3) in half cube sides into a picture (H, W, 3) of the whole cube; what is outside is left out."""
    size = len(picture)
    for parent, child in BONES:
        along = np.linspace(joints[parent, :2], joints[child, :2], size)
        columns, rows = np.floor((along + 1) * size / 2).astype(int).T
        inside = (columns >= 0) & (columns < size) & (rows >= 0) & (rows < size)
        picture[rows[inside], columns[inside]] = color
    for column, row in np.floor((joints[:, :2] + 1) * size / 2).astype(int):
        picture[max(row - 2, 0) : max(row + 2, 0), max(column - 2, 0) : max(column + 2, 0)] = color
