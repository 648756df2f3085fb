"""What a board installs: resolved for its Python and architecture by pip itself, every version pinned, nothing pinned in vain."""

from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.board_requirements import (
    BOARDS,
    PYPROJECT,
    Board,
    PipFailed,
    Resolved,
    board_requirements,
    needed_on,
    resolve,
)

EXTRAS = PYPROJECT["project"]["optional-dependencies"]
BOARD_ONLY = {"numpy", "cupy-cuda12x", "cupy-cuda13x", "pyrealsense2"}
HOST_ONLY = {"viser"}  # a page in a browser, wherever the packets arrive


def read_pins(path: Path) -> dict[str, str]:
    """Exact versions by name; any other line in the file is refused."""
    pins: dict[str, str] = {}
    for line in path.read_text().splitlines():
        if line and not line.startswith("#"):
            requirement = Requirement(line)
            (specifier,) = requirement.specifier
            assert specifier.operator == "==" and not specifier.version.endswith("*"), line
            pins[canonicalize_name(requirement.name)] = specifier.version
    return pins


@pytest.fixture(scope="session")
def index() -> None:
    """Skips where pip cannot reach a package index: asks it for one small package without any constraint."""
    try:
        resolve(BOARDS[0], [Requirement("click")], None)
    except PipFailed as error:
        pytest.skip(f"needs a package index; pip says: {str(error).strip().splitlines()[-1]}")


@pytest.mark.usefixtures("index")
@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.extra)
def test_pip_resolves_exactly_the_pinned_versions(board: Board) -> None:
    found = resolve(board, board_requirements(board), board.constraints)

    assert {name: package.version for name, package in found.items()} == read_pins(board.constraints)


def test_markers_are_judged_by_the_board_and_not_by_this_machine() -> None:
    old, new = BOARDS
    root = [Requirement("root")]
    found = {"root": Resolved("1.0", ("early; python_version < '3.12'", "arm; platform_machine == 'aarch64'"))}
    found |= {"early": Resolved("1.0", ()), "arm": Resolved("1.0", ())}

    assert set(needed_on(old, root, found)) == {"root", "early", "arm"}
    assert set(needed_on(new, root, found)) == {"root", "arm"}
    with pytest.raises(PipFailed, match="left out arm"):
        needed_on(new, root, {name: package for name, package in found.items() if name != "arm"})


@pytest.mark.usefixtures("index")
@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.extra)
@pytest.mark.parametrize("planted", ["numpy==1.26.4", "pyrealsense2==0.0.1", "click==7.0"])
def test_a_pin_that_cannot_be_met_fails(board: Board, planted: str, tmp_path: Path) -> None:
    name = planted.split("==")[0]
    constraints = tmp_path / "planted.txt"
    kept = [line for line in board.constraints.read_text().splitlines() if not line.startswith(f"{name}==")]
    constraints.write_text("\n".join([*kept, planted]) + "\n")

    with pytest.raises(PipFailed, match=name):
        resolve(board, board_requirements(board), constraints)


@pytest.mark.usefixtures("index")
def test_an_interpreter_without_wheels_is_refused() -> None:
    """pyrealsense2 has no aarch64 wheel for 3.11: the resolver looks at wheels, not only at version numbers."""
    board = Board("jetpack6", "3.11.2", 36)

    with pytest.raises(PipFailed, match="pyrealsense2"):
        resolve(board, board_requirements(board), None)


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.extra)
def test_a_boards_extra_is_the_hosts_without_what_needs_a_browser_and_with_its_own(board: Board) -> None:
    def by_name(extra: str) -> dict[str, str]:
        return {Requirement(text).name: str(Requirement(text).specifier) for text in EXTRAS[extra]}

    on_board, on_host = by_name(board.extra), by_name("host")

    assert {name: bound for name, bound in on_board.items() if name not in BOARD_ONLY} == {
        name: bound for name, bound in on_host.items() if name not in HOST_ONLY
    }


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.extra)
def test_tensorrt_and_pycuda_are_neither_asked_for_nor_pinned(board: Board) -> None:
    """The first must match the board and comes from its own packages, the second needs a compiler."""
    asked = {canonicalize_name(requirement.name) for requirement in board_requirements(board)}
    names = asked | set(read_pins(board.constraints))

    assert {name for name in names if "tensorrt" in name or name == "pycuda"} == set()
    assert [Requirement(text).name for text in EXTRAS["pycuda"]] == ["pycuda"]
