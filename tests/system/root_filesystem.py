"""A root file system of Debian 12 with the daemon installed as a board has it: made once, then laid under overlays that are thrown away."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import tomllib

ROOT: Final = Path(__file__).resolve().parents[2]
CACHE: Final = ROOT / ".cache" / "system"
WHEELS: Final = ROOT / ".cache" / "wheels"
MIRROR: Final = "http://deb.debian.org/debian"
PACKAGES: Final = ("systemd", "systemd-sysv", "dbus", "udev", "kmod", "procps", "python3", "python3-venv")
VENV: Final = "/usr/lib/handmap/venv"
SYSTEMD: Final = ROOT / "systemd"
# Where the .deb puts what lies in systemd/.
PLACES: Final = {
    "system": "usr/lib/systemd/system",
    "system-preset": "usr/lib/systemd/system-preset",
    "journald@handmap.conf.d": "usr/lib/systemd/journald@handmap.conf.d",
    "sysusers.d": "usr/lib/sysusers.d",
    "tmpfiles.d": "usr/lib/tmpfiles.d",
    "udev/rules.d": "usr/lib/udev/rules.d",
    "drop-ins": "usr/share/handmap/drop-ins",
}


def run(*command: str | Path, **more: str) -> str:
    """Standard output of a command; AssertionError with all that it said where it fails."""
    # What this machine's pip is told of its own places means nothing elsewhere.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")} | more
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout


def inside(root: Path, *command: str, bind: tuple[str, ...] = ()) -> str:
    """What a command says that runs in a root file system without its systemd."""
    binds = [f"--bind-ro={pair}" for pair in bind]
    return run("systemd-nspawn", "-q", "--pipe", "--register=no", "--keep-unit", *binds, "-D", root, *command)


def debian(architecture: str) -> Path:
    """Debian 12 with systemd and Python, as it comes; built where the cache has none of this kind."""
    kind = hashlib.sha256("\n".join(PACKAGES).encode()).hexdigest()[:12]
    folder = CACHE / f"debian-{architecture}-{kind}"
    if not folder.is_dir():
        with _half(folder) as half:
            _bootstrap(half, architecture)
    return folder


def _bootstrap(folder: Path, architecture: str) -> None:
    packages, for_it = f"--include={','.join(PACKAGES)}", f"--architectures={architecture}"
    made_by = ("mmdebstrap", "--quiet", "--variant=minbase", packages, for_it, "bookworm", folder, MIRROR)
    run("unshare", "--mount", "--propagation", "private", *made_by)  # its mounts end with it, however that ends


@contextmanager
def _half(folder: Path) -> Iterator[Path]:
    """A new folder that takes this name once it is whole."""
    CACHE.mkdir(parents=True, exist_ok=True)
    half = Path(tempfile.mkdtemp(prefix=".half-", suffix=".tmp", dir=CACHE))
    try:
        yield half
        half.chmod(0o755)
        half.rename(folder)
    finally:
        shutil.rmtree(half, ignore_errors=True)


def base() -> Path:
    """Debian and the libraries of the daemon in its venv, without the daemon; built where the cache has none of this kind."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    libraries = [*project["dependencies"], *project["optional-dependencies"]["host"]]
    kind = hashlib.sha256("\n".join((*PACKAGES, *libraries)).encode()).hexdigest()[:12]
    folder = CACHE / f"base-{kind}"
    if not folder.is_dir():
        WHEELS.mkdir(parents=True, exist_ok=True)
        # The machine's own pip configuration may say where wheels are to be had.
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "-q", "-d", WHEELS, "--only-binary=:all:", "--python-version", "3.11",
             "--platform", "manylinux_2_28_x86_64", "--platform", "manylinux2014_x86_64", "--platform", "manylinux1_x86_64", "pip", *libraries],
            check=True, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        with _half(folder) as half:
            _bootstrap(half, "amd64")
            inside(half, "python3", "-m", "venv", VENV)
            install = (f"{VENV}/bin/pip", "install", "-q", "--no-index", "--find-links", "/wheels")
            inside(half, *install, *libraries, bind=(f"{WHEELS}:/wheels",))
            (half / "usr/bin/handmap").symlink_to("../lib/handmap/venv/bin/handmap")
    return folder


@contextmanager
def overlay(*lower: Path) -> Iterator[tuple[Path, Path]]:
    """The lower folders, uppermost first, as one that can be written; gives it and the folder of what is written."""
    scratch = Path(tempfile.mkdtemp(prefix="handmap-system-"))
    merged, upper = scratch / "merged", scratch / "memory" / "upper"
    run("mount", "-t", "tmpfs", "-o", "size=3g", "tmpfs", _new(scratch / "memory"))
    try:
        layers = f"lowerdir={':'.join(map(str, lower))},upperdir={_new(upper)},workdir={_new(scratch / 'memory/work')}"
        run("mount", "-t", "overlay", "overlay", "-o", layers, _new(merged))
        try:
            yield merged, upper
        finally:
            run("umount", "-l", merged)
    finally:
        run("umount", "-l", scratch / "memory")
        shutil.rmtree(scratch)


@contextmanager
def installed() -> Iterator[tuple[Path, Path]]:
    """The layers, uppermost first, of a system with this checkout installed and its units enabled by one command."""
    with overlay(base()) as (root, upper):
        with tempfile.TemporaryDirectory() as folder:
            wheel = _build_wheel(Path(folder))
            install = (f"{VENV}/bin/pip", "install", "-q", "--no-index", "--no-deps")
            inside(root, *install, f"/wheel/{wheel.name}", bind=(f"{wheel.parent}:/wheel",))
        for source, place in PLACES.items():
            (root / place).mkdir(parents=True, exist_ok=True)
            for file in (SYSTEMD / source).iterdir():
                shutil.copyfile(file, root / place / file.name)
        shutil.copytree(ROOT / "models", root / "usr/share/handmap/models")
        (root / "etc/handmap").mkdir()
        run("systemctl", f"--root={root}", "enable", "handmap.service")
        yield upper, base()


def _build_wheel(folder: Path) -> Path:
    """The wheel of what git knows of this checkout, changes included, built in a copy."""
    listed = run("git", "-C", ROOT, "ls-files", "-co", "--exclude-standard", "--deduplicate")
    for name in listed.splitlines():
        if (ROOT / name).is_file() and not name.startswith(("models/", "tests/", "docs/")):
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / "source" / name)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder / "wheel", folder / "source"], check=True
    )
    (wheel,) = (folder / "wheel").iterdir()
    return wheel


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder
