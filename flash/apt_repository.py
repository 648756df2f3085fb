"""A signed flat apt repository: packages, their index, and signatures, in one folder that any web server or disk can offer."""

import gzip
import shutil
import subprocess
from pathlib import Path
from typing import Final

from handmap.types.errors import ConfigError, DependencyError

from .signing import Signer

ORIGIN: Final = "HandMap Edge"  # what a pin names: Pin: release o=HandMap Edge


def write_repository(folder: Path, system: str, debs: list[Path], architectures: list[str], signer: Signer) -> None:
    """Fills an empty folder with the packages of one system.

    Raises ConfigError if two packages of one name differ, DependencyError without apt-ftparchive.
    """
    for deb in debs:
        place = folder / deb.name
        if place.exists() and place.read_bytes() != deb.read_bytes():
            raise ConfigError(
                f"release: {str(deb)!r} differs from the package of that name and version that is already in the repository; raise the "
                "revision, or leave out --previous"
            )
        shutil.copyfile(deb, place)
    packages = _ftparchive(folder, "packages", ".")
    (folder / "Packages").write_text(packages)
    (folder / "Packages.gz").write_bytes(gzip.compress(packages.encode(), mtime=0))
    facts = {
        "Origin": ORIGIN, "Label": ORIGIN, "Suite": system, "Codename": system, "Architectures": " ".join(architectures),
        "Description": f"{ORIGIN} for {system}",
    }  # fmt: skip
    options = [f"-oAPT::FTPArchive::Release::{name}={value}" for name, value in facts.items()]
    # Written once it is complete, so that it does not list itself.
    release = _ftparchive(folder, *options, "release", ".")
    (folder / "Release").write_text(release)
    signer.sign(folder / "Release", "--clearsign", folder / "InRelease")
    signer.sign(folder / "Release", "--detach-sign", folder / "Release.gpg")


def _ftparchive(folder: Path, *words: str) -> str:
    try:
        done = subprocess.run(["apt-ftparchive", *words], cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise DependencyError("release: this machine has no apt-ftparchive; install apt-utils") from error
    if done.returncode != 0:
        raise DependencyError(
            f"release: apt-ftparchive failed: {' '.join(done.stderr.split()) or 'it printed no error'}"
        )
    return done.stdout
