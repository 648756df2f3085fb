"""The network family: shapes, the baseline, other backbones, its cost, and what export needs of it."""

import pytest
import torch
from torch import nn

from training.network.blocks import Hourglass
from training.network.heads import VotingHead
from training.network.network import (
    GUIDANCE_CHANNELS,
    PAPER,
    SHIPPED,
    GuidanceStage,
    HandMap,
    NetworkConfig,
    measure_size,
)


@pytest.fixture
def depth() -> torch.Tensor:
    return torch.rand(2, 1, 128, 128, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("head", ["votes", "fully_connected"])
@pytest.mark.parametrize("layout", ["shipped", "paper", "hourglass"])
def test_any_body_goes_with_any_head(layout: str, head: str, depth: torch.Tensor) -> None:
    network = HandMap(NetworkConfig(layout=layout, head=head)).eval()

    outputs = network(depth)

    assert {name: tuple(value.shape) for name, value in outputs.items()} == {
        "joints": (2, 21, 3),
        "guidance": (2, 21, 32, 32),
        **({"spread": (2, 21, 3)} if head == "votes" else {}),
    }


def test_joints_are_the_mean_of_the_votes_and_the_spread_their_deviation(depth: torch.Tensor) -> None:
    network = HandMap(SHIPPED).eval()
    assert isinstance(network.head, VotingHead)
    nn.init.normal_(network.head.score.weight)

    outputs = network(depth)
    votes = network.head.estimate(network.describe(depth).embedding).votes

    assert votes is not None
    xyz, weight = votes.xyz.double(), votes.weight.double()[:, :, None]
    mean = (xyz * weight).sum(3)
    torch.testing.assert_close(outputs["joints"].double(), mean, atol=1e-5, rtol=0)
    deviation = ((xyz - mean[..., None]).square() * weight).sum(3).sqrt()
    torch.testing.assert_close(outputs["spread"].double(), deviation, atol=1e-5, rtol=1e-4)


def test_a_vote_without_offset_is_the_middle_of_its_cell() -> None:
    head = VotingHead(32).eval()
    for weights in (*head.offset.parameters(), *head.score.parameters()):
        nn.init.zeros_(weights)

    estimate = head.estimate(torch.randn(1, 64, 16, 16))

    assert estimate.votes is not None
    assert estimate.votes.xyz[0, 5, :, 16 * 2 + 15].tolist() == [1 - 1 / 16, 5 / 16 - 1, 0]  # row 2, column 15
    torch.testing.assert_close(estimate.joints, torch.zeros(1, 21, 3), atol=1e-6, rtol=0)


def test_weights_that_do_not_name_their_head_are_taken(depth: torch.Tensor) -> None:
    network, again = HandMap(SHIPPED).eval(), HandMap(SHIPPED).eval()
    flat = {name.removeprefix("head."): value for name, value in network.state_dict().items()}

    again.load_state_dict(flat)

    torch.testing.assert_close(again(depth)["joints"], network(depth)["joints"])


def test_dropout_without_a_head_that_has_it_is_refused() -> None:
    with pytest.raises(ValueError, match="dropout is the fully connected head's"):
        NetworkConfig(dropout=0.5)


def test_guidance_is_the_last_stages_maps(depth: torch.Tensor) -> None:
    network = HandMap(SHIPPED).eval()

    stage_maps = network.describe(depth).stage_maps

    assert len(stage_maps) == 2
    torch.testing.assert_close(network(depth)["guidance"], stage_maps[-1])


@pytest.mark.parametrize("kind", list(GUIDANCE_CHANNELS))
def test_every_guidance_kind_has_a_network(kind: str, depth: torch.Tensor) -> None:
    network = HandMap(NetworkConfig(guidance=kind)).eval()  # type: ignore[arg-type]  # the keys are the kinds

    described, outputs = network.describe(depth), network(depth)

    assert described.stage_maps[0].shape[1] == GUIDANCE_CHANNELS[kind]  # type: ignore[index]
    assert outputs["guidance"].shape == (2, 21, 32, 32)


def test_without_guidance_the_backbone_is_the_same_and_no_maps_come_out(depth: torch.Tensor) -> None:
    baseline, guided = HandMap(NetworkConfig(guidance=None)).eval(), HandMap(SHIPPED)

    outputs = baseline(depth)

    assert list(outputs) == ["joints", "spread"]
    extra = guided.state_dict().keys() - baseline.state_dict().keys()
    assert baseline.state_dict().keys() <= guided.state_dict().keys()
    assert all(".to_maps." in name or ".lift." in name for name in extra)


def test_a_guidance_stage_plugs_onto_an_hourglass() -> None:
    stage = GuidanceStage(Hourglass(32, 2), 32, 21)
    features = torch.randn(2, 32, 32, 32)

    onward, maps = stage(features)
    maps.square().mean().backward()

    assert onward.shape == features.shape and maps.shape == (2, 21, 32, 32)
    assert all(weight.grad is not None for weight in stage.body.parameters())


def test_the_paper_layout_has_the_papers_cost_and_the_shipped_one_a_quarter_of_its_weights() -> None:
    paper, shipped = measure_size(HandMap(PAPER)), measure_size(HandMap(SHIPPED))

    # 3.751 M and 131 M in the original, whose batch norms have no scale.
    assert paper.parameters == pytest.approx(3.751e6, rel=0.002)
    assert paper.multiply_adds == pytest.approx(131e6, rel=0.01)
    assert shipped.parameters == 890_222 and shipped.multiply_adds == pytest.approx(133.7e6, rel=0.001)


def test_only_operations_that_fuse_in_a_runtime_are_used() -> None:
    allowed = (nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d, nn.Linear, nn.Flatten, nn.Dropout)

    leaves = [layer for layer in HandMap(SHIPPED).modules() if not list(layer.children())]

    assert all(isinstance(layer, allowed) for layer in leaves)
