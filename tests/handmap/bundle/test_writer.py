"""A bundle is replaced by a bundle; a folder with anything else in it never is."""

import shutil
from pathlib import Path

import msgspec
import pytest

from handmap.bundle.manifest import MANIFEST, read_bundle
from handmap.bundle.writer import read_files, refuse_foreign_bundle, write_bundle
from handmap.types.errors import ConfigError
from tests.support import tiny_bundle


def test_a_bundle_is_replaced_also_when_it_was_damaged(tmp_path: Path) -> None:
    source = tiny_bundle.write_bundle(tmp_path / "b")
    shutil.copytree(source.path, tmp_path / "out")

    for damage in (b"", b"{", b"\xff\xfe"):
        (tmp_path / "out" / MANIFEST).write_bytes(damage)
        write_bundle(tmp_path / "out", source.manifest, read_files(source))

    assert msgspec.structs.replace(read_bundle(tmp_path / "out").manifest, format=1) == source.manifest


@pytest.mark.parametrize("has_manifest", [True, False])
def test_files_beside_a_bundle_or_without_one_are_not_deleted(tmp_path: Path, has_manifest: bool) -> None:
    source = tiny_bundle.write_bundle(tmp_path / "b")
    foreign = source.path / ("checkpoint.pt" if has_manifest else "hand.fp32.onnx")
    files = read_files(source)
    foreign.write_bytes(b"weeks of work")
    if not has_manifest:
        (source.path / MANIFEST).unlink()

    with pytest.raises(ConfigError, match=foreign.name):
        write_bundle(source.path, source.manifest, files)
    with pytest.raises(ConfigError, match="--out"):
        refuse_foreign_bundle(source.path)

    assert foreign.read_bytes() == b"weeks of work"
