"""The hash of a bundle's manifest, in a file beside it: `sha256sum -c manifest.sha256` checks it, too."""

import hashlib
from typing import Final

MANIFEST_HASH: Final = "manifest.sha256"


def manifest_hash(name: str, content: bytes) -> bytes:
    """The bytes of manifest.sha256 for the content of the file of this name, as sha256sum writes them."""
    return f"{hashlib.sha256(content).hexdigest()}  {name}\n".encode()
