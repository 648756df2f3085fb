"""Which PNGs of a folder are its frames, and in which order; several kinds of images in one folder are refused."""

import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from handmap.types.errors import RecordingError

_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?")
MAX_TOLD: Final = 6


def find_pngs(path: Path, pattern: str | None) -> list[Path]:
    """The PNGs whose names match the pattern, or all, in natural order: 2.png comes before 10.png.

    Raises RecordingError if there are none, or their names are of several kinds.
    """
    shown = sorted((one for one in path.iterdir() if is_png(one)), key=natural_key)
    found = [one for one in shown if pattern is None or fnmatch(one.name, pattern)]
    if not found:
        raise _none_found(path, pattern if shown else None)
    kinds = kinds_of([one.name for one in found]) if pattern is None else {}
    if len(kinds) > 1:
        told = [f"pattern: {one!r}" for one in sorted(kinds)]
        more = f" and {len(told) - MAX_TOLD} more" if len(told) > MAX_TOLD else ""
        raise RecordingError(
            f"recording {str(path)!r}: found PNGs of {len(kinds)} kinds, wanted depth images of one camera; add to its "
            f"intrinsics.yaml (in a configuration: camera.png_folder) one of: {', '.join(told[:MAX_TOLD])}{more}"
        )
    return found


def is_png(path: Path) -> bool:
    """Whether the name is that of a PNG, and not of a hidden file, such as macOS puts beside each on foreign disks."""
    return path.suffix.lower() == ".png" and not path.name.startswith(".") and path.is_file()


def natural_key(path: Path) -> tuple[list[tuple[int, float, str]], str]:
    """Orders names by the numbers in them."""
    parts = re.split(r"(\d+(?:\.\d+)?)", path.stem)
    return [(1, float(one), one) if place % 2 else (0, 0.0, one) for place, one in enumerate(parts)], path.name


def kinds_of(names: list[str]) -> dict[str, list[str]]:
    """Names by the pattern that tells them from the others: by what is not a number, and by numbers that name a view.

    The last number counts frames. If the same counts come again under other numbers before it, those name views.
    """
    by_text: dict[str, list[str]] = {}
    for name in names:
        stem, dot, suffix = name.rpartition(".")
        by_text.setdefault(_NUMBER.sub("*", stem) + dot + suffix, []).append(name)
    kinds: dict[str, list[str]] = {}
    for pattern, alike in by_text.items():
        views: dict[str, list[str]] = {}
        for name in alike:
            views.setdefault(_without_last_number(name), []).append(name)
        kinds |= views if _is_counted_again(alike) else {pattern: alike}
    return kinds


def _without_last_number(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    last = list(_NUMBER.finditer(stem))[-1:]
    return (stem[: last[0].start()] + "*" + stem[last[0].end() :] if last else stem) + dot + suffix


def _is_counted_again(names: list[str]) -> bool:
    """Whether the last numbers are counts, and come more than once; the nanoseconds of time stamps are no counts."""
    last = [found[-1] for name in names if (found := _NUMBER.findall(name.rpartition(".")[0]))]
    counts = {int(float(one)) for one in last}
    return len(set(last)) < len(last) and max(counts) - min(counts) < 2 * len(counts)


def _none_found(path: Path, pattern: str | None) -> RecordingError:
    if pattern is not None:
        return RecordingError(
            f"recording {str(path)!r}: no PNG has a name like {pattern!r}; correct the pattern in its intrinsics.yaml or in "
            "camera.png_folder"
        )
    inner = sorted(one for one in path.iterdir() if one.is_dir() and any(map(is_png, one.iterdir())))
    if inner:
        return RecordingError(
            f"recording {str(path)!r}: no PNGs in it, but in {', '.join(repr(one.name) for one in inner[:MAX_TOLD])}; name "
            f"the folder with the depth images, such as {str(inner[0])!r}"
        )
    return RecordingError(
        f"recording {str(path)!r}: found no file of a bag (.mcap, .db3, .bag) and no *.png in it; use a recording or a "
        "folder of 16-bit depth PNGs"
    )
