"""Network inputs from a recording, to compare graphs on; cropped and located with the daemon's own code."""

import numpy as np

from handmap.geometry.crop import crop_hand
from handmap.recording.depth_range import why_no_hand
from handmap.recording.reader import open_recording
from handmap.recording.stated import RecordingName
from handmap.tracking.region_proposals import propose_regions
from handmap.types.arrays import Float32
from handmap.types.errors import RecordingError

RANGE_MM = (150.0, 1000.0)
PROPOSALS = 3


def crops_of_recording(samples: RecordingName, cube_mm: float, least: int, max_count: int) -> Float32:
    """Crops (N, 1, 128, 128) around the region proposals in every frame, the most likely of each frame first.

    Raises RecordingError if there are fewer than `least`.
    """
    by_rank: list[list[Float32]] = [[] for _ in range(PROPOSALS)]
    for frame in open_recording(samples):
        for rank, proposal in enumerate(propose_regions(np, frame, RANGE_MM, PROPOSALS)):
            by_rank[rank].append(crop_hand(np, frame, proposal.center_mm, cube_mm).depth)
    crops = [crop for rank in by_rank for crop in rank][:max_count]
    if len(crops) < least:
        why = why_no_hand(open_recording(samples))
        raise RecordingError(
            f"recording {str(samples)!r}: gave {len(crops)} crops to compare graphs on, wanted at least {least}; {why or 'name a longer one'}"
        )
    return np.stack(crops)[:, None]
