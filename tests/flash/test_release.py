"""A release: complete, checksummed, signed, and whole or absent."""

import gzip
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flash.release import ReleaseRequest, build_release
from flash.targets import TARGETS
from handmap.system.version import BASE
from handmap.types.errors import ConfigError, DependencyError, HandmapError
from tests.flash.small_checkout import small_checkout
from tests.support.tiny_bundle import write_bundle

MISSING = [tool for tool in ("dpkg-deb", "apt-ftparchive", "gpg", "gpgv") if shutil.which(tool) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}: packages apt-utils and gnupg")
FOR = (TARGETS["debian12-amd64"], TARGETS["jetpack6"])
# What of cyclonedx-py the release relies on; the real one is run by make test-release.
LISTER = """\
#!{python}
import json, sys
rows = open(sys.argv[-1]).read().splitlines()
found = [{{"name": row.partition("==")[0], "type": "library"}} for row in rows]
made = {{"bomFormat": "CycloneDX", "components": found, "metadata": {{"component": {{"name": "handmap-edge"}}}}}}
open(sys.argv[sys.argv.index("--output-file") + 1], "w").write(json.dumps(made))
"""


@pytest.fixture(scope="module")
def request_(tmp_path_factory: pytest.TempPathFactory) -> ReleaseRequest:
    folder = tmp_path_factory.mktemp("release")
    checkout, cache = small_checkout(folder)
    shutil.rmtree(checkout / "models/handmap-hand21")
    write_bundle(checkout / "models/handmap-hand21")
    git(checkout, "add", ".")
    git(checkout, "commit", "-qm", "bundle")
    git(checkout, "tag", "-f", f"v{BASE}")
    lister = folder / "lister"
    lister.write_text(LISTER.format(python=sys.executable))
    lister.chmod(0o755)
    return ReleaseRequest(checkout, folder / "out", FOR, cache, str(lister))


@pytest.fixture(scope="module")
def released(request_: ReleaseRequest) -> Path:
    said: list[str] = []
    assert build_release(request_, said.append) == BASE
    assert "a test key that nobody keeps" in said[-1]
    return request_.out


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-C", folder, "-c", "user.name=a", "-c", "user.email=a@b.invalid", *words], check=True)


def other(request_: ReleaseRequest, **changes: object) -> ReleaseRequest:
    return ReleaseRequest(**(vars(request_) | changes))


def test_everything_is_there_and_has_a_checksum(released: Path) -> None:
    names = {str(path.relative_to(released)) for path in released.rglob("*") if path.is_file()}
    bundle = next(name for name in names if name.startswith("handmap-hand21-"))
    indexes = {"InRelease", "Packages", "Packages.gz", "Release", "Release.gpg"}
    assert names == {
        "SHA256SUMS", "SHA256SUMS.asc", f"handmap_edge-{BASE}-py3-none-any.whl", f"handmap_edge-{BASE}.tar.gz", bundle,
        "sbom/debian12-amd64.cdx.json", "sbom/jetpack6.cdx.json", "apt/handmap-archive-keyring.gpg",
        f"apt/debian12/handmap_{BASE}-1.debian12_amd64.deb", f"apt/jetpack6/handmap_{BASE}-1.jetpack6_arm64.deb",
        *(f"apt/{system}/{name}" for system in ("debian12", "jetpack6") for name in indexes),
    }  # fmt: skip
    sums = {line[66:]: line[:64] for line in (released / "SHA256SUMS").read_text().splitlines()}
    assert sums.keys() == names - {"SHA256SUMS", "SHA256SUMS.asc"}
    for name, digest in sums.items():
        assert hashlib.sha256((released / name).read_bytes()).hexdigest() == digest


def test_indexes_and_checksums_are_signed_by_the_key_beside_them(released: Path) -> None:
    keyring = str(released / "apt/handmap-archive-keyring.gpg")
    for words in (
        ["apt/debian12/InRelease"], ["apt/debian12/Release.gpg", "apt/debian12/Release"], ["SHA256SUMS.asc", "SHA256SUMS"],
    ):  # fmt: skip
        verify = ["gpgv", "--keyring", keyring, *words]
        assert subprocess.run(verify, cwd=released, capture_output=True, check=False).returncode == 0, words

    index = (released / "apt/debian12/Packages").read_text()
    assert gzip.decompress((released / "apt/debian12/Packages.gz").read_bytes()).decode() == index
    assert f"Version: {BASE}-1.debian12\n" in index and "jetpack6" not in index
    text = (released / "apt/debian12/Release").read_text()
    assert "Origin: HandMap Edge\n" in text and f" {hashlib.sha256(index.encode()).hexdigest()} " in text


def test_libraries_are_listed_with_the_version_of_the_release(released: Path) -> None:
    listed = json.loads((released / "sbom/jetpack6.cdx.json").read_text())

    assert listed["metadata"]["component"] == {"name": "handmap-edge", "version": BASE}
    assert [one["name"] for one in listed["components"]] == ["tiny"]


def test_the_bundle_in_the_archive_is_the_bundle(released: Path, request_: ReleaseRequest, tmp_path: Path) -> None:
    (archive,) = released.glob("handmap-hand21-*.tar.gz")
    shutil.unpack_archive(archive, tmp_path)
    (folder,) = tmp_path.iterdir()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        path.name: path.read_bytes() for path in (request_.checkout / "models/handmap-hand21").iterdir()
    }


def test_an_earlier_release_stays_in_the_repository(released: Path, request_: ReleaseRequest, tmp_path: Path) -> None:
    again = other(request_, out=tmp_path / "out", targets=FOR[:1], revision=2, previous=released)
    build_release(again, lambda _: None)

    index = (tmp_path / "out/apt/debian12/Packages").read_text()
    assert index.count("Package: handmap\n") == 2 and f"{BASE}-1.debian12" in index and f"{BASE}-2.debian12" in index


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"sbom_tool": "/nowhere/cyclonedx-py"}, DependencyError, "there is no '/nowhere/cyclonedx-py'"),
        ({"key": "nobody@nowhere.invalid"}, ConfigError, "RELEASE_KEY"),
        ({"previous": Path("/nowhere")}, ConfigError, "'/nowhere' has no packages for debian12"),
    ],
)
def test_what_fails_leaves_nothing(
    request_: ReleaseRequest, tmp_path: Path, change: dict[str, object], error: type[HandmapError], said: str
) -> None:
    with pytest.raises(error, match=said):
        build_release(other(request_, out=tmp_path / "out", targets=FOR[:1], **change), lambda _: None)

    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_stays_as_it_is(released: Path, request_: ReleaseRequest) -> None:
    with pytest.raises(ConfigError, match="is already there"):
        build_release(request_, lambda _: None)


def test_a_tag_of_another_version_and_a_shallow_clone_are_refused(request_: ReleaseRequest, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", request_.checkout, clone], check=True)
    git(clone, "tag", "-d", f"v{BASE}")
    git(clone, "tag", "v9.9.9")
    with pytest.raises(ConfigError, match=r"has the tag 'v9\.9\.9', and .* make BASE there and the tag agree"):
        build_release(other(request_, checkout=clone, out=tmp_path / "out"), lambda _: None)

    shallow = tmp_path / "shallow"
    subprocess.run(["git", "clone", "-q", "--depth", "1", f"file://{request_.checkout}", shallow], check=True)
    with pytest.raises(ConfigError, match="is a shallow clone"):
        build_release(other(request_, checkout=shallow, out=tmp_path / "out"), lambda _: None)
