"""How much memory is taken, to see whether work that is done again and again keeps some."""

import os
from pathlib import Path

from handmap.arrays import ArrayModule


def bytes_in_use(cupy: ArrayModule) -> tuple[int, int]:
    """Of the GPU as its driver counts, and of this process as the kernel counts."""
    cupy.cuda.Device().synchronize()
    free, total = cupy.cuda.runtime.memGetInfo()
    resident_pages = int(Path("/proc/self/statm").read_text().split()[1])
    return int(total - free), resident_pages * os.sysconf("SC_PAGE_SIZE")
