"""The reader of the ICVL set: blank lines, joints from the centers of phalanges, and faults of its files."""

from pathlib import Path

import numpy as np
import numpy.testing as npt
import pytest

from handmap.types.errors import DatasetError
from handmap.types.joints import HAND21
from tests.support.public_sets import FRAMES, icvl_hands, icvl_joints, write_icvl
from training.datasets.icvl import FACTS, WEIGHTS, IcvlFrames, open_icvl
from training.datasets.public_set import PublicSet
from training.hand.hand_model import load_hand_asset, shape_hand, train_coefficients
from training.hand.poses import sample_any_pose

TEST = Path("Testing", "test_seq_1.txt")
HANDS = 400


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_icvl(tmp_path / "icvl")


def test_its_own_joints_are_the_published_ones(folder: Path) -> None:
    data = open_icvl(str(folder))
    assert isinstance(data, PublicSet) and isinstance(data.frames, IcvlFrames)
    for index, hand in enumerate(icvl_hands()):
        npt.assert_allclose(data.frames[index].joints_mm, icvl_joints(hand.joints_mm), atol=0.01)


def test_both_test_sequences_are_read_in_their_order_and_blank_lines_passed_over(folder: Path) -> None:
    assert (folder / TEST).read_text().endswith("\n\n")
    lines = [line.split()[0] for line in (folder / "Training" / "labels.txt").read_text().splitlines() if line.strip()]
    assert len(open_icvl(str(folder))) == FRAMES == len(lines)
    assert len(open_icvl(f"{folder},split=train")) == FRAMES


def test_computed_joints_are_as_far_off_as_the_doubt_says() -> None:
    asset, random = load_hand_asset(), np.random.default_rng(3)
    away: dict[str, list[float]] = {"thumb": [], "finger": []}
    for _ in range(HANDS):
        shape = shape_hand(asset, train_coefficients(asset, random))
        joints = sample_any_pose(asset, shape.anchors_mm, random)[1].joints_mm
        own = icvl_joints(joints)
        for name, parts in FACTS.hand21.items():
            computed = sum(weight * own[place] for place, weight in parts.items())
            group = "thumb" if name.startswith("thumb") else "finger"
            away[group].append(float(np.linalg.norm(computed - joints[HAND21.index(name)])))

    for group, joint in (("thumb", "thumb_ip"), ("finger", "index_pip")):
        off = np.array(away[group])
        assert np.sqrt((off**2).mean()) == pytest.approx(FACTS.doubt_mm[joint], rel=0.1)
        assert np.percentile(off, 95) < 5


def test_weights_move_with_the_hand() -> None:
    assert [sum(weights) for joints in WEIGHTS.values() for weights in joints.values()] == pytest.approx([1.0] * 15)


def in_meters(words: list[str]) -> list[str]:
    return [word if place % 3 or not place else str(float(word) / 1000) for place, word in enumerate(words)]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda words: words[:-1], "line 1: found 47 numbers, wanted an image and 48 numbers"),
        (lambda words: [*words[:5], "nan", *words[6:]], "line 1: found a number that is not finite"),
        (lambda words: [*words[:5], "l60.2", *words[6:]], "line 1: found 'l60.2' among the numbers"),
        (
            lambda words: [*words[:3], "0.0", *words[4:]],
            "line 1: found palm at a depth of 0 mm, .* wanted depths in mm; unp",
        ),
        (lambda words: [*words[:1], "1e39", *words[2:]], "line 1: found the number 1e39, which is beyond 100000"),
        (
            lambda words: in_meters(words),
            r"line 1: found \w+ at a depth of 0.3\d+ mm .* meters, .*; multiply the depths by 1000$",
        ),
        (
            lambda words: ["none.png", *words[1:]],
            r"line 1 of .*: its image '.*Depth/none.png' is not there; .*, or take its label out",
        ),
    ],
)
def test_a_fault_is_named_with_its_line(folder: Path, change: object, found: str) -> None:
    assert callable(change)
    words = (folder / TEST).read_text().split()
    (folder / TEST).write_text(" ".join(change(words)) + "\n")
    with pytest.raises(DatasetError, match=found) as error:
        next(iter(open_icvl(str(folder))))
    assert str(folder / TEST) in str(error.value)


def test_a_file_without_lines_is_refused(folder: Path) -> None:
    (folder / TEST).write_text("\n\n")
    with pytest.raises(DatasetError, match=r"test_seq_1.txt': found no line; name a folder with"):
        open_icvl(str(folder))


def test_an_image_that_is_labeled_twice_is_refused_even_in_another_file(folder: Path) -> None:
    line = (folder / TEST).read_text().splitlines()[0]
    second = folder / "Testing" / "test_seq_2.txt"
    second.write_text(second.read_text() + f"\n{line}\n")
    found = rf"test_seq_2.txt', line 5: found '201403121135/image_0000.png' again, .* label of line 1 of '.*{TEST}'"
    with pytest.raises(DatasetError, match=found):
        open_icvl(str(folder))
