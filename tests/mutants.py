"""Changes the code in small ways and asks whether any test notices: `python -m tests.mutants --sample 300 --seed 1 --out OUT.json`.

Constants are multiplied and divided by four, comparisons flipped, branches forced, statements deleted, arguments dropped. Each mutant
is written into a copy of the checkout, where its tests run until the first failure; one that none of them kills survives.
"""

import argparse
import ast
import copy
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LOOP_TESTS = (
    "tests/runtime/test_daemon.py", "tests/runtime/test_daemon_motion.py", "tests/runtime/test_engine_loader.py",
    "tests/runtime/test_reload.py", "tests/runtime/test_thermal.py", "tests/runtime/faults",
)  # fmt: skip
# What is changed, and the tests that are to notice: those of its own room, so that a survivor costs seconds and not minutes.
TESTS = {
    "handmap/tracking/*.py": ("tests/handmap/tracking",),
    "runtime/daemon.py": LOOP_TESTS,
    "runtime/pipeline.py": LOOP_TESTS,
}
MAX_S = 600  # a mutant that hangs is killed by whoever waits for it
FLIPPED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip


class Mutant(NamedTuple):
    """A changed file: its path, the line and what was done there, and the whole new text."""

    file: str
    line: int
    change: str
    text: str


def find_mutants(file: str, source: str) -> Iterator[Mutant]:
    """Every mutant of a file; comments are lost, nothing else."""
    tree = ast.parse(source)
    spared = {id(statement) for statement in tree.body}  # without a module's names nothing runs
    spared |= {id(inner) for node in ast.walk(tree) for outer in _idle(node) for inner in ast.walk(outer)}
    for index, node in enumerate(ast.walk(tree)):
        for change in [] if id(node) in spared else _changes(node):
            changed = copy.deepcopy(tree)
            _apply(changed, list(ast.walk(changed))[index], change)
            text = ast.unparse(ast.fix_missing_locations(changed))
            if text != ast.unparse(tree):
                yield Mutant(file, node.lineno, f"{change}: {ast.unparse(node).splitlines()[0]}", text)  # type: ignore[attr-defined]


def _idle(node: ast.AST) -> list[ast.expr]:
    """The decorators and annotations of a node."""
    decorators = getattr(node, "decorator_list", [])
    return [*decorators, *(one for name in ("annotation", "returns") if (one := getattr(node, name, None)) is not None)]


def _changes(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return ["times 4", "by 4"] if node.value else ["plus 1"]
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        return ["flipped"]
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        return ["always", "never"]
    is_call = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    if is_call or isinstance(node, ast.Assign | ast.AugAssign | ast.Raise):
        return ["deleted"]
    if isinstance(node, ast.Call) and (node.keywords or len(node.args) > 1):
        return ["last argument dropped"]
    return []


def _apply(tree: ast.Module, node: ast.AST, change: str) -> None:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        whole = isinstance(node.value, int)
        factor = {"times 4": 4, "by 4": 0.25}.get(change, 0)
        node.value = (int if whole else float)(node.value * factor) if factor else node.value + 1
    elif isinstance(node, ast.Compare):
        node.ops = [FLIPPED[type(node.ops[0])]()]
    elif isinstance(node, ast.If | ast.IfExp | ast.While):
        node.test = ast.Constant(change == "always")
    elif isinstance(node, ast.Call):
        (node.keywords or node.args).pop()
    else:
        _Replace(node).visit(tree)


class _Replace(ast.NodeTransformer):
    """Puts `pass` in the place of a statement."""

    def __init__(self, gone: ast.AST) -> None:
        self._gone = gone

    def visit(self, node: ast.AST) -> ast.AST:
        """See `ast.NodeTransformer`."""
        return ast.Pass() if node is self._gone else self.generic_visit(node)


def tests_of(file: str, checkout: Path) -> list[str]:
    """The test files of a file, first those that import it: most mutants die there, in a second."""
    names = next(tests for pattern, tests in TESTS.items() if Path(file).match(pattern))
    found = [one for name in names for one in sorted((checkout / name).rglob("test_*.py")) or [checkout / name]]
    return [str(one) for one in sorted(found, key=lambda one: f".{Path(file).stem} import" not in one.read_text())]


def survives(mutant: Mutant, checkout: Path, tests: list[str]) -> bool:
    """Whether all tests pass in a checkout with this mutant in it, which is put right again."""
    path = checkout / mutant.file
    before = path.read_text()
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    try:
        path.write_text(mutant.text)
        done = subprocess.run(command, cwd=checkout, capture_output=True, timeout=MAX_S, check=False)
    except subprocess.TimeoutExpired:
        return False
    finally:
        path.write_text(before)
    return done.returncode == 0


def _copy(checkout: Path) -> Path:
    shutil.copytree(ROOT, checkout, ignore=shutil.ignore_patterns(".git", ".venv*", ".cache", "runs", "build", "site"))
    return checkout


def _try(mutant: Mutant, checkouts: SimpleQueue[Path]) -> bool:
    """Whether a mutant survives, in the next checkout that is free."""
    checkout = checkouts.get()
    try:
        return survives(mutant, checkout, tests_of(mutant.file, checkout))
    finally:
        checkouts.put(checkout)


def measure(options: argparse.Namespace) -> dict[str, object]:
    """The score of a sample, and what survived it."""
    files = sorted({path for pattern in options.files for path in ROOT.glob(pattern)})
    named = [(path.relative_to(ROOT).as_posix(), path.read_text()) for path in files]
    mutants = [mutant for file, source in named for mutant in find_mutants(file, source)]
    if not mutants:
        raise SystemExit(f"mutants: no file matches {' '.join(options.files)}; name some with --files")
    sample = random.Random(options.seed).sample(mutants, min(options.sample, len(mutants)))
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.jobs) as pool:
        checkouts: SimpleQueue[Path] = SimpleQueue()
        for number in range(options.jobs):
            checkouts.put(_copy(Path(folder) / f"checkout{number}"))
        unchanged = [Mutant(file, 0, "", source) for file, source in named]
        for mutant, passes in zip(unchanged, pool.map(lambda one: _try(one, checkouts), unchanged), strict=True):
            if not passes:
                raise SystemExit(f"mutants: the tests of {mutant.file} fail without a mutant; make them pass first")
        alive = []
        outcomes = pool.map(lambda one: _try(one, checkouts), sample)
        for number, (mutant, is_alive) in enumerate(zip(sample, outcomes, strict=True), 1):
            shown = f"{mutant.file}:{mutant.line} {mutant.change}"
            alive += [shown] if is_alive else []
            sys.stdout.write(f"{number}/{len(sample)} {'SURVIVES' if is_alive else 'killed'} {shown}\n")
            sys.stdout.flush()
    score = 1 - len(alive) / len(sample)
    return {
        "seed": options.seed, "mutants": len(mutants), "sample": len(sample), "score": round(score, 4),
        "files": [file for file, _ in named], "survivors": sorted(alive),
    }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--files", nargs="+", default=list(TESTS), help="patterns of the files to change")
    parser.add_argument("--sample", type=int, default=300)
    parser.add_argument("--jobs", type=int, default=2, help="mutants that are tried side by side")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    chosen.out.write_text(json.dumps(measure(chosen), indent=1) + "\n")
