"""Draws body shapes of older children and adults from MakeHuman's shape targets, as far as they change hand and forearm."""

from itertools import product

import numpy as np

from handmap.types.arrays import Float32, Float64

from .makehuman import BodyArchive

SEED = 20180908  # ECCV 2018
GENDERS = ("female", "male")
ETHNIC = ("african", "asian", "caucasian")
AGES = ("child", "young", "old")
LEVELS = ("min", "average", "max")
LOCAL = (  # targets that come as a decr/incr pair, with the standard deviation of their strength
    ("hands/r-hand-fingers-length", 0.15),
    ("hands/r-hand-fingers-diameter", 0.4),
    ("hands/r-hand-fingers-distance", 0.4),
    ("hands/r-hand-scale", 0.12),
    ("hands/measure-wrist-circ", 0.4),
    ("arms/r-lowerarm-fat", 0.4),
    ("arms/r-lowerarm-muscle", 0.4),
    ("arms/r-lowerarm-scale-depth", 0.3),
    ("arms/r-lowerarm-scale-horiz", 0.3),
)


def draw_shapes(archive: BodyArchive, vertices: Float64, count: int) -> Float32:
    """Body vertices (count, V, 3) of random people in the mesh file's own units."""
    random = np.random.default_rng(SEED)
    strengths = [_draw_strengths(random) for _ in range(count)]
    names = sorted({name for drawn in strengths for name in drawn})
    shapes = np.repeat(vertices[None], count, axis=0).astype(np.float32)
    for name in names:
        offsets = archive.read_target(name, len(vertices)).astype(np.float32)
        touched = np.flatnonzero(offsets.any(axis=1))
        strength = np.array([drawn.get(name, 0.0) for drawn in strengths], np.float32)
        shapes[:, touched] += strength[:, None, None] * offsets[touched]
    return shapes


def _draw_strengths(random: np.random.Generator) -> dict[str, float]:
    """Strength of every target that one random person needs."""
    male = random.uniform()
    gender = dict(zip(GENDERS, (1 - male, male), strict=True))
    age = _draw_age(random)
    ethnic = dict(zip(ETHNIC, random.dirichlet((1.0, 1.0, 1.0)), strict=True))
    muscle, weight = (_split(float(np.clip(random.normal(0, 0.5), -1, 1))) for _ in range(2))
    height = float(np.clip(random.normal(0, 0.2), -1, 1))
    strengths: dict[str, float] = {}
    for sex, years in product(GENDERS, AGES):
        share = gender[sex] * age[years]
        for origin in ETHNIC:
            strengths[f"macrodetails/{origin}-{sex}-{years}"] = share * float(ethnic[origin])
        for strong, heavy in product(LEVELS, LEVELS):
            name = f"macrodetails/universal-{sex}-{years}-{strong}muscle-{heavy}weight"
            strengths[name] = share * muscle[strong] * weight[heavy]
        tall = "max" if height > 0 else "min"
        strengths[f"macrodetails/height/{sex}-{years}-averagemuscle-averageweight-{tall}height"] = share * abs(height)
    for name, spread in LOCAL:
        amount = float(np.clip(random.normal(0, spread), -1, 1))
        strengths[f"{name}-{'incr' if amount > 0 else 'decr'}"] = abs(amount)
    return {name: strength for name, strength in strengths.items() if strength > 0}


def _draw_age(random: np.random.Generator) -> dict[str, float]:
    """Three quarters adults between young and old; the rest from about thirteen years to grown up."""
    if random.uniform() < 0.25:
        grown = random.uniform(0.3, 1.0)
        return {"child": 1 - grown, "young": grown, "old": 0.0}
    old = random.uniform() ** 1.5
    return {"child": 0.0, "young": 1 - old, "old": old}


def _split(amount: float) -> dict[str, float]:
    """Shares of minimum, average and maximum for an amount in [-1, 1]."""
    return {"min": max(-amount, 0.0), "average": 1 - abs(amount), "max": max(amount, 0.0)}
