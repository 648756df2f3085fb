"""Puts the package and a configuration into an image that is not yet flashed, and takes them out again. Fetches nothing."""

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
from handmap.types.errors import ConfigError

from .chroot import need_root, run_inside
from .contents import CONFIG, PACKAGE, PREFIX, SHARE, TARGET, UNIT
from .packages import installed_packages, package_states, run_tool
from .preflight import OverlayPlan, OverlayRequest, plan_overlay, refuse_links_out
from .wheels import sha256_of

MANIFEST: Final = f"{SHARE}/flash-overlay.json"
UNFINISHED: Final = ""  # in the place of a sha256


class Placed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A package that was installed."""

    name: str
    version: str
    sha256: str
    was_there: bool  # before the first run, in whatever version: stays when ours is removed


class OverlayManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was done to an image; lies in it."""

    release: str
    packages: tuple[Placed, ...]
    config_sha256: str  # UNFINISHED while a run is at work, and after one that did not end
    # sha256 by path: all that the package and its postinst put there, and the configuration; of a link, where it leads.
    files: dict[str, str]


@dataclass(frozen=True)
class OverlayOutcome:
    """The end of a run."""

    changed: bool
    packages: tuple[str, ...]
    files: int
    next_command: str


def apply(request: OverlayRequest) -> OverlayOutcome:
    """Installs, enables, drops the configuration, verifies; an image that has all of it already is left as it is.

    Raises ConfigError where a check fails, or the image's own dpkg or daemon refuses; a first installation
    is then taken out again, and over an earlier one the configuration is put back. After a run that was killed
    the next one begins anew, and `remove` knows what it had added.
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
            if _purge(rootfs, added).returncode == 0:  # else the manifest stays, and `remove` goes by it
                _forget(rootfs)
        elif config_before is not None:
            _write(rootfs / CONFIG, config_before)
        raise
    return _outcome(request, plan, changed=True, files=len(manifest.files))


def remove(tree: Path) -> bool:
    """Purges the package, its configuration, and what the manifest says was installed with it; False where nothing was there.

    Raises ConfigError where dpkg refuses, or a run was killed while it unpacked.
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
            f"flash-overlay: {', '.join(half)} was left half unpacked in {str(rootfs)!r} by a run that was killed, so dpkg does not know "
            "its files; run flash-overlay once more as before, then with --remove"
        )
    done = _purge(rootfs, names) if names else None
    if done is not None and done.returncode != 0:
        raise ConfigError(
            f"flash-overlay: removing {', '.join(names)}, dpkg in the image said: {_last(done)}; mend that and try again"
        )
    _forget(rootfs)
    return True


def read_manifest(rootfs: Path) -> OverlayManifest | None:
    """What an earlier run left in the image, if one did.

    Raises ConfigError where it cannot be read.
    """
    path = rootfs / MANIFEST
    if not path.is_file():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=OverlayManifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"flash-overlay: {str(path)!r} is no manifest of ours ({error}); delete it and run this again"
        ) from error


def damaged(rootfs: Path, manifest: OverlayManifest) -> list[str]:
    """Files that are not as the manifest says."""
    return [name for name, digest in manifest.files.items() if not _is(rootfs / name, digest)]


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _is(path: Path, digest: str) -> bool:
    return (path.is_file() or path.is_symlink()) and _digest(path) == digest


def _digest(path: Path) -> str:
    return f"link to {os.readlink(path)}" if path.is_symlink() else sha256_of(path)


def _write(path: Path, content: bytes) -> None:
    """A file of the image, and its folder, which dpkg leaves as it is if it comes later: the daemon must get in."""
    try:
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True)
            path.parent.chmod(0o755)
        write_file(path, content)
    except OSError as error:
        raise ConfigError(
            f"flash-overlay: {str(path)!r} cannot be written ({error.strerror}); make room for it, or make it writable, and try again"
        ) from error


def _write_manifest(rootfs: Path, manifest: OverlayManifest) -> None:
    _write(rootfs / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=1) + b"\n")


def _forget(rootfs: Path) -> None:
    """Removes the manifest, and its folder if nothing else is in it."""
    (rootfs / MANIFEST).unlink(missing_ok=True)
    with suppress(OSError):
        (rootfs / MANIFEST).parent.rmdir()


def _placed(plan: OverlayPlan, before: OverlayManifest | None) -> tuple[Placed, ...]:
    """The packages of this run, and those that an earlier one added: they go together."""
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
            f"flash-overlay: installing {len(names)} packages, dpkg in the image said: {_last(done)}; mend that and try again"
        )


def _enable(rootfs: Path) -> None:
    done = run_tool("systemctl", f"--root={rootfs}", "enable", UNIT)
    if done.returncode != 0:
        raise ConfigError(
            f"flash-overlay: enabling {UNIT} in the image, systemctl said: {_last(done)}; mend that, a unit that is masked with: "
            f"sudo systemctl --root={shlex.quote(str(rootfs))} unmask {UNIT}"
        )


def _is_enabled(rootfs: Path) -> bool:
    """Whether both links are there that lead from the boot to the daemon."""
    asked = [run_tool("systemctl", f"--root={rootfs}", "is-enabled", unit) for unit in (UNIT, TARGET)]
    return all(done.returncode == 0 for done in asked)


def _verify(rootfs: Path, plan: OverlayPlan) -> None:
    """Asks the image's own programs: package database, and the daemon on the configuration that it will have."""
    ours = plan.debs[-1]
    if installed_packages(rootfs).get(PACKAGE) != ours.version:
        raise ConfigError(
            f"flash-overlay: after the installation the image has no {PACKAGE} {ours.version}; look at its dpkg log"
        )
    done = run_inside(rootfs, "handmap", "run", "--config", f"/{CONFIG}", "--validate")
    if done.returncode != 0:
        raise ConfigError(f"flash-overlay: the daemon of the image refuses the configuration: {_last(done)}")


def _hashes(rootfs: Path) -> dict[str, str]:
    """Of the package's files and of the Python environment, without the byte code that only repeats it."""
    listed = (rootfs / f"var/lib/dpkg/info/{PACKAGE}.list").read_text().splitlines()
    made = (str(path.relative_to(rootfs)) for path in (rootfs / PREFIX).rglob("*") if path.suffix != ".pyc")
    names = sorted({name.lstrip("/") for name in listed if name != "/."} | set(made))
    paths = {name: rootfs / name for name in names}
    return {name: _digest(path) for name, path in paths.items() if path.is_file() or path.is_symlink()}


def _purge(rootfs: Path, names: list[str]) -> subprocess.CompletedProcess[str]:
    return run_inside(rootfs, "dpkg", "--purge", *names)


def _last(done: subprocess.CompletedProcess[str]) -> str:
    """The lines that say what went wrong, as one."""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return " / ".join(lines[-4:]) or f"nothing, and ended with {done.returncode}"


def _outcome(request: OverlayRequest, plan: OverlayPlan, changed: bool, files: int) -> OverlayOutcome:
    names = tuple(f"{deb.name} {deb.version}" for deb in plan.debs)
    return OverlayOutcome(
        changed, names, files, f"cd {shlex.quote(os.path.realpath(request.tree))} && {plan.release.flash}"
    )
