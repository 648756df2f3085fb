"""Builds the parts of a network and checks the shapes that they give, so that a part of one's own fails with a sentence at the start."""

from collections.abc import Callable
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn

from handmap.types.errors import ConfigError
from handmap.types.joints import JOINT_COUNT
from handmap.types.values import CROP_PX, GUIDANCE_PX

from .heads import Head
from .layouts import Builder

ResultT = TypeVar("ResultT")
SHOWN = 2  # crops, so that a part that merges them gives another shape


class Parts(Protocol):
    """What the check wants to know of a network's configuration."""

    @property
    def layout(self) -> str: ...
    @property
    def head(self) -> str: ...
    @property
    def features(self) -> int: ...


def build(builder: Builder, features: int, part: str) -> nn.Module:
    """The module that a builder makes for this width; `part` names it in errors.

    Raises ConfigError if it makes none.
    """
    try:
        built: object = builder(features)
    except Exception as error:  # code of somebody else's can raise anything
        raise ConfigError(
            f"{part} cannot be made for {features} features ({type(error).__name__}: {error}); correct it, or change `features`"
        ) from error
    if not isinstance(built, nn.Module):
        raise ConfigError(f"{part} is {built!r:.80}, wanted a torch.nn.Module; correct what makes it")
    return built


@torch.no_grad()
def check_parts(stem: nn.Module, body: nn.Module, head: Head, config: Parts) -> None:
    """Runs each part once, in evaluation mode.

    Raises ConfigError if one fails or gives another shape than it has to.
    """
    layout = f"layout {config.layout!r}"
    wanted = (SHOWN, config.features, GUIDANCE_PX, GUIDANCE_PX)
    crops, features = torch.ones(SHOWN, 1, CROP_PX, CROP_PX), torch.ones(wanted)
    _check_shape(_run(stem, stem, crops, f"{layout}: its stem"), wanted, f"{layout}: its stem, given {_shape(crops)},")
    _check_shape(
        _run(body, body, features, f"{layout}: its body"), wanted, f"{layout}: its body, given {_shape(features)},"
    )
    _check_head(head, features, f"head {config.head!r}")


def _check_head(head: Head, features: Tensor, part: str) -> None:
    missing = [name for name in ("embed", "estimate") if not callable(getattr(head, name, None))]
    if missing:
        raise ConfigError(f"{part} has no method `{missing[0]}`; add it (handmap.training.Head says what it does)")
    assert isinstance(head, nn.Module)
    embedding = _run(head, head.embed, features, f"{part}: `embed`")
    estimate = _run(head, head.estimate, embedding, f"{part}: `estimate`")
    if not hasattr(estimate, "joints") or not hasattr(estimate, "votes"):
        raise ConfigError(f"{part}: `estimate` gives {type(estimate).__name__}, wanted a handmap.training.Estimate")
    _check_shape(estimate.joints, (SHOWN, JOINT_COUNT, 3), f"{part}: the joints of `estimate`")
    if estimate.votes is not None:
        xyz, weight = estimate.votes
        _check_shape(xyz, (SHOWN, JOINT_COUNT, 3, weight.shape[-1]), f"{part}: the votes of `estimate`")
        _check_shape(weight, (SHOWN, JOINT_COUNT, weight.shape[-1]), f"{part}: the weights of its votes")


def _run(module: nn.Module, method: Callable[[Tensor], ResultT], given: Tensor, part: str) -> ResultT:
    was_training = module.training
    module.eval()
    try:
        return method(given)
    except Exception as error:  # code of somebody else's can raise anything
        said = " ".join(str(error).split())
        raise ConfigError(
            f"{part} fails on {_shape(given)} ({type(error).__name__}: {said}); correct it, or change `features`"
        ) from error
    finally:
        module.train(was_training)


def _check_shape(found: object, wanted: tuple[int, ...], what: str) -> None:
    shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
    if shape != wanted:
        raise ConfigError(f"{what} gives {shape}, wanted {wanted}; correct it, or change `features`")


def _shape(given: Tensor) -> str:
    return str(tuple(given.shape))
