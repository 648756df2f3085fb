"""The random streams of everything that is drawn: each has a domain of its own, so that no two share their draws.

A generator is made as `np.random.default_rng([SeedDomain.X, seed])`. The numbers of fixed sets never change: what they hold is
hashed, or is what published figures are about.
"""

from enum import IntEnum


class SeedDomain(IntEnum):
    """The first number of a seed."""

    VALIDATION = 3  # synthetic:val, fixed
    CALIBRATION = 4  # synthetic:calib, fixed
    MOTION = 5  # `handmap synthesize`, the demo recording
    TWO_HANDS = 41  # the two-hand sequences, fixed
    SMOOTHING = 43  # docs/measured/smoothing.py
    SKELETON = 44  # docs/measured/skeleton.py
    PALM_TRAINING = 64  # palm samples are kept on disk: a new number with every change of what is rendered
    PALM_VALIDATION = 65
    TRAINING = 66
    HARD = 71  # synthetic:hard, fixed
    TUNE = 72  # synthetic:tune, fixed
    OTHER_CAMERA = 73  # docs/measured/other_camera.py
