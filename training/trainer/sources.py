"""The sources of a training run: rendered hands, data sets and labeled recordings, mixed by weight in every batch."""

from collections.abc import Callable, Sequence
from typing import Annotated, Final

import msgspec

from handmap.types.errors import DatasetError

from ..samples.named_data import NamedData, parse_name
from ..samples.source_mix import Hands, LabeledSource, SourceMix

SYNTHETIC: Final = "synthetic"


class SourceConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A source of samples and its weight against the others: `synthetic` for hands rendered on the way, else the name of a data
    set or the path of a labeled recording, as for `handmap evaluate --data`."""

    data: str
    weight: Annotated[float, msgspec.Meta(gt=0, le=1e6)] = 1.0


def check_sources(sources: Sequence[SourceConfig], validate_on: str | None = None) -> None:
    """Raises ValueError, with the place of the key, if a name is empty, data is named twice, or validation is on what is learned.

    Two spellings of a path are the same data. Read from a file, the sentence ends in advice, so it has none of its own.
    """
    seen: dict[NamedData, int] = {}
    for number, source in enumerate(sources):
        place = f"$.sources[{number}].data"
        first = seen.setdefault(_data_of(source.data, place), number)
        if first != number:
            raise ValueError(
                f"expected each source once, got that of sources[{first}] again, {source.data!r} - at `{place}`"
            )
    if validate_on is not None:
        place = "$.validate_on"
        first = seen.get(_data_of(validate_on, place), -1)
        if first >= 0:
            raise ValueError(
                f"expected data that no source trains on, got {validate_on!r} of sources[{first}] - at `{place}`"
            )


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


def _data_of(name: str, place: str) -> NamedData:
    """What two names of the same data have in common. Raises ValueError for an empty name."""
    if name == SYNTHETIC:
        return NamedData(SYNTHETIC, "", ())
    try:
        return parse_name(name).resolved
    except DatasetError as error:
        raise ValueError(f"expected the name of a data set with its path, got {name!r} - at `{place}`") from error
