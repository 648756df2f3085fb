"""Backbones by name: the layouts that come with HandMap Edge, and what a layout of one's own has to give.

How a name leads to a layout is in `named_parts`; the stages and heads over it are in `network` and `heads`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeAlias

from torch import nn

from .blocks import BasicResidual, FactorisedResidual, Hourglass, conv_norm_relu, conv_pool
from .heads import LIGHT_WIDTH, light_layers, paper_layers

Builder: TypeAlias = Callable[[int], nn.Module]


def _light_width(features: int) -> int:
    return LIGHT_WIDTH


@dataclass(frozen=True)
class Layout:
    """A backbone as builders of its parts, each called with the width F, which is `features` in the configuration.

    stem: depth (N, 1, 128, 128), in [-1, 1] with background +1, to features (N, F, 32, 32).
    body: features (N, F, 32, 32) to the same shape. Called once per stage; the stage adds the result to its input.
    layers, width: for the head `fully_connected` only, features to (N, width(F), 1, 1).
    """

    stem: Builder
    body: Builder
    layers: Builder = light_layers
    width: Callable[[int], int] = _light_width


def _light_stem(features: int) -> nn.Module:
    return nn.Sequential(conv_norm_relu(1, 16, 5, stride=2), conv_norm_relu(16, features, 3, stride=2))


def _paper_stem(features: int) -> nn.Module:
    return nn.Sequential(
        conv_norm_relu(1, 8, 3), conv_pool(8), conv_pool(16), FactorisedResidual(32), conv_norm_relu(32, features, 1)
    )


LAYOUTS: Final[Mapping[str, Layout]] = MappingProxyType(
    {
        "shipped": Layout(_light_stem, BasicResidual),
        "paper": Layout(_paper_stem, FactorisedResidual, paper_layers, lambda features: 32 * features),
        "hourglass": Layout(_light_stem, lambda features: Hourglass(features, 2)),
    }
)
