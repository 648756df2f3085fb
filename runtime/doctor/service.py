"""Checks of the system service: its units, their state in systemd, the journal, and the rights of its files."""

import shlex
from pathlib import Path
from typing import Final

from handmap.system.drop_ins import drop_in_folder

from .account import ENTER, READ, hidden_by, lets_write, read_unit
from .context import Check, DoctorContext, Finding, failed, ok, warning
from .instances import ETC, starts_at_boot
from .isolation import VENV
from .machine import NotApplicable

SYSTEMD: Final = "/run/systemd/system"
PROPERTIES: Final = ("ActiveState", "SubState", "Result", "ExecMainStatus", "NRestarts", "StatusText")
WRONG_CONFIG: Final = "78"
MANY_RESTARTS: Final = 3
OTHERS_WRITE: Final = 0o022
STATE: Final = "/var/lib/handmap"  # visible to the unit's process
# The units log to a namespace of their own; what systemd itself says about them is in the machine's journal, hence the +.
JOURNAL: Final = "--namespace=+handmap"


def check_installed(context: DoctorContext) -> Finding:
    """Whether the unit is installed, not masked, and starts at boot."""
    machine = context.machine
    systemctl = "sudo systemctl" if machine.is_running else f"sudo systemctl --root={context.here('/')}"
    if machine.link(ETC / context.units.daemon) == "/dev/null":
        return failed(f"{context.units.daemon} is masked", f"{systemctl} unmask {context.units.daemon}")
    if context.unit is None:
        if not machine.is_running:
            return failed(f"{context.units.daemon} is not installed", context.install("handmap.deb"))
        if not machine.has(VENV):
            raise NotApplicable("our package is not installed, so the daemon is started by hand")
        return failed(
            f"our package is installed, but {context.units.daemon} is not", context.install("--reinstall ./handmap.deb")
        )
    if not starts_at_boot(context.machine, context.units.daemon):
        return failed(
            f"{context.units.daemon} does not start at boot",
            f"{systemctl} enable {context.units.daemon} handmap.target",
        )
    return ok(f"{context.units.daemon} is installed and starts at boot")


def check_state(context: DoctorContext) -> Finding:
    """Whether the daemon is running and has not been restarted repeatedly."""
    facts = _show(context, context.units.daemon)
    state, text = facts["ActiveState"], facts["StatusText"]
    restart, look = (
        f"sudo systemctl restart {context.units.daemon}",
        f"journalctl {JOURNAL} --unit={context.units.daemon} --boot --lines=50",
    )
    if facts["ExecMainStatus"] == WRONG_CONFIG and state != "active":
        return failed(
            f"{context.units.daemon} gave up: its configuration or bundle cannot be used (exit code {WRONG_CONFIG})",
            f"handmap run --config {context.here(context.config)} --validate && {restart}",
        )
    if state == "failed":
        return failed(
            f"{context.units.daemon} has failed ({facts['Result']}, exit code {facts['ExecMainStatus']})",
            f"{look}; sudo systemctl reset-failed {context.units.daemon}; {restart}",
        )
    if state in ("inactive", "deactivating"):
        return failed(f"{context.units.daemon} is not running", f"sudo systemctl start {context.units.daemon}")
    if state != "active":
        return warning(f"{context.units.daemon} is {state} ({facts['SubState']}): {text or 'no reason given'}", look)
    if int(facts["NRestarts"] or 0) >= MANY_RESTARTS:
        return warning(
            f"{context.units.daemon} is running ({text}), but systemd has restarted it {facts['NRestarts']} times", look
        )
    return ok(f"{context.units.daemon} is running: {text or 'no status yet'}")


def check_engine_unit(context: DoctorContext) -> Finding:
    """Whether the last engine build succeeded or was not needed."""
    context.need_tensorrt()
    facts = _show(context, context.units.engine)
    if facts["ActiveState"] == "activating":
        return warning(
            f"{context.units.engine} is building: {facts['StatusText'] or 'no status yet'}",
            f"journalctl {JOURNAL} --unit={context.units.engine} --boot --follow",
        )
    if facts["Result"] not in ("success", "exec-condition"):
        again = f"sudo systemctl reset-failed {context.units.engine}; sudo systemctl start {context.units.engine}"
        return failed(
            f"{context.units.engine} has failed ({facts['Result']}, exit code {facts['ExecMainStatus']})",
            f"journalctl {JOURNAL} --unit={context.units.engine} --boot --lines=50; {again}",
        )
    return ok("the last build succeeded, or none was needed")


def check_journal(context: DoctorContext) -> Finding:
    """Whether the units have logged errors since boot."""
    context.need_running()
    context.need_unit()
    asked = (JOURNAL, f"--unit={context.units.daemon}", f"--unit={context.units.engine}", "--boot", "--priority=err")
    answer = context.machine.run("journalctl", *asked, "--output=cat", "--lines=200", "--no-pager")
    if "insufficient permissions" in answer.err or "not seeing messages" in answer.err:
        raise PermissionError("this user cannot read the journal")
    if answer.code != 0 or "No journal files were found" in answer.err:
        raise NotApplicable(f"journalctl failed: {answer.err}")
    lines = [line for line in answer.out.splitlines() if line and not line.startswith("-- ")]
    if lines:
        return warning(f"{len(lines)} errors since boot, the last one: {lines[-1]}", f"journalctl {' '.join(asked)}")
    return ok("no errors since boot")


def check_config_rights(context: DoctorContext) -> Finding:
    """Whether the daemon's user can read its configuration, and only the owner can change it."""
    machine, account = context.machine, context.account
    context.need_unit()
    if machine.stat(context.config) is None:
        raise NotApplicable(f"there is no {str(context.config)!r}")
    folder = drop_in_folder(context.config)
    for file in (context.config, *((folder, *machine.entries(folder, "*.yaml")) if machine.has(folder) else ())):
        closed = _closed_to(context, file)
        if closed is not None:
            return failed(
                f"user {account.name!r} cannot read {str(closed)!r}", f"sudo chmod a+rX {context.here(closed)}"
            )
        found = machine.stat(file)
        if found is not None and found.st_mode & OTHERS_WRITE:
            return failed(
                f"{str(file)!r} is writable by others than its owner (mode {found.st_mode & 0o777:o})",
                f"sudo chmod go-w {context.here(file)}",
            )
    return ok(f"{str(context.config)!r} is readable by {account.name!r}")


def check_bundle_rights(context: DoctorContext) -> Finding:
    """Whether the daemon's user can read every file of the bundle."""
    unit, bundle = context.need_unit(), context.whole_bundle
    hiding = hidden_by(unit, context.machine.name(bundle.path))
    if hiding is not None:
        return failed(
            f"{context.units.daemon} cannot see {str(bundle.path)!r} because of its {hiding}",
            f"sudo cp -r {context.here(bundle.path)} {context.here(STATE)}/ && {context.edit_config()}",
        )
    for file in (bundle.path, *sorted(bundle.path.iterdir())):
        closed = _closed_to(context, file)
        if closed is not None:
            is_above = not closed.is_relative_to(bundle.path)
            fix = f"a+x {context.here(closed)}" if is_above else f"-R a+rX {context.here(bundle.path)}"
            return failed(f"user {context.account.name!r} cannot read {str(closed)!r}", f"sudo chmod {fix}")
    return ok(f"{str(bundle.path)!r} is readable by {context.account.name!r}")


def check_cache_rights(context: DoctorContext) -> Finding:
    """Whether only the daemon can write to the engine cache: an engine is code that it runs."""
    context.need_unit()
    account, folder = context.account, context.cache_dir
    builder, place = read_unit(context.machine, context.units.engine) or {}, context.machine.name(folder)
    hiding = hidden_by(builder, place)
    if hiding is not None:
        return failed(
            f"{context.units.engine} cannot see {str(folder)!r} because of its {hiding}", context.edit_config()
        )
    if not context.machine.has(folder) and context.valid_settings.engine.cache_dir is None:
        folder = folder.parent  # created by systemd
    found = context.machine.stat(folder)
    if found is None:
        if folder != context.cache_dir:
            raise NotApplicable("systemd creates it when the daemon starts")
        return failed(
            f"there is no engine cache at {str(folder)!r}",
            f"sudo install --directory --owner={account.name} --group={account.name} --mode=700 {context.here(folder)}",
        )
    if found.st_uid != account.uid:
        return failed(
            f"{str(folder)!r} belongs to user {found.st_uid}, wanted {account.name!r}",
            f"sudo chown -R {account.name}: {context.here(folder)}",
        )
    if found.st_mode & OTHERS_WRITE:
        return failed(
            f"{str(folder)!r} is writable by others (mode {found.st_mode & 0o777:o}), wanted 700",
            f"sudo chmod 700 {context.here(folder)}",
        )
    if not lets_write(builder, place):
        drop_ins = context.here(ETC / f"{context.units.engine}.d")
        lines = f"printf '[Service]\\nReadWritePaths=%s\\n' {shlex.quote(str(place))}"
        again = f" && sudo systemctl daemon-reload && sudo systemctl restart {context.units.engine}"
        return failed(
            f"{context.units.engine} cannot write to {str(folder)!r} because of its ProtectSystem=strict",
            f"sudo mkdir -p {drop_ins} && {lines} | sudo tee {drop_ins}/cache.conf{again if context.machine.is_running else ''}",
        )
    return ok(f"{str(folder)!r} belongs to {account.name!r}, mode {found.st_mode & 0o777:o}")


def _closed_to(context: DoctorContext, file: Path) -> Path | None:
    """The first folder on the path, or the file itself, that the daemon's user cannot enter or read."""
    root = context.machine.root
    for folder in reversed(file.parents):
        is_outside = root not in (folder, *folder.parents)
        found = None if is_outside else context.machine.stat(folder)
        if found is not None and not context.account.may(ENTER, found):
            return folder
    found = context.machine.stat(file)
    return file if found is not None and not context.account.may(READ, found) else None


def _show(context: DoctorContext, unit: str) -> dict[str, str]:
    context.need_running()
    context.need_unit()
    if not context.machine.has(SYSTEMD):
        raise NotApplicable("systemd is not running here")
    answer = context.machine.run("systemctl", "show", unit, f"--property={','.join(PROPERTIES)}")
    said = dict(line.split("=", 1) for line in answer.out.splitlines() if "=" in line)
    if answer.code != 0 or "ActiveState" not in said:
        raise NotApplicable(f"systemctl failed: {answer.err or 'no output'}")
    return dict.fromkeys(PROPERTIES, "") | said


CHECKS: Final = (
    Check("service.enabled", "the service is installed and starts at boot", check_installed),
    Check("service.state", "the daemon is running", check_state),
    Check("service.engine", "the last engine build", check_engine_unit),
    Check("service.journal", "errors in the journal", check_journal),
    Check("rights.config", "rights of the configuration", check_config_rights),
    Check("rights.bundle", "rights of the bundle", check_bundle_rights),
    Check("rights.cache", "rights of the engine cache", check_cache_rights),
)
