"""The package: reproducible, complete, with the right dependencies for apt; and clear errors where it cannot be built."""

import hashlib
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from flash.commands import deb
from flash.contents import DATA, FOLDERS
from flash.deb import build_deb
from flash.targets import TARGETS
from handmap.types.errors import ConfigError, DependencyError
from tests.flash.small_checkout import WHEEL, small_checkout

if shutil.which("dpkg-deb") is None:
    pytest.skip("needs dpkg-deb", allow_module_level=True)
AMD64 = TARGETS["debian12-amd64"]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return small_checkout(tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="module")
def package(sources: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_deb(AMD64, sources[0], tmp_path_factory.mktemp("out"), sources[1]).path


def field(package: Path, name: str) -> str:
    return subprocess.run(["dpkg-deb", "-f", package, name], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def unpacked(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    subprocess.run(["dpkg-deb", "-R", package, folder], check=True)
    return folder


def test_builds_are_reproducible_for_any_umask(sources: tuple[Path, Path], package: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", sources[0], clone], check=True)
    before = os.umask(0o077)
    try:
        again = build_deb(AMD64, clone, tmp_path / "out", sources[1])
    finally:
        os.umask(before)

    assert again.path.name == package.name
    assert again.path.read_bytes() == package.read_bytes()


def test_a_source_change_changes_the_package(sources: tuple[Path, Path], package: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", sources[0], clone], check=True)
    (clone / "handmap" / "__init__.py").write_text('__version__ = "other"\n')

    assert build_deb(AMD64, clone, tmp_path / "out", sources[1]).path.read_bytes() != package.read_bytes()


def test_everything_is_in_its_place(unpacked: Path, sources: tuple[Path, Path]) -> None:
    for source, place in FOLDERS.items():
        names = {path.name for path in (sources[0] / source).iterdir()}
        assert names and names <= {path.name for path in (unpacked / place).iterdir()}
    wheels = {path.name for path in (unpacked / "usr/share/handmap/wheels").iterdir()}
    assert wheels == {WHEEL, "handmap_edge-0.2.0-py3-none-any.whl"}
    assert os.readlink(unpacked / "usr/bin/handmap") == "../lib/handmap/venv/bin/handmap"
    assert (unpacked / "DEBIAN/conffiles").read_text() == "/etc/handmap/config.yaml\n"
    subprocess.run(["md5sum", "--check", "--quiet", "DEBIAN/md5sums"], check=True, cwd=unpacked)


def test_git_ignored_files_stay_out(sources: tuple[Path, Path], tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", sources[0], clone], check=True)
    (clone / ".gitignore").write_text("*.engine\n")
    (clone / "models/handmap-hand21/foreign.engine").write_text("not ours")
    (clone / "models/handmap-hand21/Größe.txt").write_text("ours")
    built = build_deb(AMD64, clone, tmp_path / "out", sources[1])

    subprocess.run(["dpkg-deb", "-x", built.path, tmp_path / "root"], check=True)
    folder = tmp_path / "root/usr/share/handmap/models/handmap-hand21"
    assert {path.name for path in folder.iterdir()} == {"content.txt", "Größe.txt"}


@pytest.mark.parametrize(
    ("name", "architecture", "python", "recommends"),
    [
        ("debian12-amd64", "amd64", "python3 (>= 3.11~), python3 (<< 3.12~)", ""),
        ("jetpack6", "arm64", "python3 (>= 3.10~), python3 (<< 3.11~)", "python3-libnvinfer"),
        ("jetpack7", "arm64", "python3 (>= 3.12~), python3 (<< 3.13~)", "python3-libnvinfer"),
    ],
)
def test_each_target_declares_its_dependencies(
    sources: tuple[Path, Path], tmp_path: Path, name: str, architecture: str, python: str, recommends: str
) -> None:
    built = build_deb(TARGETS[name], sources[0], tmp_path, sources[1], revision=3)

    depends = field(built.path, "Depends")
    assert depends.startswith(python) and "procps" in depends
    assert ("libusb-1.0-0" in depends) == name.startswith("jetpack")
    assert field(built.path, "Recommends") == recommends
    assert field(built.path, "Architecture") == architecture
    assert field(built.path, "Version") == built.version == f"0.2.0-3.{TARGETS[name].system}"


@pytest.mark.parametrize("script", ["preinst", "postinst", "prerm", "postrm"])
def test_maintainer_scripts_are_shell(unpacked: Path, script: str) -> None:
    assert not re.search(r"@[A-Z]+@", (unpacked / "DEBIAN" / script).read_text()), "a placeholder was not filled in"
    subprocess.run(["sh", "-n", unpacked / "DEBIAN" / script], check=True)


@pytest.mark.parametrize(("script", "action"), [("preinst", "install"), ("postinst", "configure")])
def test_another_python_is_rejected_in_one_sentence(unpacked: Path, tmp_path: Path, script: str, action: str) -> None:
    other = tmp_path / "python3"
    other.write_text("#!/bin/sh\necho 3.9\n")
    other.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        [unpacked / "DEBIAN" / script, action], capture_output=True, text=True, check=False, env={"PATH": path}
    )

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "wheels for Python 3.11, found python3 3.9" in done.stderr


def test_the_environment_is_unpacked_without_pip_and_replaced_atomically(unpacked: Path, tmp_path: Path) -> None:
    place = tmp_path / "venv"
    make: list[str | Path] = [
        sys.executable,
        "-I",
        unpacked / "usr/lib/handmap/unpack_wheels.py",
        unpacked / "usr/share/handmap/wheels",
        place,
    ]
    subprocess.run(make, check=True)
    (place / "left over").touch()
    subprocess.run(make, check=True)

    say = "import tiny, beside, handmap; print(tiny.ANSWER, tiny.__cached__, handmap.__version__)"
    done = subprocess.run([place / "bin/python3", "-I", "-c", say], check=True, capture_output=True, text=True)
    answer, cached, version = done.stdout.split()
    assert (answer, version) == ("42", "0.2.0")
    assert Path(cached).is_file() and cached.startswith(str(place))
    assert {path.name for path in tmp_path.iterdir()} == {"venv"}
    assert not (place / "left over").exists()
    assert (place / "bin/handmap").read_text().startswith(f"#!{place}/bin/python3 -I\n")


def test_an_incomplete_environment_is_never_installed(unpacked: Path, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / WHEEL).write_bytes(b"no zip")
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv/works").touch()
    make: list[str | Path] = [
        sys.executable,
        "-I",
        unpacked / "usr/lib/handmap/unpack_wheels.py",
        wheels,
        tmp_path / "venv",
    ]

    assert subprocess.run(make, capture_output=True, check=False).returncode != 0
    assert (tmp_path / "venv/works").exists()


def test_an_environment_is_installed_only_after_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, seen = tmp_path / "venv", []
    monkeypatch.setattr(os, "sync", lambda: seen.append((place.exists(), (tmp_path / "venv.new/bin/handmap").exists())))

    runpy.run_path(str(DATA / "unpack_wheels.py"))["make_environment"](tmp_path, place)

    assert seen == [(False, True)] and place.exists()


def test_a_folder_that_is_not_a_checkout_is_rejected(sources: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(sources[0], tmp_path / "bare", ignore=shutil.ignore_patterns(".git"))

    with pytest.raises(
        ConfigError, match=r"has no commit to take timestamps from \(fatal: not a git repository.*\); set"
    ):
        build_deb(AMD64, tmp_path / "bare", tmp_path, sources[1])
    assert not list(tmp_path.glob("*.deb"))


def test_missing_git_is_reported(sources: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(DependencyError, match=r"this machine has none; install it"):
        build_deb(AMD64, sources[0], tmp_path, sources[1])


def test_an_unwritable_folder_is_reported_in_one_sentence(sources: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "out").write_text("no folder")

    with pytest.raises(
        ConfigError, match=r"out/handmap_.*\.deb' cannot be written \(.*File exists.*\).*free some space"
    ):
        build_deb(AMD64, sources[0], tmp_path / "out", sources[1])


def test_a_checkout_without_units_is_rejected(sources: tuple[Path, Path], tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", sources[0], clone], check=True)
    shutil.rmtree(clone / "systemd/system")

    with pytest.raises(ConfigError, match="no files in systemd/system/"):
        build_deb(AMD64, clone, tmp_path, sources[1])


def test_the_command_prints_what_it_wrote(sources: tuple[Path, Path], package: Path, tmp_path: Path) -> None:
    words = ["--target", "debian12-amd64", "--checkout", str(sources[0]), "--cache", str(sources[1])]
    out = tmp_path / "my packages"
    shown = CliRunner().invoke(deb, [*words, "--out", str(out)], catch_exceptions=False).output
    done = CliRunner().invoke(deb, [*words, "--out", str(out), "--json"], catch_exceptions=False)

    facts = json.loads(done.output)
    assert Path(facts["deb"]).read_bytes() == package.read_bytes()
    assert facts["sha256"] == hashlib.sha256(package.read_bytes()).hexdigest()
    assert shown.endswith(f"install with: sudo apt install '{facts['deb']}'\n")
    assert (facts["version"], facts["wheels"]) == ("0.2.0-1.debian12", 2)
