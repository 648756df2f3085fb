"""Installs the package and a configuration into an image before flashing, and removes them again. Uses no network."""

import hashlib
import os
import shlex
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from handmap.files.atomic import write_file
from handmap.files.reading import NotJson, encode_json, read_json
from handmap.types.errors import ConfigError

from .chroot import leads_out, need_root, refuse_links_out, run_inside
from .contents import CONFIG, PACKAGE, PREFIX, SHARE, TARGET, UNIT
from .packages import installed_packages, package_states, run_tool
from .preflight import OverlayPlan, OverlayRequest, plan_overlay
from .wheels import sha256_of

MANIFEST: Final = f"{SHARE}/flash-overlay.json"
UNFINISHED: Final = ""  # in place of a sha256


class Placed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An installed package."""

    name: str
    version: str
    sha256: str
    was_there: bool  # before the first run, in any version: kept when our package is removed


class OverlayManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The record of what was done to an image, stored in it."""

    release: str
    packages: tuple[Placed, ...]
    config_sha256: str  # UNFINISHED during a run, and after one that was interrupted
    # sha256 by path of everything that the package and its postinst installed, and of the configuration; the target of a link.
    files: dict[str, str]


@dataclass(frozen=True)
class OverlayOutcome:
    """The result of a run."""

    changed: bool
    packages: tuple[str, ...]
    files: int
    next_command: str


def apply(request: OverlayRequest) -> OverlayOutcome:
    """Installs and enables the service, writes its configuration, and verifies; a complete image is left unchanged.

    Raises ConfigError if a check fails, or if the image's own dpkg or daemon reports an error. A first installation
    is then removed again; if there was an earlier one, its configuration is restored. After a run was killed, the next
    one starts over, and `remove` knows what the killed run had added.
    """
    plan = plan_overlay(request)
    rootfs = request.rootfs
    content = request.config.read_bytes()
    before = read_manifest(rootfs)
    packages = _placed(plan, before)
    wanted = OverlayManifest(
        plan.release.name, packages, hashlib.sha256(content).hexdigest(), before.files if before else {}
    )
    if before == wanted and not damaged(rootfs, before) and _is_enabled(rootfs):
        return _outcome(request, plan, changed=False, files=len(before.files))
    need_root()
    is_first = PACKAGE not in plan.there
    config_before = None if is_first else _read(rootfs / CONFIG)
    _write_manifest(rootfs, msgspec.structs.replace(wanted, config_sha256=UNFINISHED))
    try:
        _install(rootfs, plan)
        _write(rootfs / CONFIG, content)
        _enable(rootfs)
        _verify(rootfs, plan)
        manifest = msgspec.structs.replace(wanted, files=_hashes(rootfs))
        _write_manifest(rootfs, manifest)
    except BaseException:
        if is_first:
            added = [one.name for one in packages if not one.was_there]
            if _purge(rootfs, added).returncode == 0:  # otherwise the manifest stays, and `remove` uses it
                _forget(rootfs)
        elif config_before is not None:
            _write(rootfs / CONFIG, config_before)
        raise
    return _outcome(request, plan, changed=True, files=len(manifest.files))


def remove(tree: Path) -> bool:
    """Purges the package, its configuration, and the packages that the manifest lists; False if nothing was installed.

    Raises ConfigError if dpkg fails, or if a run was killed while it unpacked.
    """
    rootfs = tree / "rootfs"
    refuse_links_out(rootfs)
    manifest = read_manifest(rootfs)
    added = [one.name for one in manifest.packages if not one.was_there] if manifest else [PACKAGE]
    states = package_states(rootfs)
    names = [name for name in added if name in states]
    if not names and manifest is None:
        return False
    need_root()
    half = [name for name in names if states[name] == "half-installed"]
    if half:
        raise ConfigError(
            f"flash-overlay: {', '.join(half)} was left half unpacked in {str(rootfs)!r} by a killed run, so dpkg does not know "
            "its files; repeat the same flash-overlay command, then run it with --remove"
        )
    done = _purge(rootfs, names) if names else None
    if done is not None and done.returncode != 0:
        raise ConfigError(
            f"flash-overlay: dpkg in the image could not remove {', '.join(names)}: {_last(done)}; fix that and try again"
        )
    _forget(rootfs)
    return True


def read_manifest(rootfs: Path) -> OverlayManifest | None:
    """The manifest of an earlier run in the image, if there is one.

    Raises ConfigError if it cannot be read.
    """
    path = rootfs / MANIFEST
    if not path.is_file():
        return None
    try:
        return read_json(path, OverlayManifest)
    except NotJson as error:
        raise ConfigError(
            f"flash-overlay: {str(path)!r} is not a manifest of flash-overlay ({error}); delete it and run this again"
        ) from error


def damaged(rootfs: Path, manifest: OverlayManifest) -> list[str]:
    """Files that differ from the manifest."""
    return [name for name, digest in manifest.files.items() if not _is(rootfs / name, digest)]


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _is(path: Path, digest: str) -> bool:
    return (path.is_file() or path.is_symlink()) and _digest(path) == digest


def _digest(path: Path) -> str:
    return f"link to {os.readlink(path)}" if path.is_symlink() else sha256_of(path)


def _write(path: Path, content: bytes) -> None:
    """Writes a file of the image and creates its folder so that the daemon can read it; dpkg later keeps that folder."""
    try:
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True)
            path.parent.chmod(0o755)
        write_file(path, content)
    except OSError as error:
        raise ConfigError(
            f"flash-overlay: {str(path)!r} cannot be written ({error.strerror}); free some space, or make it writable, and try again"
        ) from error


def _write_manifest(rootfs: Path, manifest: OverlayManifest) -> None:
    _write(rootfs / MANIFEST, encode_json(manifest))


def _forget(rootfs: Path) -> None:
    """Removes the manifest, and its folder if that is then empty."""
    (rootfs / MANIFEST).unlink(missing_ok=True)
    with suppress(OSError):
        (rootfs / MANIFEST).parent.rmdir()


def _placed(plan: OverlayPlan, before: OverlayManifest | None) -> tuple[Placed, ...]:
    """The packages of this run and of earlier ones, which are removed together."""
    known = {one.name: one for one in before.packages} if before else {}
    for deb in plan.debs:
        was_there = known[deb.name].was_there if deb.name in known else deb.name in plan.there and deb.name != PACKAGE
        known[deb.name] = Placed(deb.name, deb.version, deb.sha256, was_there)
    return tuple(known[name] for name in sorted(known))


def _install(rootfs: Path, plan: OverlayPlan) -> None:
    paths = {deb.name: deb.path for deb in plan.debs}
    names = [f"/tmp/debs/{name}.deb" for name in paths]
    done = run_inside(rootfs, "dpkg", "--force-confold", "--install", *names, debs=paths)
    if done.returncode != 0:
        raise ConfigError(
            f"flash-overlay: dpkg in the image could not install {len(names)} packages: {_last(done)}; fix that and try again"
        )


def _enable(rootfs: Path) -> None:
    done = run_tool("systemctl", f"--root={rootfs}", "enable", UNIT)
    if done.returncode != 0:
        raise ConfigError(
            f"flash-overlay: systemctl could not enable {UNIT} in the image: {_last(done)}; fix that, a masked unit with: "
            f"sudo systemctl --root={shlex.quote(str(rootfs))} unmask {UNIT}"
        )


def _is_enabled(rootfs: Path) -> bool:
    """Whether both of the links exist that make the boot start the daemon."""
    asked = [run_tool("systemctl", f"--root={rootfs}", "is-enabled", unit) for unit in (UNIT, TARGET)]
    return all(done.returncode == 0 for done in asked)


def _verify(rootfs: Path, plan: OverlayPlan) -> None:
    """Verifies with the image's own programs: dpkg's database, and the daemon with its new configuration."""
    ours = plan.debs[-1]
    if installed_packages(rootfs).get(PACKAGE) != ours.version:
        raise ConfigError(
            f"flash-overlay: after the installation the image has no {PACKAGE} {ours.version}; see its dpkg log"
        )
    done = run_inside(rootfs, "handmap", "run", "--config", f"/{CONFIG}", "--validate")
    if done.returncode != 0:
        raise ConfigError(f"flash-overlay: the image's daemon rejects the configuration: {_last(done)}")


def _hashes(rootfs: Path) -> dict[str, str]:
    """Hashes of the package's files in the image and of the Python environment, without bytecode."""
    listed = (rootfs / f"var/lib/dpkg/info/{PACKAGE}.list").read_text().splitlines()
    made = (str(path.relative_to(rootfs)) for path in (rootfs / PREFIX).rglob("*") if path.suffix != ".pyc")
    names = sorted({name.lstrip("/") for name in listed if name != "/."} | set(made))
    paths = {name: rootfs / name for name in names if not leads_out(rootfs, (rootfs / name).parent)}
    return {name: _digest(path) for name, path in paths.items() if path.is_file() or path.is_symlink()}


def _purge(rootfs: Path, names: list[str]) -> subprocess.CompletedProcess[str]:
    return run_inside(rootfs, "dpkg", "--purge", *names)


def _last(done: subprocess.CompletedProcess[str]) -> str:
    """The last lines of a program's output, which say what went wrong, joined."""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return " / ".join(lines[-4:]) or f"no output, exit code {done.returncode}"


def _outcome(request: OverlayRequest, plan: OverlayPlan, changed: bool, files: int) -> OverlayOutcome:
    names = tuple(f"{deb.name} {deb.version}" for deb in plan.debs)
    flash = f"cd {shlex.quote(os.path.realpath(request.tree))} && {plan.release.flash}"
    return OverlayOutcome(changed, names, files, flash)
