"""The calibration set on disk: `set.json`, crops and detector inputs, the held-out ones, and a contact sheet.

set.json consists of these structs. A set is written atomically. select.py decides what goes into it.
"""

import hashlib
from dataclasses import dataclass, fields
from io import BytesIO
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from handmap.files.arrays import NotArrays, read_arrays
from handmap.files.atomic import new_folder, refuse_foreign, refuse_unwritable, write_into
from handmap.files.reading import MAX_MODEL_BYTES, NotJson, decode_json, encode_json, read_bytes
from handmap.types.arrays import Float32
from handmap.types.errors import DatasetError

from .detector_inputs import DetectorInputs, join_inputs

MANIFEST: Final = "set.json"
CROPS: Final = "crops.npz"
HELD_OUT: Final = "held_out.npz"
PICTURES: Final = "pictures.npz"
HELD_OUT_PICTURES: Final = "held_out_pictures.npz"
SHEET: Final = "contact_sheet.png"
FORMAT: Final = 1
MAX_ARRAYS_BYTES: Final = 8 << 30
# Array names in the files; changing them requires a new FORMAT.
NPZ_KEYS: Final = {"intrinsics": "lens", "center_mm": "centre_mm"}
FIELDS: Final = {key: name for name, key in NPZ_KEYS.items()}


class SourceEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A recording or data set: either all of its crops are used for calibration, or all are held out for the gate."""

    name: str
    sha256: str  # of its depth frames, in order
    frames: int
    hands: int
    is_held_out: bool


class Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One crop: its source, and the bins it falls into."""

    source: int
    frame: int
    frame_sha256: str
    distance_mm: float
    bins: dict[str, int]


class SetManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The contents of set.json."""

    format: int
    seed: int
    cube_mm: float
    selected_by: str  # sha256 of the FP32 graph that estimated the poses
    sources: tuple[SourceEntry, ...]
    coverage: dict[str, dict[str, int]]  # number of crops per bin, by quality
    dropped: dict[str, int]
    forced: tuple[str, ...]  # the reasons to reject the set that --force overrode
    items: tuple[Item, ...]
    files: dict[str, str]  # sha256 by name


@dataclass(frozen=True)
class Crops:
    """Network inputs (N, 1, 128, 128) and true joints (N, 21, 3) in half cube sides about each crop's center, NaN if unknown."""

    depth: Float32
    truth: Float32

    @property
    def has_truth(self) -> bool:
        """Whether every crop is labeled, if only in part."""
        return len(self.truth) > 0 and bool(np.isfinite(self.truth).any(axis=(1, 2)).all())


@dataclass(frozen=True)
class CalibrationSet:
    """A set whose files match its manifest; sets from older versions have no detector inputs."""

    path: Path
    sha256: str  # of set.json
    manifest: SetManifest
    crops: Crops
    held_out: Crops
    pictures: DetectorInputs  # of the frames that the crops come from
    held_out_pictures: DetectorInputs


@dataclass(frozen=True)
class CalibrationSamples:
    """Network inputs of the selected frames: crops of hands, and detector inputs of the whole frames."""

    crops: Crops
    pictures: DetectorInputs


def refuse_foreign_set(out: Path) -> None:
    """Raises ConfigError if `out` is there and is neither empty nor a calibration set with nothing else in it, FileError if it
    cannot be written.
    """
    refuse_foreign(out, own_names)
    refuse_unwritable(out)


def own_names(path: Path) -> frozenset[str]:
    """The names in the folder that belong to a set, also to one that was damaged; none if it has no set.json."""
    names = {MANIFEST, CROPS, HELD_OUT, PICTURES, HELD_OUT_PICTURES, SHEET}
    return frozenset(names) if (path / MANIFEST).is_file() else frozenset()


def write_set(
    path: Path, manifest: SetManifest, chosen: CalibrationSamples, held_out: CalibrationSamples, sheet: bytes
) -> None:
    """Writes the folder, replacing a set, and fills in the manifest's hashes."""
    files = {
        CROPS: _encode(chosen.crops),
        PICTURES: _encode(chosen.pictures),
        HELD_OUT: _encode(held_out.crops),
        HELD_OUT_PICTURES: _encode(held_out.pictures),
        SHEET: sheet,
    }
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    whole = msgspec.structs.replace(manifest, files=hashes)
    with new_folder(path, own_names) as folder:
        write_into(folder, {**files, MANIFEST: encode_json(whole)})


def read_set(path: Path) -> CalibrationSet:
    """The set at `path`.

    Raises DatasetError if it is missing, truncated or modified.
    """
    content = _read(path, MANIFEST)
    try:
        manifest = decode_json(content, SetManifest)
    except NotJson as error:
        raise DatasetError(
            f"calibration set {str(path)!r}: {MANIFEST} is not a manifest of format {FORMAT}: {error}; select it again"
        ) from error
    for name, wanted in manifest.files.items():
        if hashlib.sha256(_read(path, name)).hexdigest() != wanted:
            raise DatasetError(f"calibration set {str(path)!r}: {name} does not match {MANIFEST}; select it again")
    digest = hashlib.sha256(content).hexdigest()
    crops, held_out = (Crops(**_decode(path, name, Crops)) for name in (CROPS, HELD_OUT))
    pictures, held_out_pictures = (
        DetectorInputs(**_decode(path, name, DetectorInputs)) if name in manifest.files else join_inputs([])
        for name in (PICTURES, HELD_OUT_PICTURES)
    )
    return CalibrationSet(path, digest, manifest, crops, held_out, pictures, held_out_pictures)


def is_set(path: Path) -> bool:
    """Whether there is a calibration set at this path."""
    return (path / MANIFEST).is_file()


def _encode(shown: Crops | DetectorInputs) -> bytes:
    buffer = BytesIO()
    np.savez_compressed(buffer, **{NPZ_KEYS.get(name, name): value for name, value in vars(shown).items()})
    return buffer.getvalue()


def _decode(folder: Path, name: str, kind: type[Crops] | type[DetectorInputs]) -> dict[str, Float32]:
    keys = tuple(NPZ_KEYS.get(one.name, one.name) for one in fields(kind))
    try:
        found = read_arrays(_read(folder, name), keys, MAX_ARRAYS_BYTES)
    except NotArrays as error:
        raise DatasetError(
            f"calibration set {str(folder)!r}: {name} does not hold the set's arrays ({error}); select it again"
        ) from error
    return {FIELDS.get(key, key): value for key, value in found.items()}


def _read(folder: Path, name: str) -> bytes:
    try:
        return read_bytes(folder / name, MAX_MODEL_BYTES)
    except OSError as error:
        raise DatasetError(
            f"calibration set {str(folder)!r}: {name} cannot be read ({error.strerror}); name a folder that "
            "`handmap calibrate select` wrote"
        ) from error
