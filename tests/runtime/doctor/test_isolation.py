"""What a hostile or unlucky folder, PYTHONPATH and home can make the doctor import: nothing."""

import os
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

import pytest

from runtime.doctor.context import DoctorContext
from runtime.doctor.machine import Machine

needs_sdk = pytest.mark.skipif(find_spec("pyrealsense2") is None, reason="no pyrealsense2 for this Python")
TRAP = "open({mark!r}, 'a').write(__name__ + '\\n')\n"


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that a trap writes to; the current folder, PYTHONPATH and the home are full of traps."""
    mark = tmp_path / "imported"
    home = tmp_path / "home"
    own = Path(sysconfig.get_path("purelib", "posix_user", {"userbase": str(home / ".local")}))
    for folder in (tmp_path / "here", own):
        folder.mkdir(parents=True)
        for name in ("onnxruntime", "numpy", "click", "json", "usercustomize", "sitecustomize"):
            (folder / f"{name}.py").write_text(TRAP.format(mark=str(mark)))
        (folder / "handmap").mkdir()
        (folder / "handmap/__init__.py").write_text(TRAP.format(mark=str(mark)))
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'here'}:")
    return mark


def test_the_trap_works(mark: Path) -> None:
    assert Machine().run(sys.executable, "-c", "import onnxruntime").code == 0
    assert "onnxruntime" in mark.read_text()


@pytest.mark.parametrize(
    "asked",
    [
        ("-c", "import onnxruntime; print(onnxruntime.__version__)"),
        pytest.param(("-m", "handmap.runtime.doctor.sdk"), marks=needs_sdk),
        ("-m", "handmap", "build-engine", "--help"),
    ],
    ids=" ".join,
)
def test_the_doctor_imports_nothing_from_the_current_folder(mark: Path, asked: tuple[str, ...]) -> None:
    answer = DoctorContext(Machine()).run_python(*asked)

    assert not mark.exists()
    assert answer.code == 0, answer.err
    assert os.environ["PYTHONPATH"]  # was set, and ignored
