"""The HandMap network family: stem, residual stages with plug-in guidance maps (GMS), and a head; one module, several layouts.

Input is depth (N, 1, 128, 128) in [-1, 1] with background +1; joints come out in half cube sides about the cube's center.
What the maps should show is in `guidance`; the backbones are in `layouts`, their layers in `blocks`, the heads in `heads`.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

import msgspec
import torch
from torch import Tensor, nn

from handmap.types.joints import JOINT_COUNT

from .blocks import conv_norm_relu
from .built_parts import build, check_parts
from .heads import HEADS, FullyConnectedHead, Head, VotingHead, spread_of
from .layouts import LAYOUTS, Layout
from .named_parts import find_head, find_layout, refuse_unknown

GuidanceKind: TypeAlias = Literal["heatmap", "dist2", "udir2", "edt2", "edt2m"]

# Maps that a stage predicts, by kind: udir2 adds a unit vector (x, y, z) to each joint's distance.
GUIDANCE_CHANNELS: dict[GuidanceKind, int] = {
    "heatmap": JOINT_COUNT,
    "dist2": JOINT_COUNT,
    "udir2": 4 * JOINT_COUNT,
    "edt2": JOINT_COUNT,
    "edt2m": JOINT_COUNT,
}


class NetworkConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which member of the family: the layout, the number of stages at 32x32, their width, what supervises them, and the head over them.

    layout and head are names of ours, names that an installed package registers, or import paths (`named_parts`).
    """

    layout: str = "shipped"
    stages: Annotated[int, msgspec.Meta(ge=1, le=16)] = 2
    features: Annotated[int, msgspec.Meta(ge=4, le=1024)] = 32
    guidance: GuidanceKind | None = "edt2m"
    head: str = "votes"
    dropout: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0  # of the fully connected head

    def __post_init__(self) -> None:
        refuse_unknown("layout", self.layout)
        refuse_unknown("head", self.head)
        if self.dropout and self.head != "fully_connected":
            raise ValueError(
                f"dropout is the fully connected head's, found {self.dropout} with head {self.head!r}; set it to 0"
            )


SHIPPED = NetworkConfig()
PAPER = NetworkConfig(layout="paper", head="fully_connected", dropout=0.5)


class Described(NamedTuple):
    """What training needs of one pass: the head's embedding, which joints are estimated from, and each stage's maps (N, K, 32, 32).

    features (N, C, 32, 32) are what the last stage hands on, with its maps: what else may be told of the hand is told from them.
    """

    embedding: Tensor
    stage_maps: tuple[Tensor, ...]
    features: Tensor


class GuidanceStage(nn.Module):
    """The dense guidance-map module (GMS) plugged on any body that keeps the shape (N, C, H, W) of its input.

    The maps are linear in the body's features, are supervised where they are, and are lifted back and added: x + body(x) + lift(maps).
    """

    def __init__(self, body: nn.Module, channels: int, map_count: int) -> None:
        super().__init__()
        self.body = body
        self.to_maps = nn.Conv2d(channels, map_count, 1)
        self.lift = conv_norm_relu(map_count, channels, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, C, H, W) for the next stage, and the maps (N, K, H, W) of this one."""
        features = self.body(x)
        maps = self.to_maps(features)
        return x + features + self.lift(maps), maps


class PlainStage(nn.Module):
    """The same stage without maps: the baseline on the same backbone."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        """Features (N, C, H, W) for the next stage, and no maps."""
        return x + self.body(x), None


class HandMap(nn.Module):
    """Depth crop to 21 joints and their guidance maps."""

    head: Head  # a module

    def __init__(self, config: NetworkConfig) -> None:
        """Builds the parts, checks their shapes, and initializes ours; parts of one's own keep the weights that they come with.

        Raises ConfigError if a part of one's own cannot be imported or built, or gives another shape.
        """
        super().__init__()
        layout = find_layout(config.layout)
        part = f"layout {config.layout!r}"
        self.config = config
        self.stem = build(layout.stem, config.features, f"{part}: its stem")
        bodies = [build(layout.body, config.features, f"{part}: its body") for _ in range(config.stages)]
        self.stages = nn.ModuleList(_stage(body, config) for body in bodies)
        head = _head(layout, config)
        self.add_module("head", head)
        self.register_load_state_dict_pre_hook(_name_head)  # type: ignore[no-untyped-call]  # torch stubs lack its types
        kept = [] if config.layout in LAYOUTS else [self.stem, *bodies]
        _initialize(self, [*kept, *([] if config.head in HEADS else [head])])
        check_parts(self.stem, bodies[0], self.head, config)

    def describe(self, depth: Tensor) -> Described:
        """Everything but the head's estimate, which training keeps in float32 while this runs in bfloat16."""
        x = self.stem(depth)  # (N, F, 32, 32)
        stage_maps: list[Tensor] = []
        for stage in self.stages:
            x, maps = stage(x)
            if maps is not None:
                stage_maps.append(maps)
        features = torch.cat([x, stage_maps[-1]], dim=1) if stage_maps else x
        return Described(self.head.embed(x), tuple(stage_maps), features)

    def outputs(self, described: Described) -> dict[str, Tensor]:
        """The deployed outputs: `joints` (N, 21, 3), and `guidance` (N, 21, 32, 32) and `spread` (N, 21, 3) of a network that has them.

        guidance are the last stage's maps, for udir2 its distances; joints and spread are in half cube sides.
        """
        estimate = self.head.estimate(described.embedding)
        outputs = {"joints": estimate.joints}
        if described.stage_maps:
            outputs["guidance"] = described.stage_maps[-1][:, :JOINT_COUNT]
        spread = spread_of(estimate)
        if spread is not None:
            outputs["spread"] = spread
        return outputs

    def forward(self, depth: Tensor) -> dict[str, Tensor]:
        """The outputs of depth (N, 1, 128, 128)."""
        return self.outputs(self.describe(depth))


class NetworkSize(NamedTuple):
    """What one pass of one crop costs."""

    parameters: int
    multiply_adds: int


def measure_size(network: nn.Module) -> NetworkSize:
    """Trainable parameters, and multiply-adds of all convolutions and linear layers for one 128x128 crop."""
    total = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        weight = layer.weight
        assert isinstance(weight, Tensor)
        # A transposed convolution applies its weights once per input pixel, the others once per output pixel.
        counted = inputs[0] if isinstance(layer, nn.ConvTranspose2d) else output
        pixels = counted[0, 0].numel() if counted.ndim == 4 else 1
        total += weight.numel() * pixels

    kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
    hooks = [layer.register_forward_hook(count) for layer in network.modules() if isinstance(layer, kinds)]
    was_training = network.training
    with torch.no_grad():
        network.eval()(torch.ones(1, 1, 128, 128))
    network.train(was_training)
    for hook in hooks:
        hook.remove()
    return NetworkSize(sum(weight.numel() for weight in network.parameters()), total)


def _head(layout: Layout, config: NetworkConfig) -> nn.Module:
    if config.head == "votes":
        return VotingHead(config.features)
    if config.head == "fully_connected":
        layers = build(layout.layers, config.features, f"layout {config.layout!r}: its layers")
        return FullyConnectedHead(layers, layout.width(config.features), config.dropout)
    return build(find_head(config.head), config.features, f"head {config.head!r}")


def _name_head(network: nn.Module, state: dict[str, Any], *_: object) -> None:
    """Accepts older weights, from before the head was a separate module, by adding its name."""
    own = {name.partition(".")[0] for name, _ in network.named_children()}
    for name in [name for name in state if name.partition(".")[0] not in own]:
        state[f"head.{name}"] = state.pop(name)


def _stage(body: nn.Module, config: NetworkConfig) -> nn.Module:
    if config.guidance is None:
        return PlainStage(body)
    return GuidanceStage(body, config.features, GUIDANCE_CHANNELS[config.guidance])


def _initialize(network: nn.Module, besides: Sequence[nn.Module]) -> None:
    """Draws the weights of all layers but those in the modules `besides`."""
    kept = {id(layer) for module in besides for layer in module.modules()}
    for layer in network.modules():
        if id(layer) in kept or not isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            continue
        if layer.bias is None:
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        else:
            # Linear outputs without a batch norm (maps, joints, the mix of a residual branch) start near zero.
            nn.init.xavier_uniform_(layer.weight, gain=0.1)
            nn.init.zeros_(layer.bias)
