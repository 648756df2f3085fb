"""Lock files of wheels: parsed strictly, and every file is checked against its sha256 before use."""

import re
import subprocess
import sysconfig
import zipfile
from pathlib import Path

import pytest

from flash.data.unpack_wheels import make_environment
from flash.targets import TARGETS, BoardTarget
from flash.wheels import fetch_wheels, read_lock
from handmap.types.errors import ConfigError, DependencyError

ROOT = Path(__file__).resolve().parents[2]
DIGEST = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of b"abc"
NAME = "no_such_library_of_ours-1.0-py3-none-any.whl"
TARGET = TARGETS["debian12-amd64"]


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_every_locked_wheel_fits_its_target(target: BoardTarget) -> None:
    tag = f"cp{target.python.replace('.', '')}"

    for name in read_lock(target.lock(ROOT)):
        python, abi, platforms = name.removesuffix(".whl").split("-")[-3:]
        assert platforms == "any" or set(platforms.split(".")) & set(target.platforms), name
        assert tag in python.split(".") or "py3" in python.split(".") or abi == "abi3", name


@pytest.mark.parametrize("name", ["jetpack6", "jetpack7"])
def test_a_boards_lock_holds_exactly_the_pinned_versions(name: str) -> None:
    pins = (ROOT / "constraints" / f"{name}.txt").read_text().splitlines()
    locked = {"==".join(wheel.split("-")[:2]) for wheel in read_lock(TARGETS[name].lock(ROOT))}

    def normal(text: str) -> str:
        return re.sub(r"[-_.]+(?=.*==)", "-", text).lower()

    assert {normal(row) for row in locked} == {normal(row) for row in pins if row and not row.startswith("#")}


@pytest.mark.parametrize("name", ["debian12-amd64", "debian12-arm64"])
def test_debian_gets_neither_camera_nor_gpu_libraries(name: str) -> None:
    names = " ".join(read_lock(TARGETS[name].lock(ROOT)))

    assert "onnxruntime" in names and "cupy" not in names and "pyrealsense2" not in names


def test_a_valid_cached_wheel_is_used_without_pip(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"abc")

    assert fetch_wheels(TARGET, {NAME: DIGEST}, tmp_path) == [tmp_path / NAME]


def test_a_modified_wheel_is_rejected(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"abd")

    with pytest.raises(ConfigError, match=f"has sha256 .*, wanted {DIGEST} .*; delete the file"):
        fetch_wheels(TARGET, {NAME: DIGEST}, tmp_path)


def test_a_failed_download_is_reported_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")

    with pytest.raises(DependencyError, match=r"pip downloaded 0 of 1 wheels .*: ERROR: No matching distribution"):
        fetch_wheels(TARGET, {NAME: DIGEST}, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "line",
    [
        "",
        f"{DIGEST} {NAME}",
        f"{DIGEST[1:]}  {NAME}",
        f"{DIGEST}  ../{NAME}",
        f"{DIGEST}  {NAME}.txt",
        f"{'g' * 64}  {NAME}",
    ],
)
def test_a_malformed_line_is_rejected(tmp_path: Path, line: str) -> None:
    (tmp_path / "x.lock").write_text(f"{DIGEST}  good-1.0-py3-none-any.whl\n{line}\n")

    with pytest.raises(ConfigError, match="line 2: found"):
        read_lock(tmp_path / "x.lock")


def test_a_duplicate_name_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "x.lock").write_text(f"{DIGEST}  {NAME}\n" * 2)

    with pytest.raises(ConfigError, match="occurs once"):
        read_lock(tmp_path / "x.lock")


def test_a_missing_lock_names_the_command_that_writes_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="write_locks"):
        read_lock(tmp_path / "x.lock")


def test_the_installed_command_imports_nothing_from_the_current_folder_or_the_home(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    prints = "import sys\n\ndef main():\n    import trap\n\ntry:\n    main()\nexcept ModuleNotFoundError:\n    print('safe')\n"
    with zipfile.ZipFile(tmp_path / "wheels/handmap-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("handmap/__init__.py", "")
        wheel.writestr("handmap/__main__.py", f"{prints}\n\ndef main():\n    return 0\n")
    make_environment(tmp_path / "wheels", tmp_path / "venv")
    own = Path(sysconfig.get_path("purelib", "posix_user", {"userbase": str(tmp_path / "home/.local")}))
    for folder in (tmp_path / "here", own):
        folder.mkdir(parents=True)
        for name in ("trap", "usercustomize"):
            (folder / f"{name}.py").write_text("print('trapped', __name__)\n")
    environment = {"HOME": str(tmp_path / "home"), "PYTHONPATH": ":"}

    done = subprocess.run(
        [tmp_path / "venv/bin/handmap"],
        cwd=tmp_path / "here",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout, done.stderr, done.returncode) == ("safe\n", "", 0)
