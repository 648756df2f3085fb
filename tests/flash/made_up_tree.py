"""A Linux_for_Tegra folder with just enough of a root file system for the checks, and small packages to install in it."""

import subprocess
from pathlib import Path

RELEASE = (
    "# R{major} (release), REVISION: {rest}, GCID: 39721438, BOARD: generic, EABI: aarch64, DATE: Thu Jan  9 2026\n"
)
PRESENT = {
    "dpkg": "1.21.1",
    "python3": "3.10.6-1~22.04",
    "libc6": "2.35-0ubuntu3",
    "procps": "2:3.3.17",
    "libwidget2": "2.0",
}


def made_up_tree(folder: Path, major: int = 36, rest: str = "4.7", architecture: str = "amd64") -> Path:
    """The folder, with a package database that lists PRESENT, and one package that was removed but not purged."""
    rootfs = folder / "Linux_for_Tegra" / "rootfs"
    (rootfs / "etc").mkdir(parents=True)
    (rootfs / "etc/nv_tegra_release").write_text(RELEASE.format(major=major, rest=rest))
    (rootfs / "var/lib/dpkg/info").mkdir(parents=True)
    (rootfs / "var/lib/dpkg/updates").mkdir()
    rows = [_entry(name, version, architecture, "install ok installed") for name, version in PRESENT.items()]
    rows.append(_entry("libgone1", "1.0", architecture, "deinstall ok config-files"))
    (rootfs / "var/lib/dpkg/status").write_text("\n".join(rows))
    return rootfs.parent


def small_deb(
    folder: Path, name: str = "handmap", architecture: str = "amd64", holds: dict[str, str] | None = None, **fields: str
) -> Path:
    """A package with these files; further control fields by name, with _ for -."""
    root = folder / f"{name}-root"
    (root / "DEBIAN").mkdir(parents=True)
    given = {"Version": "1.0-1", "Depends": "python3 (>= 3.10~), python3 (<< 3.11~), procps"} | {
        key.replace("_", "-"): value for key, value in fields.items()
    }
    lines = [f"Package: {name}", f"Architecture: {architecture}", "Maintainer: a <a@b.invalid>", "Description: x"]
    (root / "DEBIAN/control").write_text(
        "\n".join([*lines, *(f"{key}: {value}" for key, value in given.items())]) + "\n"
    )
    for place, content in (holds or {}).items():
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_text(content)
    out = folder / f"{name}.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", root, out], check=True, capture_output=True)
    return out


def _entry(name: str, version: str, architecture: str, status: str) -> str:
    provides = "Provides: widget (= 2.0)\n" if name == "libwidget2" else ""
    return (
        f"Package: {name}\nStatus: {status}\nArchitecture: {architecture}\nMaintainer: a <a@b.invalid>\n"
        f"Version: {version}\n{provides}Description: x\n"
    )
