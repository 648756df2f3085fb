"""What every test here needs: root, Debian's tools, and one booted container that they share."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.system.container import Container, booted, until
from tests.system.root_filesystem import ROOT, installed, overlay

TOOLS = ("systemd-nspawn", "mmdebstrap", "mke2fs", "nsenter", "cpio", "qemu-system-x86_64")
LIBRARIES = ROOT / ".venv" / "lib" / "python3.11" / "site-packages"
BUILDER = ("tensorrt_rtx", "tensorrt_rtx_bindings", "tensorrt_rtx_libs")
CONFIG = """\
bundle: /usr/share/handmap/models/handmap-hand21
camera: {kind: replay, path: /usr/share/handmap/models/demo_recording}
publish: {targets: [{host: 127.0.0.1, port: 5656}]}
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks all tests of this folder, and skips them where they cannot or shall not run."""
    reason = _why_not()
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.system)
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


def _why_not() -> str:
    if "HANDMAP_SYSTEM_TESTS" not in os.environ:
        return "mounts, containers and downloads: asked for by make test-system"
    if os.geteuid() != 0:
        return "needs root"
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"needs {', '.join(missing)}; .ci/system installs them" if missing else ""


@pytest.fixture(scope="session")
def layers() -> Iterator[tuple[Path, Path]]:
    """The layers of the installed system."""
    with installed() as folders:
        yield folders


@contextmanager
def _booted(layers: tuple[Path, Path]) -> Iterator[Container]:
    has_builder = all((LIBRARIES / name).is_dir() for name in BUILDER)
    binds = [f"{LIBRARIES / name}:/opt/builder/{name}" for name in BUILDER] if has_builder else []
    with overlay(*layers) as (root, _):
        (root / "etc/handmap/config.yaml").write_text(CONFIG)
        with booted(root, *binds) as container:
            yield container


@pytest.fixture(scope="session")
def machine(layers: tuple[Path, Path]) -> Iterator[Container]:
    """The container that tests share: each brings it into the state that it needs."""
    with _booted(layers) as container:
        yield container


@pytest.fixture(scope="module")
def fresh_machine(layers: tuple[Path, Path]) -> Iterator[Container]:
    """A container of its own for tests that only look."""
    with _booted(layers) as container:
        yield container


@pytest.fixture
def service(machine: Container) -> Iterator[Container]:
    """The container with a service that was started anew, on the configuration that it booted with."""
    machine.write("/etc/handmap/config.yaml", CONFIG)
    machine.systemctl("reset-failed")
    machine.systemctl("restart", "handmap")
    until(lambda: machine.show("handmap", "StatusText") == "TRACKING", "the service tracks", 90)
    yield machine
    for unit in ("handmap.service", "handmap-engine.service"):
        machine.drop_in(unit, "")
