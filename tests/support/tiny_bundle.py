"""A whole bundle around tiny.onnx and a recording of a moving blob: what runtime and clients are tested with, in
seconds.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from handmap.bundle.confidence import ConfidenceTable
from handmap.bundle.facts import STANDARD
from handmap.bundle.manifest import (
    GOLDEN,
    MANIFEST,
    Bundle,
    Graph,
    GraphFile,
    Graphs,
    Manifest,
    Provenance,
    encode_manifest,
    read_bundle,
)
from handmap.bundle.tensors import Tensor, Tensors
from handmap.engines.onnx_engine import open_onnx_engine
from handmap.recording.writer import RecordingWriter
from handmap.types.arrays import Float32
from handmap.types.intrinsics import Intrinsics
from handmap.types.joints import HAND21
from handmap.types.values import DepthFrame

TINY = Path(__file__).parent / "tiny.onnx"
CAMERA = Intrinsics(640, 480, 475.0, 475.0, 319.5, 239.5)
FPS = 30


def write_bundle(path: Path) -> Bundle:
    """A bundle in FP32 whose golden samples are right."""
    path.mkdir()
    graph = TINY.read_bytes()
    (path / "hand.fp32.onnx").write_bytes(graph)
    depth = np.random.default_rng(0).uniform(-1, 1.2, (4, 1, 128, 128)).astype(np.float32).clip(-1, 1)
    joints = open_onnx_engine(TINY, 4, 1).infer(depth).joints
    np.savez(path / GOLDEN, depth=depth, joints=joints)
    tensors = Tensors(
        (Tensor("depth", "float32", ("batch", 1, 128, 128)),), (Tensor("joints", "float32", ("batch", 21, 3)),)
    )
    precision = GraphFile("hand.fp32.onnx", hashlib.sha256(graph).hexdigest(), len(graph))
    hand = Graph(
        tensors, HAND21, 250.0, (180.0, 300.0), STANDARD, {"fp32": precision},
        ConfidenceTable((0.0, 1.0), (12.0, 5.0)),
    )  # fmt: skip
    provenance = Provenance("0" * 64, "test", {}, 18)
    golden_sha256 = hashlib.sha256((path / GOLDEN).read_bytes()).hexdigest()
    (path / MANIFEST).write_bytes(encode_manifest(Manifest(1, Graphs(hand), golden_sha256, provenance)))
    return read_bundle(path)


def blob_center_mm(number: int) -> Float32:
    """Where the blob of frame `number` is: on a slow circle, half a meter away."""
    angle = number / 40
    return np.array([60 * np.cos(angle), 40 * np.sin(angle), 500], np.float32)


def blob_frame(number: int, has_hand: bool = True) -> DepthFrame:
    """A frame with a hand-sized lens of depth in it, or with nothing."""
    if has_hand:
        return blob_frame_at(number, blob_center_mm(number))
    depth = np.zeros((CAMERA.height_px, CAMERA.width_px), np.uint16)
    return DepthFrame(depth, 1.0, CAMERA, number, round(number * 1e9 / FPS))


def blob_frame_at(number: int, center_mm: Float32, intrinsics: Intrinsics = CAMERA) -> DepthFrame:
    """A frame with the blob at center_mm (3,) in the camera frame, mm."""
    x, y, z = center_mm
    depth = np.zeros((intrinsics.height_px, intrinsics.width_px), np.uint16)
    v, u = np.mgrid[: intrinsics.height_px, : intrinsics.width_px]
    off_x = (u - intrinsics.cx_px) * z / intrinsics.fx_px - x
    off_y = (v - intrinsics.cy_px) * z / intrinsics.fy_px - y
    inside = 1 - (off_x / 45) ** 2 - (off_y / 80) ** 2
    depth[inside > 0] = (z - 20 * np.sqrt(inside[inside > 0])).astype(np.uint16)
    return DepthFrame(depth, 1.0, intrinsics, number, round(number * 1e9 / FPS))


def write_blob_recording(path: Path, frames: int = 30, empty_from: int | None = None) -> Path:
    """A recording of the moving blob; from frame empty_from on there is nothing to see."""
    return write_frames(path, [blob_frame(n, empty_from is None or n < empty_from) for n in range(frames)])


def write_frames(path: Path, frames: Sequence[DepthFrame]) -> Path:
    """A recording of these frames, all of one camera."""
    with RecordingWriter(path, frames[0].intrinsics, 1.0) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def write_config(
    path: Path,
    bundle: Path,
    recording: Path,
    port: int,
    pace: str = "recorded",
    is_looped: bool = True,
    telemetry: int | None = None,
) -> Path:
    """A configuration file that publishes to a port of this machine, and listens on none but that of telemetry, if given.

    The defaults would be the ports of other daemons of this machine: those of tests that run beside these.
    """
    path.write_text(
        f"bundle: {bundle}\n"
        f"camera: {{kind: replay, path: {recording}, pace: {pace}, loop: {str(is_looped).lower()}}}\n"
        f"publish: {{targets: [{{host: 127.0.0.1, port: {port}}}]}}\n"
        f"telemetry: {{port: {'null' if telemetry is None else telemetry}}}\n"
        "preview: null\n"
        "log: {stats_interval_s: 0.5}\n"
        "smoothing: {enabled: false}\n"
        "skeleton: {enabled: false}\n"  # its networks see no hands
    )
    return path
