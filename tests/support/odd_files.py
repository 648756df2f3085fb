"""Runs odd recordings, folders of PNGs and networks through the product: is each read right, refused in a sentence, or wrong?

`python -m tests.support.odd_files GENERATORS [--kinds bags,pngs,networks,facts]`, where the folder GENERATORS holds gen.py,
gen2.py, gen_png.py, gen_models.py and gen_facts.py. Prints a table; exits with 1 if a line of it is wrong.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from inspect import isfunction, signature
from pathlib import Path
from typing import Final

import numpy as np

from handmap.bundle.manifest import read_bundle
from handmap.engines.factory import open_engines
from handmap.recording.depth_range import why_no_hand
from handmap.recording.reader import open_recording
from handmap.recording.stated import IntrinsicsConfig, RecordingAt, Stated
from handmap.system.timing import StageClock
from handmap.tracking.fitted_hands import UNFITTED
from handmap.tracking.smooth import UNSMOOTHED
from handmap.tracking.tracker import TrackerState, track_hands
from handmap.tracking.tracker_settings import TrackingConfig, tracker_settings
from handmap.types.arrays import Float32
from handmap.types.errors import HandmapError

from .processes import ROOT, handmap

SHIPPED: Final = ROOT / "models" / "handmap-hand21"
SAMPLES: Final = ROOT / "models" / "demo_recording"
SAME_MM: Final = 0.5
NEAR_MM: Final = 15.0  # any joint of the same hand by other pixels
LENS: Final = IntrinsicsConfig(475.0, 475.0, 320.0, 240.0)
DEPTH: Final = "/camera/depth/image_rect_raw"
# What a case must be; `same` where it is not named. `read` is for frames that have no counterpart in the plain case.
BAGS: Final = {
    "float_mm": "refused", "tenth_mm": "read", "tum_unit": "read", "mono16": "refused", "compressed_jpeg": "refused",
    "compressed_rvl": "refused same", "compressed_zstd": "refused same", "no_info": "refused", "zero_k": "refused",
    "zero_size": "refused same", "distorted": "near", "strongly_distorted": "read", "binned": "near", "roi": "near",
    "duplicates": "read", "two_depths": "refused", "aligned_only": "refused", "two_cameras": "refused",
    "lens_changes": "read", "empty": "refused", "black": "read", "best_effort_qos_lost": "read",
    "split_missing": "refused", "lfs_pointer": "refused",
}  # fmt: skip
STATED_BAGS: Final = {  # and then, with what the sentence asks for, it is `same`
    "float_mm": Stated(depth_unit_mm=1.0), "tenth_mm": Stated(depth_unit_mm=0.1), "tum_unit": Stated(depth_unit_mm=0.2),
    "mono16": Stated(topic="/cam0/image_raw"), "no_info": Stated(intrinsics=LENS), "zero_k": Stated(intrinsics=LENS),
    "two_depths": Stated(topic=DEPTH), "aligned_only": Stated(intrinsics=LENS),
    "two_cameras": Stated(topic="/cam_left/depth/image_rect_raw"),
}  # fmt: skip
PNGS: Final = {
    "tiff": "refused", "with_color": "refused", "with_mask": "refused", "two_views": "refused", "nyu_layout": "refused",
    "eight_bit": "refused", "colorized": "refused", "rgb48": "refused same", "grey_alpha16": "refused same",
    "subfolder": "refused same", "opencv_yaml": "refused same", "no_yaml": "refused", "tum_unit_forgotten": "read",
    "one_broken": "refused",
}  # fmt: skip
NETWORKS: Final = {
    "state_dict.pth": "refused", "checkpoint.pth.tar": "refused", "module.pth": "refused", "torchscript.pt": "refused",
    "fixed_batch1.pt2": "refused right", "fixed_batch2.pt2": "refused right", "half.pt2": "refused right",
    "bfloat.pt2": "refused right", "nhwc.pt2": "refused", "size96.pt2": "refused", "flat63.pt2": "refused right",
    "transposed.pt2": "refused", "mm.pt2": "refused right", "xyzc.pt2": "refused", "train_mode.pt2": "refused", "dyn_hw.pt2": "refused right",
    "names.onnx": "refused right", "fixed.onnx": "refused right", "half_io32.onnx": "refused right",
    "half_io16.onnx": "refused", "nan_weight.onnx": "refused", "dict_pose.pt2": "refused right",
    "tuple.pt2": "refused right", "facts_20.yaml": "refused", "facts_swapped.yaml": "refused",
    "facts_other_order.yaml": "refused", "facts_no_conf.yaml": "refused right",
}  # fmt: skip
FACTS: Final = {
    "plain": "same refused", "zero_one": "same refused", "hands17": "same refused", "mm": "refused", "y_up": "refused",
    "joints14": "refused", "joints16": "refused", "joints20": "refused", "joints26": "refused",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A line of the table. found is `same`, `near`, `read`, `right`, `refused`, or `wrong`; wanted are those that will do."""

    case: str
    wanted: str
    found: str
    detail: str

    @property
    def is_wrong(self) -> bool:
        """Whether the case is not what it must be; one that is the same is also near, and read."""
        implied = {"same": "same near read", "near": "near read"}.get(self.found, self.found)
        return not set(implied.split()) & set(self.wanted.split())


def judge_bags(generators: Path, folder: Path) -> Iterator[Row]:
    """Every recording of gen.py and gen2.py, and again with what its sentence asks for."""
    folder.mkdir()
    sys.path.insert(0, str(generators))
    for program in ("gen", "gen2"):
        yield from _make_each(program, folder)
    plain = _joints(RecordingAt(folder / "plain"), SHIPPED)
    for path in sorted(folder.iterdir()):
        name = path.name.partition(".")[0]
        row = _judge_recording(RecordingAt(path), plain)
        yield replace(row, case=name, wanted=BAGS.get(name, "same"))
        if name in STATED_BAGS:
            stated = STATED_BAGS[name]
            yield replace(_judge_recording(RecordingAt(path, stated), plain), case=f"{name}, stated", wanted="same")


def judge_pngs(generators: Path, folder: Path) -> Iterator[Row]:
    """Every folder of gen_png.py."""
    _generate(generators / "gen_png.py", folder)
    plain = _joints(RecordingAt(folder / "padded"), SHIPPED)
    for path in sorted(folder.iterdir()):
        yield replace(_judge_recording(RecordingAt(path), plain), case=path.name, wanted=PNGS.get(path.name, "same"))


def judge_networks(generators: Path, folder: Path) -> Iterator[Row]:
    """Every network of gen_models.py with the right facts, and a right one with each of the other facts."""
    _generate(generators / "gen_models.py", folder)
    plain = folder / "facts.yaml"
    for path in sorted(folder.iterdir()):
        if path.suffix == ".data" or path == plain:
            continue
        network, facts = (folder / "good.onnx", path) if path.suffix == ".yaml" else (path, plain)
        found, detail = _export(network, facts, folder / "out")
        yield Row(path.name, NETWORKS.get(path.name, "right"), found, detail)


def judge_facts(generators: Path, folder: Path) -> Iterator[Row]:
    """Every network of gen_facts.py with its facts; what is exported must estimate the shipped network's joints."""
    _generate(generators / "gen_facts.py", folder)
    plain = _joints(RecordingAt(SAMPLES), SHIPPED)
    for path in sorted(folder.glob("*.pt2")):
        out = folder / "out"
        found, detail = _export(path, path.with_suffix(".yaml"), out)
        if found == "right":
            found, detail = _compare(_joints(RecordingAt(SAMPLES), out), plain)
        yield Row(path.stem, FACTS.get(path.stem, "same"), found, detail)


JUDGES: Final[dict[str, Callable[[Path, Path], Iterator[Row]]]] = {
    "bags": judge_bags, "pngs": judge_pngs, "networks": judge_networks, "facts": judge_facts,
}  # fmt: skip


def _make_each(program: str, folder: Path) -> Iterator[Row]:
    """Calls each function of a generator that makes one case; a row for one that fails by itself, whose remains are removed."""
    module = import_module(program)
    for name, make in vars(module).items():
        if (
            not isfunction(make)
            or make.__module__ != program
            or not make.__doc__
            or next(iter(signature(make).parameters), "") != "p"
        ):
            continue
        try:
            make(folder / name)
        except Exception as error:  # noqa: BLE001  the fault is the generator's
            shutil.rmtree(folder / name, ignore_errors=True)
            yield Row(name, "refused", "refused", f"not made by its generator: {error}")


def _generate(program: Path, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    done = subprocess.run([sys.executable, program, folder], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"{program.name} did not finish: {done.stderr.strip().splitlines()[-1]}")  # noqa: T201


def _judge_recording(at: RecordingAt, plain: list[Float32]) -> Row:
    try:
        found = _joints(at, SHIPPED)
        if not any(map(len, found)):
            why = why_no_hand(open_recording(at))
            return Row("", "", "read" if why else "wrong", why or "no hand, and nothing says why")
        return Row("", "", *_compare(found, plain))
    except HandmapError as error:
        return Row("", "", *_judge_sentence(str(error)))
    except Exception as error:  # noqa: BLE001  whatever else comes is what is looked for
        return Row("", "", "wrong", f"{type(error).__name__}: {error}")


def _judge_sentence(said: str) -> tuple[str, str]:
    """One sentence, after any notes; one that ends with a colon may have a list or lines of code under it."""
    sentence, *more = [line for line in said.strip().splitlines() if not line.startswith("note: ")] or [""]
    is_one = sentence and "Traceback" not in said and (not more or sentence.endswith(":"))
    return ("refused", sentence) if is_one else ("wrong", f"several lines: {said!r}")


def _joints(at: RecordingAt, bundle: Path) -> list[Float32]:
    """Joints in the camera's frame of the first hand of each frame, (21, 3) mm, or (0, 3)."""
    described = read_bundle(bundle)
    settings = tracker_settings(described, TrackingConfig(handedness="right"), UNSMOOTHED, UNFITTED)
    state, clock, found = TrackerState(), StageClock(), list[Float32]()
    with open_engines(described) as engines:
        for frame in open_recording(at):
            poses, state = track_hands(frame, state, engines, settings, clock)
            found.append(poses[0].xyz_camera_mm if poses else np.zeros((0, 3), np.float32))
    return found


def _compare(found: list[Float32], plain: list[Float32]) -> tuple[str, str]:
    """The largest distance between joints of the same frame; a hand in one and not in the other is no comparison."""
    hands = sum(len(one) > 0 for one in found)
    pairs = list(zip(found, plain, strict=False))
    if not pairs or any(len(one) != len(other) for one, other in pairs):
        return "read", f"{len(found)} frames, {hands} hands"
    worst = max((float(np.linalg.norm(one - other, axis=1).max()) for one, other in pairs if len(one)), default=0.0)
    kind = "same" if worst <= SAME_MM else "near" if worst <= NEAR_MM else "read"
    return kind, f"{len(found)} frames, {hands} hands, {worst:.2f} mm"


def _export(network: Path, facts: Path, out: Path) -> tuple[str, str]:
    """Exports, checks and benches."""
    steps = (
        ("export", "--checkpoint", network, "--model-facts", facts, "--samples", SAMPLES, "--out", out),
        ("check", "--bundle", out),
        ("bench", "--bundle", out, "--recording", SAMPLES),
    )
    for words in steps:
        done = handmap(*words, timeout_s=300)
        said = done.stderr.strip()
        if done.returncode == 78 and words[0] == "export":
            return _judge_sentence(said)
        if done.returncode != 0:
            return "wrong", f"{words[0]} exits with {done.returncode}: {said[-300:]}"
    return "right", ""


def main(words: list[str]) -> None:
    """Prints the table and the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("generators", type=Path)
    parser.add_argument("--kinds", default=",".join(JUDGES))
    wanted = parser.parse_args(words)
    rows: list[Row] = []
    for kind in wanted.kinds.split(","):
        with tempfile.TemporaryDirectory() as temporary:
            for row in JUDGES[kind](wanted.generators.resolve(), Path(temporary) / kind):
                rows.append(row)
                mark = "WRONG  " if row.is_wrong else f"{row.found:8}"
                print(f"{mark} {kind:9} {row.case:28} {row.detail[:300]}", flush=True)  # noqa: T201  the result
    wrong = sum(row.is_wrong for row in rows)
    refused = sum(row.found == "refused" and not row.is_wrong for row in rows)
    print(f"{len(rows) - wrong - refused} right, {refused} refused, {wrong} wrong")  # noqa: T201  the result
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main(sys.argv[1:])
