"""The report of an evaluation: a folder with plots as SVG and PNG, and one self-contained HTML page."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from handmap.files.atomic import new_folder, refuse_foreign, refuse_unwritable, write_into
from handmap.files.html_page import PAGE_START, SVG, heading, page, paragraph, picture, table
from handmap.files.reading import read_bytes
from handmap.metrics.error_figures import CURVES, WITHIN_MM, error_summary
from handmap.types.arrays import Float64
from handmap.types.errors import FileError

from ..datasets.published import PublishedSet

PAGE: Final = "index.html"
CHARTS: Final = {
    "curves": "success curves",
    "per_joint": "mean error per joint",
    "published": "published mean errors",
}
SUFFIXES: Final = ("svg", "png")
MAX_PAGE_BYTES: Final = 64 << 20
OPTION: Final = "--report"
MEASURED: Final = (
    "An error is the distance of a joint from its label in space, in mm, without any alignment. D runs from 0 to 80 mm; an area "
    "of 1 would be no error at all. A joint without a label is left out."
)


@dataclass(frozen=True)
class ErrorReport:
    """What a report shows: joint errors (N, J) in mm by method, NaN without a label, and sentences on what they are of.

    published is the set whose published means the figures may be compared with, None if they may not.
    """

    title: str
    notes: tuple[str, ...]
    joint_names: tuple[str, ...]
    error_mm: Mapping[str, Float64]
    published: PublishedSet | None = None


def refuse_foreign_report(path: Path) -> None:
    """Raises ConfigError if `path` is there and is neither empty nor a report with nothing else in it, FileError if it cannot be
    written.
    """
    refuse_foreign(path, own_names, OPTION)
    refuse_unwritable(path)


def own_names(path: Path) -> frozenset[str]:
    """The names in the folder that belong to a report; none if its page is not one of ours."""
    with suppress(FileError):
        if read_bytes(path / PAGE, MAX_PAGE_BYTES).startswith(PAGE_START.encode()):
            return frozenset({PAGE, *(f"{chart}.{suffix}" for chart in CHARTS for suffix in SUFFIXES)})
    return frozenset()


def write_report(path: Path, report: ErrorReport) -> None:
    """Writes the folder, replacing a report.

    Raises ConfigError or FileError as `refuse_foreign_report` does.
    """
    from .report_plots import draw_curves, draw_per_joint, draw_published

    figures = {name: error_summary(error_mm, report.joint_names) for name, error_mm in report.error_mm.items()}
    charts = {
        "curves": draw_curves(report.error_mm),
        "per_joint": draw_per_joint(report.error_mm, report.joint_names),
    }
    if report.published is not None:
        means = {name: cast(float, one["mean_mm"]) for name, one in figures.items()}
        charts["published"] = draw_published(report.published.means, means, report.published.name)
    files = {f"{chart}.{suffix}": content for chart, drawn in charts.items() for suffix, content in drawn.items()}
    shown = {chart: picture(drawn["svg"], CHARTS[chart], SVG) for chart, drawn in charts.items()}
    content = page(report.title, list(_parts(report, figures, shown)))
    with new_folder(path, own_names, OPTION) as folder:
        write_into(folder, {**files, PAGE: content})


def figures_table(figures: Mapping[str, Mapping[str, object]]) -> str:
    """The figures of each method as text: a row each, then the joints, mm."""
    values = {**figure_rows(figures), **joint_rows(figures)}
    rows = {"": list(figures), **{name: [_shown(value) for value in row] for name, row in values.items()}}
    first = max(map(len, rows)) + 2
    widths = [max(map(len, column)) + 2 for column in zip(*rows.values(), strict=True)]
    return "\n".join(
        f"{name:<{first}}" + "".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))
        for name, row in rows.items()
    )


def figure_rows(figures: Mapping[str, Mapping[str, object]]) -> dict[str, list[object]]:
    """Each figure's values, one for each method."""
    rows: dict[str, list[object]] = {
        "mean, mm": [one["mean_mm"] for one in figures.values()],
        "median, mm": [one["median_mm"] for one in figures.values()],
        "95th percentile, mm": [one["p95_mm"] for one in figures.values()],
        "worst joint's mean, mm": [one["worst_joint_mean_mm"] for one in figures.values()],
        "worst joint": [one["worst_joint"] for one in figures.values()],
    }
    for limit in WITHIN_MM:
        rows[f"all joints within {limit} mm"] = [one[f"within_{limit}mm"] for one in figures.values()]
    for kind in CURVES:
        areas = [cast(Mapping[str, float], one["success_auc"])[kind] for one in figures.values()]
        rows[f"area, {kind.replace('_', '-')} curve"] = list(areas)
    return rows


def joint_rows(figures: Mapping[str, Mapping[str, object]]) -> dict[str, list[object]]:
    """Each joint's mean errors, one for each method."""
    per_joint = [cast(Mapping[str, float | None], one["per_joint_mm"]) for one in figures.values()]
    return {name: [means[name] for means in per_joint] for name in per_joint[0]}


def _parts(report: ErrorReport, figures: Mapping[str, Mapping[str, object]], shown: Mapping[str, str]) -> Iterator[str]:
    yield paragraph(MEASURED)
    for note in report.notes:
        yield paragraph(note)
    yield table(("figure", *figures), _unbroken(figure_rows(figures)))
    yield heading("Success curves")
    yield shown["curves"]
    yield heading("Mean error per joint")
    yield shown["per_joint"]
    yield table((_one_line("joint, mm"), *figures), joint_rows(figures))
    if report.published is not None:
        yield heading(f"Published mean errors on {report.published.name}")
        yield paragraph(
            "Collected in the evaluator xinghaochen/awesome-hand-pose-estimation from result files of the papers' authors. "
            "HandMap's own paper is not among them: its metric is another one (docs/evaluation.md)."
        )
        yield shown["published"]
        rows: dict[str, list[object]] = {f"{one.method} ({one.venue})": [one.mean_mm] for one in report.published.means}
        yield table(("method", "mean error, mm"), _unbroken(rows))


def _unbroken(rows: Mapping[str, list[object]]) -> dict[str, list[object]]:
    """The rows with names that stay on one line, however wide the other columns are."""
    return {_one_line(name): values for name, values in rows.items()}


def _one_line(text: str) -> str:
    return text.replace(" ", "\N{NO-BREAK SPACE}").replace("-", "\N{NON-BREAKING HYPHEN}")


def _shown(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
