"""The fused crop kernel as data: its source, the cubins shipped with it, and the parameters of each hand.

Nothing here needs a GPU; `handmap.engines.gpu` loads and launches the kernel.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from handmap.files.reading import NotJson, read_bytes, read_json
from handmap.geometry.crop import crop_projection
from handmap.types.values import CROP_PX, DepthFrame, HandRoi

FOLDER: Final = Path(__file__).parent / "kernels"
SOURCE: Final = "crop.cu"
FACTS: Final = "crop.json"
NAME: Final = "crop_hands"
OPTIONS: Final = ("--std=c++17", "--fmad=false")  # no fused multiply-add, like NumPy
THREADS: Final = 1024
SHARED_BYTES: Final = CROP_PX * CROP_PX * 4  # the z-buffer

# Mirrors struct Hand in the kernel source.
HAND: Final = np.dtype(
    [
        ("window", np.uint64),
        ("pitch", np.int32),
        ("rows", np.int32),
        ("columns", np.int32),
        ("top", np.int32),
        ("left", np.int32),
        ("height", np.int32),
        ("width", np.int32),
        ("near", np.uint32),
        ("far", np.uint32),
        ("speck", np.uint32),
        ("unit_mm", np.float32),
        ("u_offset", np.float32),
        ("v_offset", np.float32),
        ("inverse_fx", np.float32),
        ("inverse_fy", np.float32),
        ("center_mm", np.float32, 3),
        ("cells_per_mm", np.float32),
        ("half_cells", np.float32),
        ("half_cube_mm", np.float32),
        ("is_mirrored", np.int32),
    ],
    align=True,
)


class Cubin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The kernel as compiled for one GPU architecture."""

    file: str
    sha256: str
    nvrtc: str


class KernelFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the shipped cubins were made from; cubins by architecture, as sm_87."""

    source_sha256: str
    options: tuple[str, ...]
    cubins: dict[str, Cubin]


MAX_KERNEL_BYTES: Final = 16 << 20


class Choice(NamedTuple):
    """The shipped cubin to load, or None and why the source has to be compiled."""

    cubin: Path | None
    reason: str


def choose_cubin(architecture: str, folder: Path = FOLDER) -> Choice:
    """The cubin in `folder` for this architecture, if it was compiled from the source beside it."""
    try:
        facts = read_json(folder / FACTS, KernelFacts)
        source = read_bytes(folder / SOURCE, MAX_KERNEL_BYTES)
        found = facts.cubins.get(architecture)
        content = read_bytes(folder / found.file, MAX_KERNEL_BYTES) if found else b""
    except (OSError, NotJson) as error:
        return Choice(None, f"{FACTS} cannot be used: {error}")
    if found is None:
        return Choice(None, f"none is shipped for {architecture}")
    if facts.options != OPTIONS or facts.source_sha256 != hashlib.sha256(source).hexdigest():
        return Choice(None, f"{SOURCE} is not what the cubins were made from")
    if found.sha256 != hashlib.sha256(content).hexdigest():
        return Choice(None, f"{found.file} is damaged")
    return Choice(folder / found.file, f"made by NVRTC {found.nvrtc}")


def hand_parameters(frame: DepthFrame, depth_address: int, pitch_px: int, rois: Sequence[HandRoi]) -> NDArray[np.void]:
    """HAND (len(views),) for a frame with its depth at depth_address and a row pitch of pitch_px pixels.

    A cube that no point can fall into is all zeros, like an unused batch slot: the kernel writes background.
    """
    hands = np.zeros(len(rois), HAND)
    for hand, roi in zip(hands, rois, strict=True):
        center = np.asarray(roi.center_mm, np.float32)
        how = crop_projection(frame, center, roi.cube_mm, CROP_PX)
        if how.is_empty:
            continue
        hand["window"] = depth_address + (how.top * pitch_px + how.left) * frame.depth.dtype.itemsize
        hand["pitch"] = pitch_px
        hand["rows"], hand["columns"] = how.bottom - how.top, how.right - how.left
        hand["top"], hand["left"] = how.top, how.left
        hand["height"], hand["width"] = frame.depth.shape
        hand["near"], hand["far"], hand["speck"] = how.near, how.far, how.speck
        hand["unit_mm"] = how.unit_mm
        hand["u_offset"], hand["v_offset"] = how.u_offset, how.v_offset
        hand["inverse_fx"], hand["inverse_fy"] = how.inverse_fx, how.inverse_fy
        hand["center_mm"] = center
        hand["cells_per_mm"], hand["half_cells"] = how.cells_per_mm, how.half_cells
        hand["half_cube_mm"] = np.float32(roi.cube_mm / 2)
        hand["is_mirrored"] = roi.is_mirrored
    return hands
