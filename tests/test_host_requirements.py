"""The locks of a host: they satisfy what the project asks for, and are used where they fit and nowhere else."""

import os
import subprocess
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.host_requirements import PYTHONS, ROOT, lock_file, read_lock, wanted_by

LOCKS = [(name, python) for name in ("demo", "develop") for python in PYTHONS]
FAKE_PYTHON = '#!/bin/sh\ncase "$2" in *libc_ver*) echo "$SYSTEM";; esac\n'
FAKE_PIP = '#!/bin/sh\necho "$@" >> "$ASKED"\n'


@pytest.mark.parametrize(("name", "python"), LOCKS)
def test_every_requirement_is_locked_in_a_version_that_it_permits(name: str, python: str) -> None:
    locked = read_lock(lock_file(name, python))

    for text in wanted_by(name, python):
        requirement = Requirement(text)
        version, _ = locked[str(canonicalize_name(requirement.name))]
        assert requirement.specifier.contains(version), (text, version)


@pytest.mark.parametrize(("name", "python"), LOCKS)
def test_a_lock_names_no_index(name: str, python: str) -> None:
    text = lock_file(name, python).read_text()

    assert "://" not in text and "--index" not in text and "--find-links" not in text


@pytest.mark.parametrize(
    ("system", "environment", "is_locked"),
    [
        ("3.11 fits", {}, True),
        ("3.11 fits", {"LOCKED": "no"}, False),
        ("3.11 other", {}, False),  # another processor or C library
        ("3.99 fits", {}, False),  # a Python without a lock
    ],
)
def test_the_lock_is_used_where_it_fits_and_elsewhere_pip_is_free(
    tmp_path: Path, system: str, environment: dict[str, str], is_locked: bool
) -> None:
    (tmp_path / "bin").mkdir()
    for program, text in (("python", FAKE_PYTHON), ("pip", FAKE_PIP)):
        (tmp_path / "bin" / program).write_text(text)
        (tmp_path / "bin" / program).chmod(0o755)
    facts = {"SYSTEM": system, "ASKED": str(tmp_path / "asked"), **environment}

    done = subprocess.run(
        [ROOT / ".ci/install-locked", tmp_path, "demo", "host"],
        env=os.environ | facts, capture_output=True, text=True, check=False,
    )  # fmt: skip

    asked = (tmp_path / "asked").read_text()
    assert done.returncode == 0, done.stderr
    assert ("--require-hashes" in asked) is is_locked
    assert ("-e .[host]" in asked) is not is_locked
    assert ("without a lock" in done.stderr) is not is_locked
