"""The setup guide docs/jetson.md, command by command, on a booted Debian 12 without a network in place of the board."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from handmap import __version__
from handmap.system.version import debian_version
from tests.flash.conftest import ON_DEBIAN
from tests.system.container import Container, booted, until
from tests.system.root_filesystem import ROOT

pytestmark = ON_DEBIAN
THIS = f"_{debian_version(__version__)}-"  # the guide has the release
NAMED = re.compile(r"\((run by `tests/flash/test_guide\.py`|same test)\)[:.]\n\n((?:    .+\n)+)")
# Answers to apt's prompts.
ANSWERS = 'APT::Get::Assume-Yes "true"; Dpkg::Options {"--force-confold";};\n'


def commands_of_the_guide() -> list[str]:
    """All commands that the guide attributes to this test, adapted to Debian 12 with root as the only user."""
    found = [
        line.strip() for _, block in NAMED.findall((ROOT / "docs/jetson.md").read_text()) for line in block.splitlines()
    ]
    return [
        line.removeprefix("sudo ").replace("jetpack6_arm64", "debian12_amd64").replace("_0.2.0-", THIS)
        for line in found
    ]


@pytest.fixture
def board(clean: Path, packages: tuple[Path, Path]) -> Iterator[Container]:
    (clean / "etc/apt/apt.conf.d/answers").write_text(ANSWERS)
    (clean / "root").mkdir(exist_ok=True)
    for package in packages:
        shutil.copyfile(package, clean / "root" / package.name)
    with booted(clean) as container:
        yield container


def test_every_command_does_what_the_guide_says(board: Container) -> None:
    commands = commands_of_the_guide()
    assert len(commands) >= 15
    said = {}
    for command in commands:
        if command == "handmap status":
            until(lambda: board.run("handmap", "status").stdout.startswith("state     TRACKING"), "it tracks", 60)
        done = board.run("sh", "-c", f"cd /root && {command}")
        said[command] = done.stdout
        # The doctor reports what the container lacks; its report is enough here.
        assert done.returncode == 0 or command.startswith("handmap doctor"), f"{command}: {done.stdout}{done.stderr}"

    assert said["handmap --version"].startswith("handmap, version")
    assert said["systemctl is-active handmap"].strip() == "active"
    assert "TRACKING" in said["handmap listen --count 3"]
    assert "is intact" in said["handmap run --config /etc/handmap/config.yaml --validate"]
    assert "FAILED" in said["handmap doctor"] or "WARNING" in said["handmap doctor"]
    assert "state=TRACKING" in said["journalctl --namespace=handmap -b -u handmap"]
    assert board.run("sh", "-c", "command -v handmap").returncode != 0
