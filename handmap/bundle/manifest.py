"""The bundle: a folder with a manifest, the graphs of one trained model in several precisions, and golden samples.

Whole or absent, never edited. The manifest is these structs, for writers and readers alike; unknown keys are refused.
A field with a `name` has that key in the file: keys change only with the format.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from handmap.bundle.confidence import ConfidenceTable
from handmap.bundle.facts import (
    Count,
    CubeMm,
    FileName,
    MinScore,
    Normalization,
    Sha256,
    refuse_cube,
    refuse_other_conventions,
    refuse_other_tensors,
)
from handmap.bundle.gate import Accuracy, Gate
from handmap.bundle.manifest_hash import MANIFEST_HASH, manifest_hash
from handmap.bundle.tensors import Tensors, refuse_other_palm_tensors
from handmap.files.reading import MAX_MODEL_BYTES, NotJson, decode_json, encode_json, read_bytes
from handmap.types.errors import BundleError

MANIFEST: Final = "manifest.json"
GOLDEN: Final = "golden.npz"
FORMAT: Final = 2
UNHASHED_FORMAT: Final = 1  # its manifest has no hash
PRECISIONS: Final = ("fp32", "fp16", "int8")


class GraphFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One ONNX file of a graph."""

    file: FileName
    sha256: Sha256
    bytes: Count
    accuracy: Accuracy | None = None
    gate: Gate | None = None


class Graph(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One network: its contract and its precisions."""

    tensors: Tensors
    joint_names: tuple[str, ...]
    cube_mm: CubeMm
    cube_mm_range: tuple[CubeMm, CubeMm]
    normalization: Normalization = msgspec.field(name="normalisation")
    precisions: dict[str, GraphFile]
    confidence: ConfidenceTable

    def __post_init__(self) -> None:
        _refuse_precisions(self.precisions)
        refuse_cube(self.cube_mm, self.cube_mm_range)
        refuse_other_conventions(self.joint_names, self.normalization)
        refuse_other_tensors(self.tensors)
        self.confidence.refuse_missing({tensor.name for tensor in self.tensors.outputs})


class PalmGraph(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The palm network, which detects hands in a whole frame: its contract, its precisions, and its score threshold."""

    tensors: Tensors
    precisions: dict[str, GraphFile]
    min_score: MinScore = msgspec.field(name="least_score")

    def __post_init__(self) -> None:
        _refuse_precisions(self.precisions)
        refuse_other_palm_tensors(self.tensors)


def _refuse_precisions(precisions: dict[str, GraphFile]) -> None:
    unknown = set(precisions) - set(PRECISIONS)
    if not precisions or unknown:
        raise ValueError(f"precisions must be some of {PRECISIONS}, found {tuple(precisions)}")


class Graphs(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The networks of a bundle by name."""

    hand: Graph
    palm: PalmGraph | None = None

    def named(self) -> dict[str, Graph | PalmGraph]:
        """The graphs that are present."""
        return {"hand": self.hand} if self.palm is None else {"hand": self.hand, "palm": self.palm}


class Provenance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a bundle was made from."""

    checkpoint_sha256: Sha256
    commit: str
    tools: dict[str, str]
    opset: int


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of manifest.json."""

    format: int
    graphs: Graphs
    golden_sha256: Sha256
    provenance: Provenance = msgspec.field(name="made_from")
    records: dict[FileName, Sha256] = {}  # sha256 of further files by name: how INT8 was calibrated, what it cost


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files have been verified against its manifest."""

    path: Path
    manifest: Manifest
    id: bytes  # first 8 bytes of the manifest's sha256

    @property
    def hand(self) -> Graph:
        """The hand graph."""
        return self.manifest.graphs.hand

    @property
    def palm(self) -> PalmGraph | None:
        """The palm graph, or None."""
        return self.manifest.graphs.palm

    def graph_path(self, graph: str, precision: str) -> Path:
        """The ONNX file of a graph in a precision.

        Raises BundleError if the bundle has none.
        """
        graphs = self.manifest.graphs.named()
        if graph not in graphs:
            raise BundleError(
                f"bundle {str(self.path)!r}: it has no graph {graph!r}, only {', '.join(graphs)}; export it with one"
            )
        found = graphs[graph].precisions
        if precision not in found:
            raise BundleError(
                f"bundle {str(self.path)!r}: no {precision} file for graph {graph!r}, it has {', '.join(sorted(found))}; "
                "ask for one of these, or export again"
            )
        return self.path / found[precision].file


def read_bundle(path: Path | str) -> Bundle:
    """The bundle at `path`, with every file hashed.

    Raises BundleError if anything is missing, truncated or changed.
    """
    path = Path(path)
    content = _read(path, MANIFEST)
    is_hashed = _is_hashed(path, content)
    manifest = decode_manifest(content, path)
    if manifest.format == FORMAT and not is_hashed:
        raise BundleError(
            f"bundle {str(path)!r}: {MANIFEST_HASH} is missing, without which changes of {MANIFEST} go unnoticed; copy the whole "
            "bundle again"
        )
    for graph in manifest.graphs.named().values():
        for precision in graph.precisions.values():
            _check_hash(path, precision.file, precision.sha256, precision.bytes)
    _check_hash(path, GOLDEN, manifest.golden_sha256, key="golden_sha256")
    for name, wanted in manifest.records.items():
        _check_hash(path, name, wanted, key="records")
    return Bundle(path, manifest, hashlib.sha256(content).digest()[:8])


def decode_manifest(content: bytes, path: Path) -> Manifest:
    """The manifest in these bytes, its facts judged by its structs; `path` is the bundle's, for messages.

    Raises BundleError that names the field.
    """
    try:
        manifest = decode_json(content, Manifest)
    except NotJson as error:
        raise BundleError(
            f"bundle {str(path)!r}: {MANIFEST} is not a manifest of format {FORMAT}: {error}; export the bundle again"
        ) from error
    if manifest.format not in (FORMAT, UNHASHED_FORMAT):
        raise BundleError(
            f"bundle {str(path)!r}: found format {manifest.format}, wanted format {FORMAT}; export the bundle again"
        )
    return manifest


def encode_manifest(manifest: Manifest) -> bytes:
    """The bytes of manifest.json; deterministic."""
    return encode_json(manifest)


def _is_hashed(folder: Path, content: bytes) -> bool:
    """Whether the manifest comes with a hash of its own; raises BundleError if it does not match."""
    if not os.path.lexists(folder / MANIFEST_HASH):
        return False
    if _read(folder, MANIFEST_HASH) != manifest_hash(MANIFEST, content):
        raise BundleError(
            f"bundle {str(folder)!r}: {MANIFEST} does not match {MANIFEST_HASH}, one of them was changed; copy or export the "
            "bundle again"
        )
    return True


def _check_hash(folder: Path, name: str, wanted: str, wanted_bytes: int | None = None, key: str = "sha256") -> None:
    content = _read(folder, name)
    found = hashlib.sha256(content).hexdigest()
    if found != wanted:
        raise BundleError(
            f"bundle {str(folder)!r}: {name} has sha256 {found[:16]}..., its manifest wants {wanted[:16]}... under {key}; "
            "it was truncated or changed; copy or export the bundle again"
        )
    if wanted_bytes not in (None, len(content)):
        raise BundleError(
            f"bundle {str(folder)!r}: {name} has {len(content)} bytes, its manifest states {wanted_bytes} as bytes; "
            "export the bundle again"
        )


def _read(folder: Path, name: str) -> bytes:
    if Path(name).name != name:
        raise BundleError(
            f"bundle {str(folder)!r}: file name {name!r} in the manifest leads outside the bundle; export the bundle again"
        )
    try:
        return read_bytes(folder / name, MAX_MODEL_BYTES)
    except OSError as error:
        raise BundleError(
            f"bundle {str(folder)!r}: {name} cannot be read ({error.strerror}); name the folder that `handmap export` wrote"
        ) from error
