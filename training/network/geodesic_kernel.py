"""The geodesic closeness of `geodesic` as a CUDA kernel on torch's own tensors. Home of CuPy in training; import it where a GPU was chosen."""

from functools import cache
from pathlib import Path
from typing import Any, Final

import cupy
import torch
from torch import Tensor

from handmap.types.values import GUIDANCE_PX

SOURCE: Final = Path(__file__).parent / "kernels" / "geodesic.cu"
NAME: Final = "geodesic_closeness"


@cache
def _load_kernel() -> Any:
    return cupy.RawKernel(SOURCE.read_text(), NAME, options=("--std=c++17",))


def kernel_closeness(is_hand: Tensor, cells: Tensor) -> Tensor:
    """`geodesic_closeness` of silhouettes (N, 32, 32) and joints' cells (N, J, 2) on one GPU: (N, J, 32, 32) float32.

    Put on torch's current stream, so torch may use the result at once.
    """
    count, joints = cells.shape[:2]
    closeness = torch.empty((count, joints, GUIDANCE_PX, GUIDANCE_PX), device=is_hand.device)
    if count == 0:
        return closeness
    stream = torch.cuda.current_stream(is_hand.device)
    shared = (is_hand.to(torch.uint8).contiguous(), cells.to(torch.int32).contiguous(), closeness)
    with cupy.cuda.Device(is_hand.device.index), cupy.cuda.ExternalStream(stream.cuda_stream):
        arguments = (*(cupy.from_dlpack(tensor) for tensor in shared), cupy.int32(joints))
        _load_kernel()((count * joints,), (GUIDANCE_PX * GUIDANCE_PX,), arguments)
    return closeness
