"""How labeled hands join rendered ones: shares that hold over steps, every hand once a round, the same for every resumed run."""

from collections import Counter

import numpy as np

from training.samples.labeled_hands import LabeledHands
from training.samples.sample_cache import RenderedHands
from training.samples.source_mix import LabeledSource, SourceMix, joined


def hands(count: int) -> LabeledHands:
    return LabeledHands(
        np.zeros((count, 160, 160), np.int16), np.zeros((count, 160, 20), np.uint8),
        np.zeros((count, 21, 3), np.float32), np.full((count, 21), 0.5, np.float32),
    )  # fmt: skip


def test_shares_hold() -> None:
    mix = SourceMix([LabeledSource(hands(50), 0.3), LabeledSource(hands(7), 0.13)], 32, 1)
    steps = range(1000)

    counts = np.array([[len(rows) for rows in mix.picks(step)] for step in steps])

    np.testing.assert_allclose(counts.sum(axis=0) / (32 * len(steps)), [0.3, 0.13], atol=1e-3)
    assert (counts.max(axis=0) - counts.min(axis=0) <= 2).all()


def test_without_rendered_hands_the_sources_fill_every_batch() -> None:
    thirds = [LabeledSource(hands(5), 1 / 3)] * 3

    assert all(sum(map(len, SourceMix(thirds, 16, 1).picks(step))) == 16 for step in range(3000))


def test_every_hand_comes_once_a_round_in_another_order() -> None:
    mix = SourceMix([LabeledSource(hands(30), 0.5)], 20, 3)

    rounds = [np.concatenate([mix.picks(step)[0] for step in range(start, start + 3)]) for start in (0, 3)]

    assert all(Counter(one.tolist()) == Counter(range(30)) for one in rounds)
    assert rounds[0].tolist() != rounds[1].tolist()
    assert [rows.tolist() for rows in mix.picks(4)] == [rows.tolist() for rows in mix.picks(4)]


def test_lots_without_weights_count_in_full() -> None:
    rendered = RenderedHands(
        np.zeros((2, 160, 160), np.int16), np.zeros((2, 160, 160), bool), np.zeros((2, 21, 3), np.float32)
    )

    together = joined([rendered, hands(3).read(np.array([0, 2]))])

    assert together.weight is not None and together.weight.tolist() == [[1.0] * 21] * 2 + [[0.5] * 21] * 2
    assert joined([rendered, rendered]).weight is None
