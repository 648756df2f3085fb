"""No two kinds of samples are drawn from one random stream."""

import ast
from pathlib import Path

import numpy as np

from training.seed_domains import SeedDomain

ROOT = Path(__file__).resolve().parents[2]
FIXED = {"VALIDATION": 3, "CALIBRATION": 4, "TWO_HANDS": 41, "HARD": 71, "TUNE": 72}


def test_all_domains_differ() -> None:
    assert len(set(SeedDomain.__members__.values())) == len(SeedDomain.__members__)


def test_the_same_seed_gives_other_draws_in_each_domain() -> None:
    draws = {
        name: np.random.default_rng([domain, 1]).integers(2**62) for name, domain in SeedDomain.__members__.items()
    }

    assert len(set(draws.values())) == len(SeedDomain.__members__)


def test_the_domains_of_fixed_sets_are_what_they_were() -> None:
    assert {name: int(SeedDomain[name]) for name in FIXED} == FIXED


def test_no_file_has_a_domain_of_its_own() -> None:
    named = {
        f"{path.relative_to(ROOT)}: {target.id}"
        for part in ("training", "docs/measured")
        for path in (ROOT / part).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assign) and any(isinstance(one, ast.Constant) for one in ast.walk(node.value))
        for target in ast.walk(node)
        if isinstance(target, ast.Name) and target.id.endswith("DOMAIN")
    }

    assert not named
