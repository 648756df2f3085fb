"""`handmap doctor`: runs every check on one machine and reports what each found and how to fix it."""

import shutil
import textwrap
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, get_args

from handmap.types.errors import ConfigError, HandmapError

from . import apart, camera, camera_sdk, config, gpu, jetpack, service, system
from .context import Check, DoctorContext, Finding, Status, warning
from .machine import LIVE_ROOT, Machine, NotApplicable

CHECKS: Final = (
    *config.CHECKS, *jetpack.CHECKS, *gpu.CHECKS, *camera.CHECKS, *camera_sdk.CHECKS, *service.CHECKS, *apart.CHECKS,
    *system.CHECKS,
)  # fmt: skip
ORDER: Final[tuple[Status, ...]] = get_args(Status)
SHOWN: Final[dict[Status, str]] = {"failed": "FAILED", "warning": "WARNING", "ok": "ok", "not applicable": "n/a"}
WIDEST: Final = 120  # columns; longer lines are hard to read
MIN_TEXT: Final = 30  # columns for the text, however narrow the terminal


@dataclass(frozen=True)
class CheckResult:
    """What a check found."""

    id: str
    title: str
    status: Status
    details: str
    fix: str


@dataclass(frozen=True)
class Report:
    """All results for one machine."""

    machine: str
    config: str
    results: tuple[CheckResult, ...]

    @property
    def exit_code(self) -> int:
        """1 if a check failed, else 0."""
        return int(any(result.status == "failed" for result in self.results))

    def counts(self) -> dict[str, int]:
        """The number of results with each status."""
        found = Counter(result.status for result in self.results)
        return {status: found[status] for status in ORDER}

    def as_json(self) -> dict[str, object]:
        """The report for machines."""
        checks = [asdict(result) for result in self.results]
        return {"machine": self.machine, "config": self.config, "counts": self.counts(), "checks": checks}


def open_machine(image: Path | None) -> Machine:
    """The running machine, or the root file system at `image`.

    Raises ConfigError if it is not one.
    """
    if image is None:
        return Machine()
    root = image.resolve()
    try:
        is_one = root != LIVE_ROOT and (root / "etc").is_dir() and (root / "usr").is_dir()
    except PermissionError as error:
        raise ConfigError(
            f"doctor: this user cannot read {str(image)!r}; run as one who can, for example with sudo"
        ) from error
    if not is_one:
        raise ConfigError(
            f"doctor: {str(image)!r} is not an offline root file system (wanted a folder with etc and usr); "
            "pass one with --image, such as Linux_for_Tegra/rootfs, or omit --image to examine this machine"
        )
    return Machine(root, is_running=False)


def run_checks(context: DoctorContext, checks: tuple[Check, ...] = CHECKS) -> Report:
    """The findings of all checks; a check that raises counts as failed."""
    results = tuple(CheckResult(check.id, check.title, **asdict(_look(check, context))) for check in checks)
    machine = str(context.machine.root) if not context.machine.is_running else "this machine"
    return Report(machine, str(context.config), results)


def format_report(report: Report) -> str:
    """The report for a terminal: problems first, each command on its own line, checks that do not apply grouped by reason."""
    width = min(shutil.get_terminal_size((100, 24)).columns, WIDEST)
    head = max(len(result.id) for result in report.results) + 2
    lines = [f"{report.machine}, configuration {report.config!r}", ""]
    silent: dict[str, list[str]] = {}
    for result in sorted(report.results, key=lambda result: ORDER.index(result.status)):
        if result.status == "not applicable" and not result.fix:
            silent.setdefault(result.details, []).append(result.id)
            continue
        lines += _hanging(f"{SHOWN[result.status]:<9}{result.id:<{head}}", result.details, width)
        lines += [f"{'':<9}> {result.fix}"] if result.fix else []
    for reason, ids in silent.items():
        lines += _hanging(f"{SHOWN['not applicable']:<9}", f"{', '.join(ids)}: {reason}", width)
    return "\n".join([*lines, "", ", ".join(f"{count} {status}" for status, count in report.counts().items())])


def _hanging(start: str, text: str, width: int) -> list[str]:
    """Lines of at most `width` columns; `start` begins the first, and the others are indented below it."""
    return textwrap.wrap(
        text, max(width, len(start) + MIN_TEXT), initial_indent=start, subsequent_indent=" " * len(start),
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def _look(check: Check, context: DoctorContext) -> Finding:
    try:
        return check.look(context)
    except NotApplicable as reason:
        return Finding("not applicable", str(reason))
    except PermissionError as error:
        where = "" if context.machine.is_running else f" --image {context.here('/')}"
        again = f"sudo handmap doctor{where} --config {context.here(context.config)}"
        return warning(f"this user has no access: {error}", again)
    except HandmapError as error:
        return Finding("failed", str(error))
    except Exception as error:  # noqa: BLE001  whatever breaks one check, the others are wanted the more
        return Finding("failed", f"the check itself crashed: {type(error).__name__}: {error}")
