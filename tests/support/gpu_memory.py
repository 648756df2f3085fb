"""How much memory is taken, to see whether work that is done again and again keeps some."""

import os
from pathlib import Path

from handmap.types.arrays import ArrayModule


def bytes_in_use(cupy: ArrayModule) -> tuple[int, int]:
    """Of the GPU what CuPy's pools hold for this process, and of the host what the kernel counts for it.

    Not what the driver says of the card: other processes on it take and give back as they like.
    """
    cupy.cuda.Device().synchronize()
    on_gpu = cupy.get_default_memory_pool().total_bytes()
    resident_pages = int(Path("/proc/self/statm").read_text().split()[1])
    return int(on_gpu), resident_pages * os.sysconf("SC_PAGE_SIZE")
