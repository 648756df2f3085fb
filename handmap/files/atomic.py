"""Files and folders that are whole or absent: written under a temporary name, fsynced, renamed."""

import ctypes
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeAlias

from handmap.types.errors import ConfigError, FileError

# Of a file or folder being filled. Nobody else's hidden files are called that, so those without an owner can be removed.
SUFFIX = ".handmap.tmp"
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_PROBE_BYTES = 1 << 16
_LOCK_TRIES = 100

OwnNames: TypeAlias = Callable[[Path], Set[str]]


def no_names(path: Path) -> frozenset[str]:
    """The names in a folder of no kind of ours: only an empty one may be replaced."""
    return frozenset()


def all_names(path: Path) -> frozenset[str]:
    """The names in a folder that is ours by its place, whatever it holds."""
    return frozenset(os.listdir(path))


def write_file(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Writes content to path atomically; a concurrent reader sees either the old file or the complete new one.

    Raises FileError.
    """
    with _as_file_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        temporary, descriptor = _locked(lambda prefix: _new_file(prefix, path.parent), path)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(mode)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def write_into(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes files into a folder that `new_folder` has given, which makes them durable.

    Raises FileError.
    """
    for name, content in files.items():
        with _as_file_error(folder / name):
            (folder / name).write_bytes(content)


def append_line(path: Path, line: str) -> None:
    """Adds a line to a text file, in one write.

    Raises FileError.
    """
    with _as_file_error(path), path.open("ab", buffering=0) as file:
        file.write(line.encode() + b"\n")


def make_folder(path: Path) -> None:
    """Makes a folder and those above it, where they are missing.

    Raises FileError.
    """
    with _as_file_error(path):
        path.mkdir(parents=True, exist_ok=True)


def refuse_unwritable(path: Path) -> None:
    """Raises FileError if nothing can be written at `path`, as on a full or read-only disk; call it before long work.

    Writes a small file beside it and removes that. Folders that are missing are not made.
    """
    with _as_file_error(path):
        folder = _nearest_folder(path)
        temporary, descriptor = _locked(lambda prefix: _new_file(prefix, folder), folder / path.name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(bytes(_PROBE_BYTES))
        finally:
            temporary.unlink(missing_ok=True)


def refuse_foreign(path: Path, own_names: OwnNames, option: str = "--out") -> None:
    """Raises ConfigError if `path` is there and replacing it would delete anything that is not our own.

    Call it before long work, too. own_names gives a folder's files that belong to its kind; `option` is what names the folder.
    """
    if not os.path.lexists(path):
        return
    if not path.is_dir() or path.is_symlink():
        raise ConfigError(f"output {str(path)!r}: something other than a folder is there; choose another {option}")
    try:
        foreign = sorted({found.name for found in path.iterdir()} - own_names(path))
    except OSError as error:
        raise ConfigError(
            f"output {str(path)!r}: the folder there cannot be read ({error.strerror}); choose another {option}"
        ) from error
    if foreign:
        shown = ", ".join(map(repr, foreign[:3])) + (f" and {len(foreign) - 3} more" if len(foreign) > 3 else "")
        raise ConfigError(
            f"output {str(path)!r}: the folder there holds {shown}, which replacing it would delete; choose another {option}, "
            "or move these files away first"
        )


@contextmanager
def new_folder(path: Path, own_names: OwnNames = no_names, option: str = "--out", mode: int = 0o755) -> Iterator[Path]:
    """A temporary folder beside `path` to fill; a clean exit renames it atomically to `path`, otherwise it is removed.

    An existing folder is swapped out in one system call and then removed, if `refuse_foreign` allows it. What a killed process
    left beside `path` is removed too: it holds a lock on its folder for as long as it lives.
    Raises FileError, ConfigError if `refuse_foreign` does.
    """
    refuse_foreign(path, own_names, option)
    with _as_file_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        temporary, lock = _locked(lambda prefix: _new_folder(prefix, path.parent), path)
    try:
        yield temporary
        with _as_file_error(path):
            temporary.chmod(mode)
            sync_tree(temporary)
            refuse_foreign(path, own_names, option)
            if path.exists():
                _exchange(temporary, path)
            else:
                temporary.rename(path)
            sync_folder(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        os.close(lock)


def _nearest_folder(path: Path) -> Path:
    """The innermost folder above `path` that is there."""
    for above in path.absolute().parents:
        with suppress(FileNotFoundError):
            os.lstat(above)
            return above
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))


@contextmanager
def _as_file_error(path: Path) -> Iterator[None]:
    """Gives an OSError of the block a sentence that names `path`."""
    try:
        yield
    except FileError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        found = (error.strerror if isinstance(error, OSError) else None) or str(error)
        code = error.errno if isinstance(error, OSError) else None
        sentence = f"{str(path)!r} cannot be written ({found}); {_advice(code)}"
        raise FileError(path, found, sentence, code or errno.EINVAL) from error


def _advice(code: int | None) -> str:
    if code in (errno.ENOSPC, errno.EDQUOT):
        return "free some space, or name another place"
    return "make its folder writable, or name another place"


def _locked(create: Callable[[str], tuple[Path, int]], path: Path) -> tuple[Path, int]:
    """A new temporary for `path` and its descriptor, locked for as long as that is open.

    Another process may sweep it away before it is locked; then there is another one. /proc says of every new file that it is
    not found.
    """
    for _ in range(_LOCK_TRIES):
        with suppress(FileNotFoundError):
            temporary, descriptor = create(f".{path.name}.")
            with suppress(OSError):  # a file system without locks
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if temporary.exists():
                return temporary, descriptor
            os.close(descriptor)
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path.parent))


def _new_file(prefix: str, parent: Path) -> tuple[Path, int]:
    descriptor, name = tempfile.mkstemp(SUFFIX, prefix, parent)
    return Path(name), descriptor


def _new_folder(prefix: str, parent: Path) -> tuple[Path, int]:
    folder = Path(tempfile.mkdtemp(SUFFIX, prefix, parent))
    return folder, os.open(folder, os.O_RDONLY)


def sweep(parent: Path) -> None:
    """Removes what killed processes left half-written in a folder; one that lives holds the lock."""
    for left in parent.glob(f".*{SUFFIX}"):
        with suppress(OSError):
            lock = os.open(left, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink()
            finally:
                os.close(lock)


def sync_tree(path: Path) -> None:
    """Makes a folder durable, with all that is in it."""
    for file in path.rglob("*"):
        _sync(file)
    sync_folder(path)


def sync_folder(path: Path) -> None:
    """Makes the names in a folder durable."""
    _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _exchange(first: Path, second: Path) -> None:
    """Swaps two names with renameat2(2): at no moment is either missing."""
    libc = ctypes.CDLL(None, use_errno=True)
    source, target = os.fsencode(first), os.fsencode(second)
    if libc.renameat2(_AT_FDCWD, source, _AT_FDCWD, target, _RENAME_EXCHANGE) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(second))
