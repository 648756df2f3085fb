"""The network family: shapes, the baseline, other backbones, its cost, and what export needs of it."""

import pytest
import torch
from torch import nn

from training.blocks import Hourglass
from training.network import GUIDANCE_CHANNELS, PAPER, SHIPPED, GuidanceStage, HandMap, NetworkConfig, measure_size


@pytest.fixture
def depth() -> torch.Tensor:
    return torch.rand(2, 1, 128, 128, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize(
    "config", [SHIPPED, PAPER, NetworkConfig(layout="hourglass")], ids=lambda config: config.layout
)
def test_outputs_have_the_contract_shapes(config: NetworkConfig, depth: torch.Tensor) -> None:
    network = HandMap(config).eval()

    outputs = network(depth)

    assert {name: tuple(value.shape) for name, value in outputs.items()} == {
        "joints": (2, 21, 3),
        "guidance": (2, 21, 32, 32),
    }


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


def test_without_guidance_the_backbone_is_the_same_and_only_joints_come_out(depth: torch.Tensor) -> None:
    baseline, guided = HandMap(NetworkConfig(guidance=None)).eval(), HandMap(SHIPPED)

    outputs = baseline(depth)

    assert list(outputs) == ["joints"]
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


def test_the_paper_layout_has_the_papers_cost_and_the_shipped_one_is_lighter() -> None:
    paper, shipped = measure_size(HandMap(PAPER)), measure_size(HandMap(SHIPPED))

    # 3.751 M and 131 M in the original, whose batch norms have no scale.
    assert paper.parameters == pytest.approx(3.751e6, rel=0.002)
    assert paper.multiply_adds == pytest.approx(131e6, rel=0.01)
    assert 90e6 <= shipped.multiply_adds <= 110e6


def test_only_operations_that_fuse_in_a_runtime_are_used() -> None:
    allowed = (nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d, nn.Linear, nn.Flatten, nn.Dropout)

    leaves = [layer for layer in HandMap(SHIPPED).modules() if not list(layer.children())]

    assert all(isinstance(layer, allowed) for layer in leaves)
