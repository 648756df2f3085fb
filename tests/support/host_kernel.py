"""The fused crop kernel's own source, compiled for the host by g++ and run with its threads in random order."""

import ctypes
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handmap.arrays import Float32
from handmap.crop_kernel import HAND, THREADS, hand_parameters
from handmap.values import CROP_PX, DepthFrame, View

SHIM = Path(__file__).parent / "cuda_on_host.cpp"


class HostKernel:
    """A built kernel."""

    def __init__(self, source: Path, folder: Path) -> None:
        built = folder / f"{source.stem}.so"
        subprocess.run(
            # A fused multiply-add, which some processors have, would be another arithmetic.
            [
                "g++", "-std=c++17", "-O2", "-ffp-contract=off", "-Wall", "-Werror", "-Wno-unknown-pragmas",
                "-shared", "-fPIC", f'-DKERNEL="{source}"', str(SHIM), "-o", str(built),
            ],
            check=True,
        )  # fmt: skip
        self._library = ctypes.CDLL(str(built))
        assert self._library.hand_bytes() == HAND.itemsize

    def crop(
        self, frame: DepthFrame, views: Sequence[View], seed: int, threads: int = THREADS
    ) -> tuple[Float32, NDArray[np.int32]]:
        """What one launch writes: crops (len(views), 128, 128), and how many of their pixels are not background."""
        pitch_px = frame.depth.strides[0] // frame.depth.itemsize
        hands = hand_parameters(frame, frame.depth.ctypes.data, pitch_px, views)
        out = np.full((len(views), CROP_PX, CROP_PX), np.nan, np.float32)
        filled = np.full(len(views), -1, np.int32)
        addresses = [ctypes.c_void_p(array.ctypes.data) for array in (hands, out, filled)]
        failed = self._library.launch(addresses[0], len(views), threads, ctypes.c_uint(seed), *addresses[1:])
        assert not failed, "some threads wait at a barrier that others never reach"
        return out, filled
