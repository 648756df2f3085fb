"""A tar archive, compressed with zstd, from contents in memory and files on disk: whole or absent."""

import io
import sys
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path

from handmap.files.atomic import write_file

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd  # what rosbags stands on


def write_archive(path: Path, folder: str, contents: Mapping[str, bytes], mode: int = 0o600) -> None:
    """Writes the contents as files of one folder, by their names in it.

    Raises FileError.
    """
    buffer = io.BytesIO()
    with zstd.ZstdFile(buffer, "w") as packed, tarfile.open(fileobj=packed, mode="w|") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size, member.mtime, member.mode = len(content), int(time.time()), 0o600
            archive.addfile(member, io.BytesIO(content))
    write_file(path, buffer.getvalue(), mode)
