"""The loss on bone lengths, against figures that can be worked out by hand."""

import pytest
import torch
from torch import Tensor

from handmap.types.joints import BONES, HAND21
from training.network.network import HandMap, NetworkConfig
from training.trainer.optimize import Trainee, bone_loss
from training.trainer.train_config import TrainConfig, identity_of

KNEE = 0.04
TIP, BEFORE_TIP = HAND21.index("index_tip"), HAND21.index("index_dip")


def labeled_hands(count: int = 1) -> Tensor:
    """Joints (N, 21, 3) of a hand whose bones are all 0.1 long, along x."""
    joints = torch.zeros(count, 21, 3)
    for parent, child in BONES:
        joints[:, child] = joints[:, parent] + torch.tensor([0.1, 0, 0])
    return joints


def with_longer_tip(by: float) -> Tensor:
    joints = labeled_hands()
    joints[:, TIP, 0] += by
    return joints.requires_grad_()


@pytest.mark.parametrize(
    ("by", "loss", "slope"),
    [
        (0.02, 0.02**2 / (2 * KNEE) / 20, 0.02 / KNEE / 20),
        (-0.02, 0.02**2 / (2 * KNEE) / 20, -0.02 / KNEE / 20),
        (0.1, (0.1 - KNEE / 2) / 20, 1 / 20),
    ],
)
def test_one_bone_of_twenty_has_the_value_and_the_slope_of_its_length(by: float, loss: float, slope: float) -> None:
    joints = with_longer_tip(by)

    found = bone_loss(joints, labeled_hands(), KNEE)
    found.backward()  # type: ignore[no-untyped-call]  # torch stubs

    assert found.item() == pytest.approx(loss, rel=1e-4)
    expected = torch.zeros(1, 21, 3)
    expected[0, TIP, 0], expected[0, BEFORE_TIP, 0] = slope, -slope
    torch.testing.assert_close(joints.grad, expected, atol=1e-6, rtol=1e-4)


def test_the_loss_is_a_mean_over_samples() -> None:
    joints = torch.cat([with_longer_tip(0.1), labeled_hands()])

    assert bone_loss(joints, labeled_hands(2), KNEE).item() == pytest.approx(0.08 / 20 / 2, rel=1e-4)


def test_where_a_hand_is_and_how_it_is_turned_cost_nothing() -> None:
    turned = labeled_hands()[..., [1, 2, 0]] + 0.3

    assert bone_loss(turned, labeled_hands(), KNEE).item() == pytest.approx(0, abs=1e-9)


def test_bones_with_an_unlabeled_end_are_left_out() -> None:
    joints, labeled = with_longer_tip(0.1), labeled_hands()
    labeled[0, BEFORE_TIP] = torch.nan  # the end of two bones
    with torch.no_grad():
        joints[0, HAND21.index("little_tip"), 0] += 0.02

    found = bone_loss(joints, labeled, KNEE)
    found.backward()  # type: ignore[no-untyped-call]  # torch stubs

    assert found.item() == pytest.approx(0.005 / 20, rel=1e-4)
    assert joints.grad is not None and not joints.grad[0, [TIP, BEFORE_TIP, BEFORE_TIP - 1]].any()
    assert joints.grad[0, HAND21.index("little_tip"), 0] == pytest.approx(0.025, rel=1e-4)


def test_joints_in_one_place_have_a_finite_gradient() -> None:
    joints = torch.zeros(1, 21, 3, requires_grad=True)

    bone_loss(joints, labeled_hands(), KNEE).backward()  # type: ignore[no-untyped-call]  # torch stubs

    assert joints.grad is not None and torch.isfinite(joints.grad).all()


@pytest.mark.parametrize("head", ["votes", "fully_connected"])
def test_the_weight_adds_its_share_and_zero_adds_nothing(head: str) -> None:
    torch.manual_seed(3)
    plain = TrainConfig(total_samples=1, network=NetworkConfig(features=16, head=head))
    weighted = TrainConfig(total_samples=1, bone_weight=2.5, network=plain.network)
    network = HandMap(plain.network).eval()
    batch = torch.rand(2, 1, 128, 128) * 2 - 1, labeled_hands(2), torch.rand(2, 21, 32, 32)

    without, with_bones = Trainee(network, plain)(*batch), Trainee(network, weighted)(*batch)

    assert set(without.terms) == {"pose", "maps"}
    assert torch.equal(without.total, without.pose + plain.map_weight * without.maps)
    assert (without.pose, without.maps) == (with_bones.pose, with_bones.maps)
    assert with_bones.bones > 0
    torch.testing.assert_close(with_bones.total, without.total + 2.5 * with_bones.bones)


def test_a_run_without_the_loss_has_the_identity_of_one_before_there_was_any() -> None:
    """So that its checkpoints can be resumed."""
    assert "bone_weight" not in identity_of(TrainConfig(total_samples=1))
    assert identity_of(TrainConfig(total_samples=1, bone_weight=0.5))["bone_weight"] == 0.5
