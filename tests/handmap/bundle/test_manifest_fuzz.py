"""Manifests with flipped bits and odd values: nothing but a BundleError is raised, and no change goes unnoticed."""

import json
import shutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handmap.bundle.manifest import MANIFEST, Manifest, read_bundle
from handmap.bundle.manifest_hash import MANIFEST_HASH, manifest_hash
from handmap.bundle.writer import read_files, write_bundle
from handmap.types.errors import BundleError
from tests.support.tiny_bundle import write_bundle as write_tiny

ODD: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.integers(-(10**400), 10**400) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20) | st.just([]) | st.just({}) | st.sampled_from(["../../etc/passwd", "hand.fp32.onnx\0", "/dev/zero"])
)  # fmt: skip


@cache
def whole() -> Path:
    """A bundle, written once."""
    folder = Path(mkdtemp())
    plain = write_tiny(folder / "plain")
    write_bundle(folder / "bundle", plain.manifest, read_files(plain))
    return folder / "bundle"


def bundle_with(folder: Path, manifest: bytes, is_hashed: bool) -> Path:
    """The bundle with another manifest, and its hash computed again or not."""
    path = folder / "bundle"
    if not path.exists():
        shutil.copytree(whole(), path)
    (path / MANIFEST).write_bytes(manifest)
    if is_hashed:
        (path / MANIFEST_HASH).write_bytes(manifest_hash(MANIFEST, manifest))
    return path


def read_or_refuse(path: Path) -> Manifest | None:
    try:
        return read_bundle(path).manifest
    except BundleError as error:
        assert "\n" not in str(error)
        return None


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to every value of a document."""
    children = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(found for key, child in children for found in places(child, (*path, key)))]


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_flipped_bit_is_noticed(data: st.DataObject, tmp_path: Path) -> None:
    content = bytearray((whole() / MANIFEST).read_bytes())
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    content[bit // 8] ^= 1 << (bit % 8)

    assert read_or_refuse(bundle_with(tmp_path, bytes(content), is_hashed=False)) is None


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_odd_values_are_refused_in_a_sentence(data: st.DataObject, tmp_path: Path) -> None:
    document = json.loads((whole() / MANIFEST).read_bytes())
    *parents, last = data.draw(st.sampled_from(places(document)[1:]))
    parent = document
    for key in parents:
        parent = parent[key]
    old = parent[last]
    parent[last] = data.draw(ODD)

    found = read_or_refuse(bundle_with(tmp_path, json.dumps(document).encode(), is_hashed=True))

    assert (
        found is None
        or type(parent[last]) is type(old)
        or isinstance(old, float)
        or old is None
        or last in ("made_from", "accuracy")
    )
