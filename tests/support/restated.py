"""Gives a bundle another manifest, with its hash computed again, as somebody would who knows the format."""

from pathlib import Path

from handmap.bundle.manifest import MANIFEST, Manifest, encode_manifest
from handmap.bundle.manifest_hash import MANIFEST_HASH, manifest_hash


def restate(folder: Path, manifest: Manifest) -> None:
    """Writes manifest.json and manifest.sha256 into the folder of a bundle."""
    content = encode_manifest(manifest)
    (folder / MANIFEST).write_bytes(content)
    (folder / MANIFEST_HASH).write_bytes(manifest_hash(MANIFEST, content))
