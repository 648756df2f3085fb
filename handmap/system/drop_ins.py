"""Drop-ins: files in config.d that are merged over config.yaml, in the order of their names.

Sections are merged key by key; any other value, lists included, replaces the one below. So does a section of another `kind`.
"""

import errno
from pathlib import Path
from typing import Any, Final

from handmap.system.yaml_file import Document, Spot, read_document
from handmap.types.errors import ConfigError

SUFFIX: Final = ".yaml"
MISTAKEN: Final = (".yaml", ".yml")  # in capitals too: nobody who writes such a name wants the file to be passed over
MOST_DROP_INS: Final = 64
KIND: Final = "kind"  # the key that tells sections of different keys apart


def drop_in_folder(config: Path) -> Path:
    """The folder of a configuration's drop-ins: config.d beside config.yaml, left.d beside left.yaml."""
    return config.with_suffix(".d")


def find_drop_ins(config: Path) -> tuple[list[Path], list[Path]]:
    """The drop-ins of a configuration, sorted by name, and the other files in their folder, which are passed over.

    Raises ConfigError if the folder cannot be read, or if a file in it is named as if it were meant to be one.
    """
    folder = drop_in_folder(config)
    try:
        found = sorted(folder.iterdir(), key=lambda path: path.name.encode(errors="surrogateescape"))
    except OSError as error:
        if error.errno == errno.ENOENT and not folder.is_symlink():
            return [], []
        raise ConfigError(
            f"drop-ins of configuration {str(config)!r}: {str(folder)!r} cannot be listed ({error.strerror}), wanted a folder that "
            "this user can read; correct or remove it"
        ) from error
    used = [path for path in found if path.name.endswith(SUFFIX) and not path.name.startswith(".")]
    for path in found:
        if path not in used and path.name.lower().endswith(MISTAKEN) and not path.name.startswith("."):
            raise ConfigError(
                f"drop-in {str(path)!r}: only names that end in {SUFFIX} are read; rename it to {path.stem + SUFFIX!r}, or move it away"
            )
    if len(used) > MOST_DROP_INS:
        raise ConfigError(
            f"drop-ins of configuration {str(config)!r}: found {len(used)} in {str(folder)!r}, wanted at most {MOST_DROP_INS}; join some"
        )
    return used, [path for path in found if path not in used]


def read_layers(config: Path) -> Document:
    """A configuration with its drop-ins merged over it.

    Raises ConfigError if one of the files cannot be read, or is not a section of keys.
    """
    document = read_document(config)
    for path in find_drop_ins(config)[0]:
        above = read_document(path)
        if above.data is None:  # as with `---` and nothing after it
            continue
        if not isinstance(above.data, dict):
            raise ConfigError(
                f"configuration {str(path)!r}, line {above.spots['$'].line}: found {_kind_of(above.data)}, wanted the keys of a "
                "configuration, such as tracking: {max_hands: 2}; correct it"
            )
        document = _merged(document, above)
    return document


def _merged(below: Document, above: Document) -> Document:
    spots = dict(below.spots)
    # A first file that is no section is refused as a whole, with the sentence that it gets without drop-ins.
    is_section = isinstance(below.data, dict)
    data = _merge(below.data, above.data, "$", spots, above.spots) if is_section else below.data
    return Document(below.path, data, spots, below.faults + above.faults, below.files + above.files)


def _merge(below: Any, above: Any, place: str, spots: dict[str, Spot], above_spots: dict[str, Spot]) -> Any:
    """The value at a place; `spots` is changed to where it now comes from."""
    if isinstance(below, dict) and isinstance(above, dict) and above.get(KIND, below.get(KIND)) == below.get(KIND):
        if place != "$":
            spots[place] = above_spots[place]
        inner = {
            key: _merge(below.get(key), value, f"{place}.{key}", spots, above_spots) for key, value in above.items()
        }
        return below | inner
    for old in [one for one in spots if _is_within(one, place)]:
        del spots[old]
    spots.update({one: spot for one, spot in above_spots.items() if _is_within(one, place)})
    return above


def _is_within(one: str, place: str) -> bool:
    return one == place or one.startswith((f"{place}.", f"{place}["))


def _kind_of(data: object) -> str:
    return "a list" if isinstance(data, list) else f"{data!r:.60}"
