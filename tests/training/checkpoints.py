"""Compares what two runs have left."""

from pathlib import Path

import torch

from training.trainer.checkpoint import LAST, read_checkpoint


def assert_same_run(first: Path, second: Path) -> None:
    """Refuses two folders of runs whose last checkpoints differ in any bit, but for their settings and the time that they took."""
    one, other = (read_checkpoint(folder / LAST)._asdict() for folder in (first, second))
    for name in one.keys() - {"identity", "elapsed_s"}:
        assert_same(one[name], other[name], name)


def assert_same(one: object, other: object, name: str) -> None:
    """Goes through dicts, lists and tuples down to tensors and plain values."""
    if isinstance(one, dict) and isinstance(other, dict):
        assert one.keys() == other.keys(), name
        for key, value in one.items():
            assert_same(value, other[key], f"{name}.{key}")
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
        assert len(one) == len(other), name
        for index, value in enumerate(one):
            assert_same(value, other[index], f"{name}.{index}")
    elif isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        assert torch.equal(one, other), name
    else:
        assert one == other, name
