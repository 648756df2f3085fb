"""Two releases of this checkout, from their signed apt repository on a clean Debian 12 without a network: installed, upgraded with a
configuration that its user changed, downgraded, held, purged; and what is not signed by the key is refused."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.flash.conftest import ON_DEBIAN
from tests.flash.test_install import traces
from tests.system.container import Container, booted, until
from tests.system.root_filesystem import ROOT, run

needs_tools = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in ("apt-ftparchive", "gpg")) or not (ROOT / ".venv-release").is_dir(),
    reason="needs apt-ftparchive, gpg and .venv-release; make test-release gets them",
)
pytestmark = [*ON_DEBIAN, needs_tools]
KEYRING = "/usr/share/keyrings/handmap-archive-keyring.gpg"
SOURCE = f"deb [signed-by={KEYRING}] file:/srv/release/apt/debian12 ./\n"
CHANGED = "# changed by its user\n"
SITE = "log: {stats_interval_s: 1.0}\n"
DROP_IN = "/etc/handmap/config.d/50-site.yaml"
KEEP = ("-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold")  # as docs/fleet.md has it


@dataclass(frozen=True)
class Releases:
    """The folder of the second release, in whose repository the packages of both are, and their versions."""

    folder: Path
    first: str
    second: str


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Releases]:
    """A release of the last commit, and one of a commit after it that changes the configuration that is installed."""
    folder = tmp_path_factory.mktemp("releases")
    home = folder / "gnupg"
    home.mkdir(mode=0o700)
    keyring = {"GNUPGHOME": str(home)}
    run(
        "gpg",
        "--batch",
        "--passphrase",
        "",
        "--quick-generate-key",
        "A test <a@b.invalid>",
        "ed25519",
        "sign",
        "1d",
        **keyring,
    )
    clone = folder / "clone"
    clone.mkdir()
    # Without the history, which a clone for CI may lack.
    run("sh", "-c", f"git -C '{ROOT}' archive HEAD | tar -x -C '{clone}'")
    git = ("git", "-C", clone, "-c", "user.name=a", "-c", "user.email=a@b.invalid")
    run("git", "init", "-q", clone)
    run(*git, "add", "--all", "--force", ".")
    run(*git, "commit", "-qm", "this version")
    made = [
        *(
            sys.executable,
            "-m",
            "flash.make_release",
            "--target",
            "debian12-amd64",
            "--cache",
            str(ROOT / ".cache/wheels"),
        ),
        *("--cyclonedx", str(ROOT / ".venv-release/bin/cyclonedx-py"), "--key", "a@b.invalid"),
    ]

    def release(name: str, *more: str) -> str:
        # Wheels come by the configuration of the machine's own pip, which `run` leaves out.
        command = [*made, "--out", str(folder / name), *more]
        done = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=False, env=os.environ | keyring)
        assert done.returncode == 0, done.stdout + done.stderr
        (deb,) = [line.partition(":")[0] for line in done.stdout.splitlines() if ".deb: " in line]
        return deb.split("_")[1]

    first = release("first")
    with (clone / "flash/data/replay.yaml").open("a") as file:
        file.write("# the default of the next version\n")
    run(*git, "commit", "-qam", "next")
    second = release("second", "--previous", str(folder / "first"))
    run("gpgconf", "--kill", "all", **keyring)
    yield Releases(folder / "second", first, second)


@pytest.fixture
def board(clean: Path, releases: Releases) -> Iterator[Container]:
    (clean / "etc/apt/sources.list").unlink(missing_ok=True)
    shutil.copyfile(releases.folder / "apt/handmap-archive-keyring.gpg", clean / KEYRING[1:])
    (clean / "etc/apt/sources.list.d/handmap.list").write_text(SOURCE)
    with booted(clean, f"{releases.folder}:/srv/release") as container:
        yield container


def apt(board: Container, *words: str) -> str:
    """Runs apt-get as a script would: a question ends it, because nobody answers."""
    done = board.run("apt-get", "-q", "-y", *words)
    assert done.returncode == 0, done.stdout + done.stderr + board.journal()
    return done.stdout + done.stderr


def installed(board: Container) -> str:
    return board.run("dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", "handmap").stdout


def tracks(board: Container) -> None:
    until(lambda: board.show("handmap", "StatusText").startswith("TRACKING"), "the service tracks", 60)


def test_a_board_follows_its_repository_and_keeps_what_its_user_changed(board: Container, releases: Releases) -> None:
    config = board.root / "etc/handmap/config.yaml"
    apt(board, "update")
    apt(board, "install", f"handmap={releases.first}")
    tracks(board)
    version = board.run("handmap", "--version").stdout.split()[-1]
    assert releases.first == f"{version.replace('.dev', '~dev')}-1.debian12"
    mine = config.read_text() + CHANGED
    config.write_text(mine)
    board.write(DROP_IN, SITE)
    board.systemctl("reload", "handmap")
    assert "# config.d/50-site.yaml:1" in board.run("handmap", "config", "show").stdout

    said = apt(board, *KEEP, "install", "handmap")
    assert installed(board) == f"installed {releases.second}"
    assert config.read_text() == mine and (board.root / DROP_IN[1:]).read_text() == SITE
    assert "the default of the next version" in (board.root / "etc/handmap/config.yaml.dpkg-dist").read_text(), said
    tracks(board)
    assert (
        f'"version": "{board.run("handmap", "--version").stdout.split()[-1]}"'
        in board.run("handmap", "status", "--json").stdout
    )

    apt(board, *KEEP, "--allow-downgrades", "install", f"handmap={releases.first}")
    assert installed(board) == f"installed {releases.first}"
    assert config.read_text() == mine and (board.root / DROP_IN[1:]).read_text() == SITE
    tracks(board)

    assert board.run("apt-mark", "hold", "handmap").returncode == 0
    apt(board, "upgrade")
    assert installed(board) == f"installed {releases.first}", "a held package was upgraded"
    assert board.run("apt-mark", "unhold", "handmap").returncode == 0

    apt(board, "purge", "handmap")
    (board.root / KEYRING[1:]).unlink()
    (board.root / "etc/apt/sources.list.d/handmap.list").unlink()
    assert [name for name in traces(board.root) if not name.startswith(("var/lib/apt/", "run/", "dev/"))] == []


def test_what_the_key_has_not_signed_is_refused(board: Container, releases: Releases) -> None:
    apt(board, "update")
    board.run("rm", "-rf", "/var/lib/apt/lists")
    board.run("cp", "-r", "/srv/release/apt/debian12", "/srv/forged")
    board.run("sed", "-i", "s/Architecture: amd64/Architecture: all/", "/srv/forged/Packages")
    board.run("rm", "/srv/forged/Packages.gz")
    board.write("/etc/apt/sources.list.d/handmap.list", SOURCE.replace("/srv/release/apt/debian12", "/srv/forged"))
    forged = board.run("apt-get", "update")
    assert forged.returncode != 0 and "Hash Sum mismatch" in forged.stderr, forged.stderr

    board.run("sh", "-c", "sed -i s/Suite/Suit/ /srv/forged/InRelease; rm /srv/forged/Release /srv/forged/Release.gpg")
    board.run("rm", "-rf", "/var/lib/apt/lists")
    forged = board.run("apt-get", "update")
    assert forged.returncode != 0 and "BADSIG" in forged.stderr, forged.stderr
    refused = board.run("apt-get", "-y", "install", f"handmap={releases.first}")
    assert refused.returncode != 0
