"""The package's control information for dpkg: control file, maintainer scripts, checksums; and the changelog."""

import hashlib
import zipfile
from email.utils import formatdate
from pathlib import Path
from typing import Final

from .contents import CONFIG, DATA, DOC, PACKAGE, WHEELS, Stamp, write_gzip
from .targets import BoardTarget

SCRIPTS: Final = ("preinst", "postinst", "prerm", "postrm")
CONTROL: Final = """\
Package: {package}
Version: {version}
Architecture: {architecture}
Maintainer: {maintainer}
Section: science
Priority: optional
Installed-Size: {installed_kib}
Depends: {depends}
{recommends}Description: 21 joints of a hand from a depth camera, as a service
 The daemon finds the 21 joints of a hand in the images of a depth camera
 and sends them over UDP, in meters and with the time of the image. This
 package is for {name} and contains all libraries for
 Python {python}, so it installs without a network.
"""


def write_control(root: Path, target: BoardTarget, stamp: Stamp) -> None:
    """Writes DEBIAN/ and the changelog into the otherwise complete folder of a package."""
    write_gzip(root / DOC / "changelog.Debian.gz", _changelog(target, stamp))
    folder = root / "DEBIAN"
    folder.mkdir()
    files = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    sums = [f"{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}  {path.relative_to(root)}" for path in files]  # fmt: skip
    (folder / "md5sums").write_text("\n".join(sums) + "\n")
    (folder / "conffiles").write_text(f"/{CONFIG}\n")
    for name in SCRIPTS:
        (folder / name).write_text((DATA / name).read_text().replace("@PYTHON@", target.python))
        (folder / name).chmod(0o755)
    recommends = f"Recommends: {', '.join(target.recommends)}\n" if target.recommends else ""
    text = CONTROL.format(
        package=PACKAGE, version=stamp.version, architecture=target.architecture, maintainer=stamp.maintainer,
        installed_kib=_installed_kib(files, root / WHEELS), recommends=recommends, name=target.name, python=target.python,
        depends=", ".join((*target.python_bounds, f"libc6 (>= 2.{target.glibc_minor}~)", *target.depends)),
    )  # fmt: skip
    (folder / "control").write_text(text)


def _installed_kib(files: list[Path], wheels: Path) -> int:
    """Disk space in KiB after the installation: the files, plus the wheels that postinst unpacks."""
    size = sum(path.stat().st_size for path in files)
    for wheel in wheels.iterdir():
        with zipfile.ZipFile(wheel) as archive:
            size += sum(entry.file_size for entry in archive.infolist())
    return size // 1024


def _changelog(target: BoardTarget, stamp: Stamp) -> str:
    date = formatdate(stamp.epoch_s)
    return (
        f"{PACKAGE} ({stamp.version}) stable; urgency=medium\n\n"
        f"  * Built for {target.name}; see the project's CHANGELOG.md for changes.\n\n"
        f" -- {stamp.maintainer}  {date}\n"
    )
