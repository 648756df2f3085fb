"""Drawing processes: what they hand over, what is said when one dies, and that nothing outlives the trainer."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from handmap.types.arrays import Float32
from handmap.types.errors import DatasetError
from training.samples.drawing import CELLS, FIRST_SEED, SEED_SLOTS, SLOT_SAMPLES, SLOTS_EACH, Drawers, pack_canvas
from training.synthesis.canvas import CANVAS_PX, EMPTY
from training.synthesis.synthetic import render_samples

ROOT = Path(__file__).resolve().parents[3]
MAX_WAIT_S = 120
TRAINER = """
import sys, time
sys.path.insert(0, {root!r})
if __name__ == "__main__":
    from training.samples.drawing import Drawers
    with Drawers(2, (1, 0, 0)) as drawers:
        drawers.collect(lambda canvas, joints: None, 120.0)
        print(*[process.pid for process in drawers._processes], flush=True)
        time.sleep(120)
"""


class Taken:
    """Copies of the slots that came."""

    def __init__(self) -> None:
        self.canvas: list[np.ndarray] = []
        self.joints: list[Float32] = []

    def __call__(self, canvas: np.ndarray, joints_mm: Float32) -> None:
        self.canvas.append(canvas.copy())
        self.joints.append(joints_mm.copy())


def collect(drawers: Drawers, slots: int) -> Taken:
    taken, deadline_s = Taken(), time.monotonic() + MAX_WAIT_S
    while len(taken.canvas) < slots:
        assert time.monotonic() < deadline_s
        drawers.collect(taken, 1.0)
    return taken


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_slots_come_round_and_hold_what_is_rendered() -> None:
    with Drawers(1, (7, 0, 3)) as drawers:
        taken = collect(drawers, SLOTS_EACH + 2)

    random = np.random.default_rng((7, 0, 3, 0))
    seeds = [FIRST_SEED + SLOT_SAMPLES * int(random.integers(SEED_SLOTS)) for _ in range(SLOTS_EACH + 2)]
    for place in (0, SLOTS_EACH + 1):
        wanted = render_samples(seeds[place], SLOT_SAMPLES)
        packed = pack_canvas(wanted.canvas, wanted.is_hand).reshape(SLOT_SAMPLES, CELLS)
        np.testing.assert_array_equal(taken.canvas[place], packed)
        np.testing.assert_array_equal(taken.joints[place], wanted.joints_mm)
    share = np.isnan(np.concatenate(taken.joints)[:, 0, 0]).mean()
    assert 0.08 < share < 0.3, "samples without a hand keep their share"


def test_a_packed_canvas_tells_depth_and_hand() -> None:
    canvas = np.full((1, CANVAS_PX, CANVAS_PX), EMPTY, np.int16)
    canvas[0, 0, :4] = (-10_000, 10_000, 0, -1)
    is_hand = np.zeros(canvas.shape, np.bool_)
    is_hand[0, 0, 1:3] = True

    packed = pack_canvas(canvas, is_hand)

    assert packed.dtype == np.int16
    assert (packed >> 1)[0, 0, :4].tolist() == [-10_000, 10_000, 0, -1]
    assert (packed & 1)[0, 0, :4].tolist() == [0, 1, 1, 0]
    assert (packed[0, 0, 4:] == EMPTY).all()


def test_a_drawer_that_dies_is_named() -> None:
    with Drawers(2, (1, 0, 0)) as drawers:
        victim = drawers._processes[1].pid
        assert victim is not None
        os.kill(victim, signal.SIGKILL)

        with pytest.raises(DatasetError, match=r"drawing process 1 of 2 ended with code -9; start the training again"):
            collect(drawers, 1000)


def test_nothing_outlives_a_trainer_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "go.py"
    script.write_text(TRAINER.format(root=str(ROOT)))
    shared = set(os.listdir("/dev/shm"))
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    drawers = [int(pid) for pid in process.stdout.readline().split()]
    assert len(drawers) == 2 and all(map(is_running, drawers))

    process.kill()
    process.communicate()

    deadline_s = time.monotonic() + MAX_WAIT_S
    while any(map(is_running, drawers)):
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    # The slots' memory is a file without a name: it went with the last process that held it.
    assert set(os.listdir("/dev/shm")) <= shared
