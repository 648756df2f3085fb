import numpy as np
import numpy.testing as npt
import pytest

from clients.osc import osc_bundle, osc_message
from clients.vmc import vmc_datagrams
from tests.support.adapter_checks import check_vmc_hand, osc_messages
from tests.support.wire_hands import golden_row, golden_rows, moment, seen


def test_osc_is_encoded_as_its_specification_shows() -> None:
    """The example of the OSC 1.0 specification."""
    found = osc_message("/foo", 1000, -1, "hello", 1.234, 5.678)

    wanted = "2f666f6f 00000000 2c696973 66660000 000003e8 ffffffff 68656c6c 6f000000 3f9df3b6 40b5b22d"
    assert found == bytes.fromhex(wanted)
    assert osc_bundle([found])[:20] == b"#bundle\0" + bytes(7) + b"\1" + bytes(3) + b"\x28"


@pytest.mark.parametrize("pose", ["zero", "low_limits", "high_limits", "natural", "fist", "pointing"])
def test_an_avatar_moved_by_the_messages_has_the_joints_of_the_hand(pose: str) -> None:
    for turn in ("upright", "back", "edge", "forward", "tilted"):
        left, right = golden_row(pose, turn, "left"), golden_row(pose, turn, "right")

        status, *hands = vmc_datagrams(moment(seen(left), seen(right)))

        assert osc_messages(status) == [("/VMC/Ext/OK", [1, 3, 0, 1]), ("/VMC/Ext/T", [5.0])]
        check_vmc_hand(osc_messages(hands[0]), left)
        check_vmc_hand(osc_messages(hands[1]), right)


def test_a_hand_in_zero_pose_leaves_the_avatar_in_t_pose() -> None:
    _, left, right = vmc_datagrams(moment(*(seen(golden_row("zero", "tilted", side)) for side in ("left", "right"))))

    for _, values in [*osc_messages(left)[1:], *osc_messages(right)[1:]]:
        npt.assert_allclose(values[4:], [0, 0, 0, 1], atol=2e-4)


def test_fists_turn_about_z_in_opposite_directions() -> None:
    """In T-pose, palms down, a left finger bends by turning about z and a right one about -z."""
    _, left, right = vmc_datagrams(moment(*(seen(golden_row("fist", "back", side)) for side in ("left", "right"))))
    bent = {values[0]: np.array(values[4:]) for _, values in [*osc_messages(left), *osc_messages(right)]}

    assert bent["LeftMiddleIntermediate"][2] == pytest.approx(np.sin(np.radians(95 / 2)), abs=0.02)
    assert bent["RightMiddleIntermediate"][2] == pytest.approx(-np.sin(np.radians(95 / 2)), abs=0.02)


def test_a_held_hand_is_repeated_as_not_tracked_and_a_lost_one_is_not_sent() -> None:
    row = golden_row("natural", "tilted", "left")

    held = vmc_datagrams(moment(seen(row, is_live=False)))
    lost = vmc_datagrams(moment())

    assert osc_messages(held[0])[0] == ("/VMC/Ext/OK", [1, 3, 0, 0]) and len(held) == 2
    assert osc_messages(lost[0])[0] == ("/VMC/Ext/OK", [0, 3, 0, 0]) and len(lost) == 1


def test_a_hand_without_a_skeleton_is_not_sent() -> None:
    assert len(vmc_datagrams(moment(seen(golden_row("zero", "back", "left"), has_skeleton=False)))) == 1


def test_no_datagram_is_fragmented() -> None:
    for row in golden_rows():
        assert all(len(one) <= 1472 for one in vmc_datagrams(moment(seen(row))))
