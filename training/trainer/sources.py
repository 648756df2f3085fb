"""The sources of a training run: rendered hands, data sets and labeled recordings, mixed by weight in every batch."""

from collections.abc import Callable, Sequence
from typing import Annotated, Final

import msgspec

from ..samples.source_mix import Hands, LabeledSource, SourceMix

SYNTHETIC: Final = "synthetic"


class SourceConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A source of samples and its weight against the others: `synthetic` for hands rendered on the way, else the name of a data
    set or the path of a labeled recording, as for `handmap evaluate --data`."""

    data: str
    weight: Annotated[float, msgspec.Meta(gt=0, le=1e6)] = 1.0


def check_sources(sources: Sequence[SourceConfig]) -> None:
    """Raises ValueError if one of them is named twice."""
    names = [source.data for source in sources]
    if len(set(names)) < len(names):
        raise ValueError(f"sources: found {names} with one of them twice; give it once, with a higher weight")


def labeled_of(sources: Sequence[SourceConfig]) -> tuple[SourceConfig, ...]:
    """Those that are data sets or recordings."""
    return tuple(source for source in sources if source.data != SYNTHETIC)


def renders(sources: Sequence[SourceConfig]) -> bool:
    """Whether rendered hands are among them; they are if nothing is named."""
    return not sources or any(source.data == SYNTHETIC for source in sources)


def mix_sources(
    sources: Sequence[SourceConfig], open_hands: Callable[[str], Hands], batch_samples: int, seed: int
) -> SourceMix[Hands]:
    """The labeled ones of the sources, each opened by its name, with its share of every batch."""
    total = sum(source.weight for source in sources)
    mixed = [LabeledSource(open_hands(source.data), source.weight / total) for source in labeled_of(sources)]
    return SourceMix(mixed, batch_samples, seed)
