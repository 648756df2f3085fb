"""What pip would install on a board, found on any machine in seconds, without downloading it; also writes the constraint files.

python -m tests.support.board_requirements        rewrites constraints/*.txt with the newest versions
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import tomllib
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RESOLVE_TIMEOUT_S = 300


@dataclass(frozen=True)
class Board:
    """A JetPack as pip sees it: Python and C library of its Ubuntu, and the extra for it."""

    extra: str
    python: str  # in full, as Ubuntu ships it
    glibc_minor: int

    @property
    def constraints(self) -> Path:
        """The file with the exact versions for this board."""
        return ROOT / "constraints" / f"{self.extra}.txt"

    @property
    def platforms(self) -> list[str]:
        """Every wheel tag that the board takes; pip does not know by itself that a newer C library takes older tags."""
        return [*(f"manylinux_2_{minor}_aarch64" for minor in range(17, self.glibc_minor + 1)), "manylinux2014_aarch64"]

    def takes(self, requirement: Requirement, extras: Iterable[str]) -> bool:
        """Whether a requirement's marker holds on the board. pip itself judges markers by the machine it runs on."""
        facts = {
            "python_version": self.python.rsplit(".", 1)[0],
            "python_full_version": self.python,
            "platform_machine": "aarch64",
            "platform_system": "Linux",
            "platform_python_implementation": "CPython",
            "implementation_name": "cpython",
            "implementation_version": self.python,
            "sys_platform": "linux",
            "os_name": "posix",
        }
        marker = requirement.marker
        return marker is None or any(marker.evaluate({**facts, "extra": extra}) for extra in ("", *extras))


BOARDS = (Board("jetpack6", "3.10.12", 35), Board("jetpack7", "3.12.3", 39))


@dataclass(frozen=True)
class Resolved:
    """A package that pip chose."""

    version: str
    requires: tuple[str, ...]


class PipFailed(Exception):
    """pip found no set of versions; its own words are the message."""


class LeftOut(PipFailed):
    """pip judged a marker by the machine it runs on, and left out what the board needs."""

    def __init__(self, board: Board, requirement: Requirement) -> None:
        super().__init__(f"{board.extra}: pip left out {requirement}, which Python {board.python} needs")
        self.requirement = requirement


def board_requirements(board: Board) -> list[Requirement]:
    """What the project asks for on a board."""
    project = PYPROJECT["project"]
    return [Requirement(text) for text in (*project["dependencies"], *project["optional-dependencies"][board.extra])]


def resolve(board: Board, requirements: Iterable[Requirement], constraints: Path | None) -> dict[str, Resolved]:
    """What pip chooses for the board, by canonical name; nothing is installed, and nothing but metadata downloaded.

    What it leaves out because this machine does not need it is asked for by name. Raises PipFailed with what pip said.
    """
    wanted = asked = tuple(requirements)
    while True:
        found = _choose(board, asked, constraints)
        try:
            return needed_on(board, wanted, found)
        except LeftOut as left_out:
            named = Requirement(str(left_out.requirement))
            named.marker = None
            asked = (*asked, named)


def _choose(board: Board, requirements: Iterable[Requirement], constraints: Path | None) -> dict[str, Resolved]:
    """What pip chooses, markers judged by this machine."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--retries", "1"),
            *("--target", folder, "--only-binary", ":all:", "--report", str(report)),
            *("--python-version", board.python, *(f"--platform={platform}" for platform in board.platforms)),
            *(["--constraint", str(constraints)] if constraints else []),
            *(str(requirement) for requirement in requirements),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=RESOLVE_TIMEOUT_S, check=False)
        if done.returncode != 0:
            raise PipFailed(done.stderr)
        chosen = [item["metadata"] for item in json.loads(report.read_text())["install"]]
    return {
        str(canonicalize_name(item["name"])): Resolved(item["version"], tuple(item.get("requires_dist", ())))
        for item in chosen
    }


def needed_on(board: Board, requirements: Iterable[Requirement], found: dict[str, Resolved]) -> dict[str, Resolved]:
    """Those of the packages that the board needs: pip judges markers by the machine it runs on, this by the board's.

    Raises LeftOut for a package that only the board needs, so that pip left it out.
    """
    reached: set[tuple[str, frozenset[str]]] = set()
    waiting = [requirement for requirement in requirements if board.takes(requirement, ())]
    while waiting:
        requirement = waiting.pop()
        name = str(canonicalize_name(requirement.name))
        if name not in found:
            raise LeftOut(board, requirement)
        if not requirement.specifier.contains(found[name].version):
            raise PipFailed(f"{board.extra}: pip chose {found[name]}, Python {board.python} needs {requirement}")
        key = (name, frozenset(requirement.extras))
        if key not in reached:
            reached.add(key)
            further = (Requirement(text) for text in found[name].requires)
            waiting += [each for each in further if board.takes(each, requirement.extras)]
    return {name: found[name] for name, _ in reached}


def write_constraints(board: Board) -> None:
    """Pins every package that the board needs at the newest version that fits."""
    found = resolve(board, board_requirements(board), None)
    lines = [
        f"# What `pip install handmap-edge[{board.extra}]` puts on a board: Python {board.python}, aarch64.",
        "# Made by: python -m tests.support.board_requirements",
        *(f"{name}=={found[name].version}" for name in sorted(found)),
    ]
    board.constraints.parent.mkdir(exist_ok=True)
    board.constraints.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    for each in BOARDS:
        write_constraints(each)
