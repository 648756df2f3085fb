"""Training from a bare checkout needs no library that a rented machine may lack."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_architecture import HOMES

ROOT = Path(__file__).resolve().parents[2]
NEEDED = {"torch", "numba"}
SCRIPT = """
import sys
for name in {missing!r}:
    sys.modules[name] = None  # an import of it fails
import training.__main__, training.trainer.train
ours = [name for name in sys.modules if name.startswith("handmap.") and "site-packages" in str(sys.modules[name].__file__)]
assert not ours, ours
training.__main__.main()
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    missing = sorted({*HOMES, "click", "ruamel"} - NEEDED)
    command = [sys.executable, "-c", SCRIPT.format(missing=missing), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_no_other_library_is_imported() -> None:
    done = run("--help")

    assert done.returncode == 0, done.stderr
    assert "--config" in done.stdout


@pytest.mark.parametrize(("text", "sentence"), [("seed: 1\n", "found neither"), ("budget: 9m\nfolder: x\n", "folder")])
def test_an_invalid_configuration_is_rejected_in_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "c.yaml").write_text(text)

    done = run("--config", str(tmp_path / "c.yaml"))

    assert done.returncode == 78
    assert done.stderr.startswith("training: configuration") and sentence in done.stderr
    assert "Traceback" not in done.stderr
