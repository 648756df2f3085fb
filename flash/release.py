"""Everything that a release consists of, in one folder: sources, wheel, bundle, packages in signed repositories, lists, checksums."""

import gzip
import io
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from handmap.bundle.manifest import read_bundle
from handmap.files.atomic import new_folder
from handmap.types.errors import ConfigError, DependencyError

from .apt_repository import write_repository
from .contents import Stamp, ask_git, build_wheel, checkout_version, copy_sources, tracked
from .deb import MAINTAINER, build_deb, commit_time_s
from .sbom import write_sbom
from .signing import Signer, open_signer
from .targets import BoardTarget
from .wheels import sha256_of

BUNDLE: Final = "models/handmap-hand21"
SUMS: Final = "SHA256SUMS"
KEYRING: Final = "handmap-archive-keyring.gpg"
SDIST: Final = "import sys; from setuptools.build_meta import build_sdist; build_sdist(sys.argv[1])"


@dataclass(frozen=True)
class ReleaseRequest:
    """What to build, and of what."""

    checkout: Path
    out: Path  # must not exist yet
    targets: tuple[BoardTarget, ...]
    cache: Path  # of wheels
    sbom_tool: str
    key: str | None = None  # None: a test key
    previous: Path | None = None  # an earlier release, whose packages stay in the repositories
    revision: int = 1  # of the packages


def build_release(request: ReleaseRequest, say: Callable[[str], None]) -> str:
    """Writes the folder, whole or not at all, and returns the version.

    Raises ConfigError if the checkout cannot be released, DependencyError if a tool or a wheel is missing.
    """
    checkout = request.checkout
    version = checkout_version(checkout)
    _refuse_unreleasable(checkout, version)
    if request.out.exists():
        raise ConfigError(f"release: {str(request.out)!r} is already there; delete it, or name another with --out")
    stamp = Stamp(version, version, MAINTAINER, commit_time_s(checkout))
    with open_signer(request.key) as signer, new_folder(request.out) as folder:
        say(f"version {version}")
        build_wheel(checkout, folder, stamp)
        _build_sources(checkout, folder, stamp)
        _pack_bundle(checkout, folder, stamp.epoch_s)
        (folder / "sbom").mkdir()
        for target in request.targets:
            count = write_sbom(target, checkout, version, request.sbom_tool, folder / f"sbom/{target.name}.cdx.json")
            say(f"{target.name}: {count} libraries listed")
        _build_repositories(request, folder, signer, say)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        (folder / SUMS).write_text("".join(f"{sha256_of(path)}  {path.relative_to(folder)}\n" for path in files))
        signer.sign(folder / SUMS, "--detach-sign", folder / f"{SUMS}.asc")
    say(
        f"signed by {signer.key}{', a test key that nobody keeps: do not distribute this' if signer.is_for_tests else ''}"
    )
    return version


def _refuse_unreleasable(checkout: Path, version: str) -> None:
    """Refuses what would get a wrong version."""
    if ask_git(checkout, "rev-parse", "--is-shallow-repository").stdout.strip() == "true":
        raise ConfigError(
            f"release: {str(checkout)!r} is a shallow clone, in which commits cannot be counted; fetch the rest with: git fetch --unshallow"
        )
    tags = ask_git(checkout, "tag", "--points-at", "HEAD", "--list", "v[0-9]*").stdout.split()
    if tags and not any(version == tag[1:] or version.startswith(f"{tag[1:]}.post0") for tag in tags):
        raise ConfigError(
            f"release: the commit has the tag {tags[0]!r}, and handmap/system/version.py makes it {version!r}; make BASE there and the tag "
            "agree"
        )


def _build_repositories(request: ReleaseRequest, folder: Path, signer: Signer, say: Callable[[str], None]) -> None:
    apt = folder / "apt"
    apt.mkdir()
    signer.write_public_key(apt / KEYRING)
    with tempfile.TemporaryDirectory(prefix="debs-", dir=request.out.parent) as name:
        for system in sorted({target.system for target in request.targets}):
            targets = [target for target in request.targets if target.system == system]
            debs = list(_earlier(request.previous, system))
            for target in targets:
                built = build_deb(target, request.checkout, Path(name), request.cache, request.revision)
                say(f"{built.path.name}: {built.bytes / 1e6:.1f} MB")
                debs.append(built.path)
            (apt / system).mkdir()
            write_repository(apt / system, system, debs, sorted(target.architecture for target in targets), signer)


def _earlier(previous: Path | None, system: str) -> Iterator[Path]:
    if previous is None:
        return
    debs = sorted((previous / "apt" / system).glob("*.deb"))
    if not debs:
        raise ConfigError(
            f"release: {str(previous)!r} has no packages for {system}, wanted an earlier release; correct or leave out --previous"
        )
    yield from debs


def _build_sources(checkout: Path, out: Path, stamp: Stamp) -> None:
    with tempfile.TemporaryDirectory(prefix="handmap-sources-") as name:
        source = Path(name)
        copy_sources(checkout, source, ("",), stamp)
        command = [sys.executable, "-c", SDIST, str(out)]
        done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
            raise DependencyError(f"release: the source archive could not be built with {sys.prefix!r}: {said}")


def _pack_bundle(checkout: Path, out: Path, epoch_s: int) -> None:
    """The shipped bundle as an archive that carries its ID."""
    bundle = read_bundle(checkout / BUNDLE)
    name = f"{Path(BUNDLE).name}-{bundle.id.hex()[:12]}"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for file in tracked(checkout, BUNDLE):
            content = (checkout / file).read_bytes()
            entry = tarfile.TarInfo(f"{name}/{Path(file).relative_to(BUNDLE)}")
            entry.size, entry.mtime, entry.mode = len(content), epoch_s, 0o644
            archive.addfile(entry, io.BytesIO(content))
    (out / f"{name}.tar.gz").write_bytes(gzip.compress(packed.getvalue(), mtime=0))
