"""The camera's clock becomes ours, whatever it does."""

from collections.abc import Callable
from functools import partial
from operator import add

import numpy as np

from runtime.cameras.realsense_clock import STEADY_FRAMES, CameraClock

MS = 1_000_000
PERIOD_NS = 1_000_000_000 // 60


def delays_ms(seed: int, count: int) -> list[float]:
    """5 ms of transport at least, as a rule a little more, now and then much more."""
    rng = np.random.default_rng(seed)
    slow = np.where(rng.random(count) < 0.02, 40.0, 0.0)
    return [float(delay) for delay in 5 + rng.exponential(2.0, count) + slow]


def errors_ms(clock: CameraClock, camera_from_true_ns: Callable[[int], int], count: int, start: int = 0) -> list[float]:
    """Capture time less the truth, frame by frame, where the camera's clock is a function of the true one."""
    found = []
    for number, delay_ms in enumerate(delays_ms(3, count), start):
        true_ns = 50 * 10**9 + number * PERIOD_NS
        camera_ns = camera_from_true_ns(true_ns)
        found.append((clock.capture_ns(camera_ns, true_ns + round(delay_ms * MS)) - true_ns) / MS)
    return found


def test_jitter_of_transport_is_taken_out() -> None:
    errors = errors_ms(CameraClock(), lambda true_ns: true_ns - 7 * 10**9, 600)

    assert max(errors[60:]) < 6 and min(errors) >= 5 - 0.001  # ms; what is left is the least delay


def test_a_clock_that_drifts_is_followed() -> None:
    errors = errors_ms(CameraClock(), lambda true_ns: round(true_ns * 1.0002), 60 * 120)

    assert max(errors[60:]) < 6.5 and min(errors) > 4  # ms, over two minutes in which the clock gains 24 ms


def test_a_clock_step_is_detected_within_a_few_frames() -> None:
    for step_ns in (-10 * 10**9, 10 * 10**9, -(2**32) * 1000):
        clock = CameraClock()
        errors_ms(clock, lambda true_ns: true_ns, 120)

        after = errors_ms(clock, partial(add, step_ns), 120, start=120)

        right = [abs(error - 5) < 15 for error in after]
        assert not any(right[: STEADY_FRAMES - 1]) and all(right[2 * STEADY_FRAMES :])


def test_delayed_frames_keep_the_time_they_were_taken() -> None:
    clock = CameraClock()
    errors_ms(clock, lambda true_ns: true_ns, 120)
    release_ns = 50 * 10**9 + 180 * PERIOD_NS

    # For a second nothing arrives, then everything at once.
    held = [
        clock.capture_ns(50 * 10**9 + number * PERIOD_NS, release_ns + (number - 120) * MS)
        for number in range(120, 180)
    ]

    truth = [50 * 10**9 + number * PERIOD_NS for number in range(120, 180)]
    assert max(abs(found - true_ns) for found, true_ns in zip(held, truth, strict=True)) < 6 * MS
