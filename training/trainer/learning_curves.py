"""Learning curves of runs, from the history that each writes at every validation; drawn at any time, by another process too."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Final

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter, StrMethodFormatter

from handmap.files.atomic import write_file
from handmap.files.reading import MAX_JSON_BYTES, decode_json, read_bytes
from handmap.types.errors import ConfigError

from .legend_names import name_entries, shown_names
from .resumable import HISTORY

NAME: Final = "learning_curves"
COLORS: Final = ("#3b7dd8", "#d8613b", "#2e9d57", "#8e5bc7", "#b89b3b", "#4aa3a3", "#c74f8e", "#777777")
NEEDED: Final = ("samples", "mean_mm", "median_mm", "learning_rate")
LOSS: Final = "_loss"
STYLES: Final = {"pose": "solid", "maps": "dashed", "bones": "dotted"}


def read_history(run: Path) -> list[dict[str, float]]:
    """The facts of a run's validations by samples; of those that a resumed run repeated, the later ones.

    Raises ConfigError if there are none, or a line is not what `handmap train` writes.
    """
    path = run / HISTORY
    try:
        lines = read_bytes(path, MAX_JSON_BYTES).splitlines()
    except OSError as error:
        raise ConfigError(
            f"history {str(path)!r} cannot be read ({error.strerror}); name the folder of a run that has validated at least once"
        ) from error
    by_samples: dict[float, dict[str, float]] = {}
    for number, line in enumerate(lines, 1):
        try:
            facts = decode_json(line, dict[str, float])
        except ValueError as error:
            raise ConfigError(f"history {str(path)!r}, line {number}: {error}; remove the line") from error
        missing = [name for name in NEEDED if name not in facts]
        if missing:
            raise ConfigError(
                f"history {str(path)!r}, line {number}: found no {missing[0]!r}; name the folder of a run of `handmap train`"
            )
        by_samples[facts["samples"]] = facts
    if not by_samples:
        raise ConfigError(f"history {str(path)!r} is empty; wait until the run has validated once")
    return [by_samples[samples] for samples in sorted(by_samples)]


def draw_learning_curves(runs: Sequence[Path], folder: Path) -> tuple[Path, Path]:
    """Draws validation error, losses and learning rate of runs over samples, as PNG and SVG in a folder; gives their paths.

    Raises ConfigError if a run is named twice or has no history, FileError if a picture cannot be written.
    """
    _refuse_twice(runs)
    histories = [read_history(run) for run in runs]
    names = shown_names(_names(runs))
    matplotlib.use("Agg")
    figure = Figure(figsize=(8, 8.5), layout="constrained")
    error, losses, rate = figure.subplots(3, 1, sharex=True, height_ratios=(3, 2, 1.2))
    entries = []
    for number, (name, history) in enumerate(zip(names, histories, strict=True)):
        line, best = _draw_run(error, losses, rate, history, COLORS[number % len(COLORS)])
        entries.append((line, f"{name}: {best}"))
    _label(error, "validation error, mm", "solid: mean, dashed: median, dot: lowest mean")
    legend = error.legend([line for line, _ in entries], [str(place) for place in range(len(entries))], fontsize=8)
    name_entries(legend, [text for _, text in entries])
    terms = {facts for history in histories for facts in history[-1]}
    shown = [f"{style}: {term}" for term, style in STYLES.items() if term + LOSS in terms]
    _label(losses, "loss, smoothed", ", ".join(shown))
    losses.set_yscale("log")
    losses.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    losses.yaxis.set_minor_formatter(NullFormatter())
    losses.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    _label(rate, "learning rate", "")
    rate.set_xlabel("samples", fontsize=9)
    rate.set_xlim(left=0)
    rate.xaxis.set_major_formatter(EngFormatter(sep=""))
    figure.align_ylabels()
    title = "Learning curves" if len(runs) > 1 else f"Learning curves of {names[0]}"
    figure.suptitle(title, fontsize=11, parse_math=False)
    paths = folder / f"{NAME}.png", folder / f"{NAME}.svg"
    for path in paths:
        write_file(path, _encoded(figure, path.suffix.removeprefix(".")))
    return paths


def _draw_run(error: Axes, losses: Axes, rate: Axes, history: list[dict[str, float]], color: str) -> tuple[Line2D, str]:
    """Draws a run; gives the line that stands for it, and its lowest error in words."""
    samples = [facts["samples"] for facts in history]
    mark = "o" if len(samples) == 1 else ""
    means = [facts["mean_mm"] for facts in history]
    best = min(range(len(means)), key=means.__getitem__)
    (line,) = error.plot(samples, means, marker=mark, markersize=4, color=color)
    error.plot(
        samples, [facts["median_mm"] for facts in history], "--", marker=mark, markersize=4, color=color, linewidth=1
    )
    error.plot(samples[best], means[best], "o", color=color, markersize=5)
    for term, style in STYLES.items():
        points = [(facts["samples"], facts[term + LOSS]) for facts in history if facts.get(term + LOSS, 0) > 0]
        if points:
            losses.plot(
                *zip(*points, strict=True), linestyle=style, marker=mark, markersize=4, color=color, linewidth=1.2
            )
    rate.plot(
        samples, [facts["learning_rate"] for facts in history], marker=mark, markersize=4, color=color, linewidth=1.2
    )
    return line, f"{means[best]:.2f} mm at {samples[best]:,.0f}"


def _label(axes: Axes, what: str, note: str) -> None:
    axes.set_ylabel(what, fontsize=9)
    axes.set_title(note, fontsize=8, loc="left", color="#555555")
    axes.grid(color="#e6e6e6", linewidth=0.7)
    axes.tick_params(labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _refuse_twice(runs: Sequence[Path]) -> None:
    """Raises ConfigError where two of the paths are one folder."""
    seen: dict[Path, Path] = {}
    for run in runs:
        other = seen.setdefault(run.resolve(), run)
        if other is not run:
            raise ConfigError(
                f"drawing learning curves: found the folder of run {str(other)!r} again in --with {str(run)!r}, wanted other "
                "runs; leave it out"
            )


def _names(runs: Sequence[Path]) -> list[str]:
    """The folders' names; with as many of the folders above as it takes where two are the same."""
    paths = [run.resolve().parts for run in runs]
    names = []
    for parts in paths:
        others = [other for other in paths if other != parts]
        depth = 1
        while any(other[-depth:] == parts[-depth:] for other in others):
            depth += 1
        names.append(str(Path(*parts[-depth:])))
    return names


def _encoded(figure: Figure, kind: str) -> bytes:
    buffer = BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": NAME}):
        figure.savefig(buffer, format=kind, dpi=110, metadata={"Date": None} if kind == "svg" else {"Software": None})
    return buffer.getvalue()
