"""Fixtures: packages of this checkout for Debian 12, and a Debian 12 to install them in."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from flash.deb import build_deb
from flash.targets import TARGETS
from tests.system.root_filesystem import ROOT, base, overlay, run

TOOLS = ("systemd-nspawn", "mmdebstrap", "nsenter", "dpkg-deb", "lintian")
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]
# Marks of a test that installs the package in Debian.
ON_DEBIAN = [
    pytest.mark.system,
    pytest.mark.skipif(
        "HANDMAP_SYSTEM_TESTS" not in os.environ, reason="mounts and downloads: asked for by make test-system"
    ),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}; .ci/system installs them"),
]
CONFIG = """\
bundle: /usr/share/handmap/models/handmap-hand21
camera: {kind: replay, path: /usr/share/handmap/models/demo_recording}
publish: {targets: [{host: 127.0.0.1, port: 5700}]}
"""


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two revisions; the second packed without compression, which is quicker."""
    folder = tmp_path_factory.mktemp("packages")
    first = build_deb(TARGETS["debian12-amd64"], ROOT, folder, ROOT / ".cache/wheels").path
    unpacked = folder / "unpacked"
    run("dpkg-deb", "-R", first, unpacked)
    control = unpacked / "DEBIAN/control"
    control.write_text(control.read_text().replace("-1.debian12", "-2.debian12"))
    (unpacked / "etc/handmap/config.yaml").write_text(CONFIG + "# the default of the next version\n")
    second = folder / first.name.replace("-1.", "-2.")
    run("dpkg-deb", "--root-owner-group", "-Znone", "-b", unpacked, second)
    shutil.rmtree(unpacked)
    return first, second


@pytest.fixture
def clean() -> Iterator[Path]:
    """A plain Debian 12 with a few extra packages."""
    with overlay(base()) as (root, _):
        shutil.rmtree(root / "usr/lib/handmap")
        (root / "usr/bin/handmap").unlink()
        yield root
