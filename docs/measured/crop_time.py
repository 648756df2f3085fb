"""Milliseconds that NumPy takes to crop two hands, both at 300 mm, from a 640x480 frame, by the clock on the wall and by
the processor's; p50 and p99 as JSON.

`taskset -c 0 .venv/bin/python -m docs.measured.crop_time`, with nothing else running.
"""

import json
import os
import time

import numpy as np

from handmap.geometry.crop import crop_hand
from tests.support.depth_frames import two_hands

RUNS = 500
WARM_UP = 20


def measure() -> dict[str, object]:
    """Both crops of one frame, again and again."""
    scene = two_hands(300.0)
    load_before = os.getloadavg()
    taken_ms = []
    for _ in range(WARM_UP + RUNS):
        start, start_cpu = time.perf_counter_ns(), time.thread_time_ns()
        for roi in scene.rois:
            crop_hand(np, scene.frame, *roi)
        taken_ms.append(((time.perf_counter_ns() - start) / 1e6, (time.thread_time_ns() - start_cpu) / 1e6))
    (p50, p50_cpu), (p99, p99_cpu) = np.percentile(taken_ms[WARM_UP:], [50, 99], axis=0).round(3).tolist()
    return {
        "hands": len(scene.rois),
        "p50_ms": p50,
        "p99_ms": p99,
        "processor_p50_ms": p50_cpu,
        "processor_p99_ms": p99_cpu,
        "runs": RUNS,
        "cores": len(os.sched_getaffinity(0)),
        "load_average_before": [round(load, 2) for load in load_before],
        "numpy": np.__version__,
    }


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))  # noqa: T201
