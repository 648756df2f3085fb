import pytest

from clients.hts import hts_datagrams
from tests.support.adapter_checks import check_hts_hand, hts_lines
from tests.support.wire_hands import SAMPLE_NS, golden_row, golden_rows, moment, seen


@pytest.mark.parametrize("side", ["left", "right"])
def test_wrist_and_landmarks_together_are_the_joints(side: str) -> None:
    for row in golden_rows():
        if row["side"] != side:
            continue
        (datagram,) = hts_datagrams(moment(seen(row)), frame=41)

        lines = hts_lines(datagram)
        assert list(lines) == ["wrist", "landmarks"]
        assert lines["wrist"][1:3] == lines["landmarks"][1:3] == (41, SAMPLE_NS)
        numbers = lines["landmarks"][3]
        assert len(numbers) == 63 and len(lines["wrist"][3]) == 7
        points = [numbers[k : k + 3] for k in range(0, 63, 3)]
        check_hts_hand(lines["landmarks"][0], lines["wrist"][3], points, row)


def test_both_hands_are_two_datagrams_and_a_lost_one_is_none() -> None:
    left, right = (seen(golden_row("fist", "edge", side)) for side in ("left", "right"))

    both, one, none = (hts_datagrams(shown, 0) for shown in (moment(left, right), moment(right), moment()))

    assert [each.split()[0] for each in both] == [b"Left", b"Right"]
    assert [each.split()[0] for each in one] == [b"Right"]
    assert none == []


def test_a_hand_without_a_skeleton_is_not_sent() -> None:
    assert hts_datagrams(moment(seen(golden_row("fist", "edge", "left"), has_skeleton=False)), 0) == []


def test_no_datagram_is_fragmented() -> None:
    for row in golden_rows():
        assert all(len(one) <= 1472 for one in hts_datagrams(moment(seen(row)), 10**9))
