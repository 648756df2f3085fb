"""CUDA kernels' own sources, compiled for the host by g++ and run with their threads in random order."""

import ctypes
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handmap.engines.crop_kernel import HAND, THREADS, hand_parameters
from handmap.types.arrays import Bool, Float32
from handmap.types.values import CROP_PX, DepthFrame, HandRoi

SHIMS = Path(__file__).parent


def build_kernel(source: Path, shim: str, folder: Path) -> ctypes.CDLL:
    """The library of a kernel with the launcher of tests/support that is named; a warning of the compiler is an error."""
    built = folder / f"{source.stem}.so"
    subprocess.run(
        # A fused multiply-add, which some processors have, would be another arithmetic.
        [
            "g++", "-std=c++17", "-O2", "-ffp-contract=off", "-Wall", "-Werror", "-Wno-unknown-pragmas",
            "-shared", "-fPIC", f'-DKERNEL="{source}"', str(SHIMS / shim), "-o", str(built),
        ],
        check=True,
    )  # fmt: skip
    return ctypes.CDLL(str(built))


class HostKernel:
    """The fused crop, built."""

    def __init__(self, source: Path, folder: Path) -> None:
        self._library = build_kernel(source, "crop_on_host.cpp", folder)
        assert self._library.hand_bytes() == HAND.itemsize

    def crop(
        self, frame: DepthFrame, rois: Sequence[HandRoi], seed: int, threads: int = THREADS
    ) -> tuple[Float32, NDArray[np.int32]]:
        """What one launch writes: crops (len(views), 128, 128), and how many of their pixels are not background."""
        pitch_px = frame.depth.strides[0] // frame.depth.itemsize
        hands = hand_parameters(frame, frame.depth.ctypes.data, pitch_px, rois)
        out = np.full((len(rois), CROP_PX, CROP_PX), np.nan, np.float32)
        filled = np.full(len(rois), -1, np.int32)
        addresses = [ctypes.c_void_p(array.ctypes.data) for array in (hands, out, filled)]
        failed = self._library.launch(addresses[0], len(rois), threads, ctypes.c_uint(seed), *addresses[1:])
        assert not failed, "some threads wait at a barrier that others never reach"
        return out, filled


class HostGeodesic:
    """The geodesic of training, built."""

    def __init__(self, source: Path, folder: Path) -> None:
        self._library = build_kernel(source, "geodesic_on_host.cpp", folder)

    def closeness(self, hands: Bool, cells: NDArray[np.int64], seed: int) -> Float32:
        """What one launch writes: (N, J, 32, 32)."""
        count, joints = cells.shape[:2]
        out = np.full((count, joints, *hands.shape[1:]), np.nan, np.float32)
        given = (np.ascontiguousarray(hands, np.uint8), np.ascontiguousarray(cells, np.int32), out)
        addresses = [ctypes.c_void_p(array.ctypes.data) for array in given]
        failed = self._library.launch(*addresses, joints, count * joints, ctypes.c_uint(seed))
        assert not failed, "some threads wait at a barrier that others never reach"
        return out
