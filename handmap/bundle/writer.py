"""Writes bundles: the files and the manifest that names and hashes them, whole or not at all."""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from handmap.bundle.manifest import (
    FORMAT,
    GOLDEN,
    MANIFEST,
    PRECISIONS,
    Bundle,
    GraphFile,
    Manifest,
    decode_manifest,
    encode_manifest,
)
from handmap.bundle.manifest_hash import MANIFEST_HASH, manifest_hash
from handmap.files.atomic import new_folder, refuse_foreign, refuse_unwritable, write_into
from handmap.files.reading import MAX_MODEL_BYTES, NotJson, read_bytes, read_json


def refuse_foreign_bundle(out: Path) -> None:
    """Raises ConfigError if `out` is there and is neither empty nor a bundle with nothing else in it, FileError if it cannot be
    written.
    """
    refuse_foreign(out, own_names)
    refuse_unwritable(out)


def own_names(path: Path) -> frozenset[str]:
    """The names in the folder that belong to a bundle, also to one that was damaged; none if it has no manifest."""
    manifest = path / MANIFEST
    if not manifest.is_file():
        return frozenset()
    graphs = [f"{graph}.{precision}.onnx" for graph in ("hand", "palm") for precision in PRECISIONS]
    with suppress(NotJson, OSError):
        stated = read_json(manifest, Manifest)
        graphs = [entry.file for graph in stated.graphs.named().values() for entry in graph.precisions.values()]
        graphs += stated.records
    return frozenset({MANIFEST, MANIFEST_HASH, GOLDEN, *graphs})


def write_bundle(out: Path, manifest: Manifest, files: Mapping[str, bytes]) -> None:
    """Writes the folder `out`, replacing a bundle; `files` holds everything but the manifest, by name.

    The manifest is of the present format, also if it was read from a bundle of an older one. Raises FileError, and BundleError
    if a bundle with this manifest could not be read again.
    """
    stated = encode_manifest(msgspec.structs.replace(manifest, format=FORMAT))
    decode_manifest(stated, out)
    with new_folder(out, own_names) as folder:
        write_into(folder, {**files, MANIFEST: stated, MANIFEST_HASH: manifest_hash(MANIFEST, stated)})


def describe_file(name: str, content: bytes) -> GraphFile:
    """The manifest's entry for the ONNX file of a precision."""
    return GraphFile(name, hashlib.sha256(content).hexdigest(), len(content))


def read_files(bundle: Bundle) -> dict[str, bytes]:
    """Every file of a bundle but its manifest, by name: the starting point for a modified copy."""
    graphs = bundle.manifest.graphs.named().values()
    names = [precision.file for graph in graphs for precision in graph.precisions.values()]
    return {
        name: read_bytes(bundle.path / name, MAX_MODEL_BYTES) for name in (*names, GOLDEN, *bundle.manifest.records)
    }


def with_precisions(manifest: Manifest, precisions: Mapping[str, GraphFile], graph: str = "hand") -> Manifest:
    """The manifest with these precisions of a graph set or replaced."""
    found = manifest.graphs.named()[graph]
    changed = msgspec.structs.replace(found, precisions={**found.precisions, **precisions})
    graphs = msgspec.structs.replace(manifest.graphs, **{graph: changed})
    return msgspec.structs.replace(manifest, graphs=graphs)


def with_records(manifest: Manifest, records: Mapping[str, bytes]) -> Manifest:
    """The manifest with these record files named and hashed."""
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in records.items()}
    return msgspec.structs.replace(manifest, records={**manifest.records, **hashes})
