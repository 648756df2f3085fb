"""The wheel: one package `handmap`, its data, and a command that runs from a fresh environment."""

import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from handmap.system.version import BASE, WRITTEN, version_of

ROOT = Path(__file__).resolve().parent.parent
VERBS = {
    "train",
    "train-palm",
    "train-handedness",
    "evaluate",
    "synthesize",
    "draw-guidance",
    "draw-scenes",
    "export",
    "build-engine",
    "calibrate",
    "run",
    "doctor",
    "config",
    "record",
    "check",
    "bench",
    "status",
    "listen",
    "discover",
    "view",
    "robot",
    "bridge",
    "deb",
    "flash-overlay",
}


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(source)], check=True)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(source)]
    subprocess.run(build, check=True, cwd=folder)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="session")
def command(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """`handmap` installed from the wheel in a fresh environment that borrows this one's libraries."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", str(wheel)]
    subprocess.run(install, check=True, cwd=folder)
    # After the fresh site-packages, so that the wheel's own files win over the checkout.
    (Path(site) / "zz_borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin" / "handmap"


def test_the_wheel_holds_one_package_and_its_data(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"handmap"}
    assert "handmap/py.typed" in names
    for data in (
        "engines/kernels/crop.cu",
        "clients/data/plain_hand_left.urdf",
        "clients/data/plain_hand_right.urdf",
        "training/hand/assets/hand.npz",
        "training/datasets/assets/synthetic_hard.json",
        "training/network/kernels/geodesic.cu",
        "clients/c/handmap.h",
        "clients/csharp/HandMap.cs",
    ):
        assert f"handmap/{data}" in names
    assert "handmap/runtime/daemon.py" in names


def test_wheel_and_sources_carry_the_version_of_their_commit(wheel: Path, tmp_path: Path) -> None:
    """The clone that the wheel is built from may or may not have tags: nothing asks for them."""
    clone = wheel.parent / "source"
    version = version_of(clone)
    commit = subprocess.run(
        ["git", "rev-parse", "--short=10", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert wheel.name == f"handmap_edge-{version}-py3-none-any.whl"
    assert version == BASE or f"+g{commit.stdout.strip()}" in version
    assert zipfile.ZipFile(wheel).read(f"{WRITTEN}").decode() == f"{version}\n"

    say = "import sys; from setuptools.build_meta import build_sdist; print(build_sdist(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", say, str(tmp_path)], check=True, cwd=clone, capture_output=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    assert archive.name == f"handmap_edge-{version}.tar.gz"
    shutil.unpack_archive(archive, tmp_path)
    assert version_of(tmp_path / f"handmap_edge-{version}") == version


def test_help_lists_every_verb(command: Path, tmp_path: Path) -> None:
    done = subprocess.run([command, "--help"], check=True, capture_output=True, text=True, cwd=tmp_path)

    listed = {line.split()[0] for line in done.stdout.split("Commands:")[1].splitlines() if line.strip()}
    assert listed >= VERBS


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_explains_itself(command: Path, tmp_path: Path, verb: str) -> None:
    done = subprocess.run([command, verb, "--help"], check=True, capture_output=True, text=True, cwd=tmp_path)

    assert f"handmap {verb}" in done.stdout


def test_a_missing_configuration_is_one_sentence_and_exit_code_78(command: Path, tmp_path: Path) -> None:
    done = subprocess.run([command, "run", "--config", "none.yaml"], capture_output=True, text=True, cwd=tmp_path)

    assert done.returncode == 78
    assert done.stderr.count("\n") == 1
    assert "none.yaml" in done.stderr
