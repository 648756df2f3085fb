"""The fused crop kernel: its own source, run on the host, gives exactly the crops of `crop_hand`; its cubins match it."""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from handmap.engines.crop_kernel import FACTS, FOLDER, HAND, OPTIONS, SOURCE, KernelFacts, choose_cubin, hand_parameters
from handmap.geometry.crop import crop_hand
from handmap.recording.reader import open_recording
from handmap.tracking.region_proposals import propose_regions
from handmap.types.arrays import Float32
from handmap.types.values import DepthFrame, HandRoi
from tests.real_depth import real_frames
from tests.support.depth_frames import Scene, scenes, two_hands
from tests.support.host_kernel import HostKernel

DEMO = Path(__file__).parents[3] / "models" / "demo_recording"
NOWHERE = HandRoi(np.array([0, 0, -900], np.float32), 250.0, False)
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ to compile the kernel for the host")


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> HostKernel:
    return HostKernel(FOLDER / SOURCE, tmp_path_factory.mktemp("kernel"))


def changed_kernel(folder: Path, old: str, new: str) -> HostKernel:
    text = (FOLDER / SOURCE).read_text()
    assert old in text
    (folder / SOURCE).write_text(text.replace(old, new))
    return HostKernel(folder / SOURCE, folder)


def crops_of(frame: DepthFrame, rois: Sequence[HandRoi]) -> Float32:
    return np.stack([crop_hand(np, frame, *roi).depth for roi in rois])


def rois_of(frame: DepthFrame, number: int) -> list[HandRoi]:
    """Cubes around possible hands, the first off-center as in tracking."""
    centers = [proposal.center_mm for proposal in propose_regions(np, frame, (150.0, 1500.0), 4)]
    off = np.random.default_rng(number).uniform(-60, 60, 3).astype(np.float32)
    return [HandRoi(center + off * (rank == 0), 250.0, rank % 2 == 1) for rank, center in enumerate(centers)]


def assert_same(kernel: HostKernel, scene: Scene, seed: int, threads: int) -> int:
    """Compares every pixel; returns how many are not background."""
    out, filled = kernel.crop(scene.frame, scene.rois, seed, threads)

    wanted = crops_of(scene.frame, scene.rois)
    np.testing.assert_array_equal(out, wanted)
    assert filled.tolist() == (wanted < 1).sum(axis=(1, 2)).tolist()
    return int(filled.sum())


@needs_compiler
@pytest.mark.parametrize("block", range(8))
def test_every_pixel_of_random_scenes_matches_the_reference(kernel: HostKernel, block: int) -> None:
    filled = [
        assert_same(kernel, scene, seed, (32, 256, 1024)[seed % 3]) for seed, scene in enumerate(scenes(40, block))
    ]

    assert sum(count > 0 for count in filled) > 20  # most scenes show something


@needs_compiler
def test_every_pixel_of_real_frames_matches_the_reference(kernel: HostKernel) -> None:
    for number, (_, frame) in enumerate(real_frames()):
        assert assert_same(kernel, Scene(frame, tuple(rois_of(frame, number))), number, 1024) > 0


@needs_compiler
def test_every_pixel_of_the_demo_recording_matches_the_reference(kernel: HostKernel) -> None:
    compared = 0
    for number, frame in enumerate(open_recording(DEMO)):
        rois = rois_of(frame, number) if number % 6 == 0 else []
        if rois:
            compared += assert_same(kernel, Scene(frame, tuple(rois)), number, 256) > 0

    assert compared >= 20


@needs_compiler
def test_a_frame_with_a_wider_row_pitch_gives_the_same_crops(kernel: HostKernel) -> None:
    scene = two_hands()
    wide = np.full((480, 1000), 310, np.uint16)
    wide[:, :640] = scene.frame.depth
    frame = DepthFrame(wide[:, :640], 1.0, scene.frame.intrinsics, 0, 0)

    out, _ = kernel.crop(frame, scene.rois, 0)

    np.testing.assert_array_equal(out, crops_of(scene.frame, scene.rois))


@needs_compiler
def test_a_batch_slot_without_a_hand_holds_background(kernel: HostKernel) -> None:
    scene = two_hands()

    out, filled = kernel.crop(scene.frame, [NOWHERE, scene.rois[0], NOWHERE], 0)

    assert (out[[0, 2]] == 1).all()
    assert filled[[0, 2]].tolist() == [0, 0]
    np.testing.assert_array_equal(out[1], crops_of(scene.frame, scene.rois)[0])


CELL = "zbuffer[static_cast<int>(row) * SIZE + static_cast<int>(column)]"
COLUMN = "__fadd_rn(__fmul_rn(__fsub_rn(x, hand.center_x), hand.cells_per_mm), hand.half_cells)"
FAULTS = {
    "no barriers": ("__syncthreads();", ""),
    "the last point wins": (f"atomicMin(&{CELL}, raw);", f"{CELL} = raw;"),
    "fused multiply-add": (COLUMN, "__builtin_fmaf(x - hand.center_x, hand.cells_per_mm, hand.half_cells)"),
    "specks stay": ("row > 0 && is_far(", "row < 0 && is_far("),
    "a speck may lie on the border": (
        "column > 0 && is_far(pixel[-1], raw, hand.speck) &&",
        "(column == 0 || is_far(pixel[-1], raw, hand.speck)) &&",
    ),
    "holes stay": ("zbuffer[cell] = before > after ? before : after;", ";"),
}


@needs_compiler
@pytest.mark.parametrize("fault", FAULTS)
def test_an_injected_kernel_bug_is_detected(tmp_path: Path, fault: str) -> None:
    """Tests the tests: random thread orders do reveal a race, and the scenes reveal rounding that differs from NumPy's."""
    broken = changed_kernel(tmp_path, *FAULTS[fault])

    wrong_pixels = 0
    for seed, scene in enumerate(scenes(40, seed=0)):
        out, _ = broken.crop(scene.frame, scene.rois, seed)
        wrong_pixels += int((out != crops_of(scene.frame, scene.rois)).sum())

    assert wrong_pixels > 0


def test_a_cube_that_nothing_falls_into_has_parameters_of_zero() -> None:
    hands = hand_parameters(two_hands().frame, 4096, 640, [NOWHERE])

    assert hands.tobytes() == bytes(HAND.itemsize)


def test_the_shipped_cubins_match_the_shipped_source() -> None:
    """After editing the kernel, run `make kernels`."""
    facts = msgspec.json.decode((FOLDER / FACTS).read_bytes(), type=KernelFacts)

    assert facts.source_sha256 == hashlib.sha256((FOLDER / SOURCE).read_bytes()).hexdigest()
    assert facts.options == OPTIONS
    assert set(facts.cubins) == {"sm_87", "sm_110"}
    for architecture in facts.cubins:
        assert choose_cubin(architecture).cubin == FOLDER / f"crop.{architecture}.cubin"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDER, tmp_path / "kernels"))


def test_a_gpu_without_a_cubin_gets_the_source(copy: Path) -> None:
    assert choose_cubin("sm_90", copy) == (None, "none is shipped for sm_90")


def test_a_changed_source_is_compiled_instead_of_the_cubin(copy: Path) -> None:
    (copy / SOURCE).write_bytes((copy / SOURCE).read_bytes() + b"\n")

    choice = choose_cubin("sm_87", copy)

    assert choice == (None, "crop.cu is not what the cubins were made from")


def test_a_damaged_cubin_is_not_loaded(copy: Path) -> None:
    path = copy / "crop.sm_87.cubin"
    path.write_bytes(path.read_bytes()[:-1])

    assert choose_cubin("sm_87", copy) == (None, "crop.sm_87.cubin is damaged")
    assert choose_cubin("sm_110", copy).cubin is not None


@pytest.mark.parametrize("content", [b"", b"{}", b'{"source_sha256": 1}'])
def test_unreadable_facts_fall_back_to_the_source(copy: Path, content: bytes) -> None:
    (copy / FACTS).write_bytes(content)

    choice = choose_cubin("sm_87", copy)

    assert choice.cubin is None
    assert choice.reason.startswith("crop.json cannot be used")
