"""What `handmap label` and fine-tuning gain on a camera that training never saw, without a single true label of it.

`python -m docs.measured.self_labeling run SEED [WAY...]` films ten minutes without labels and a scored recording of other
people, labels the first, fine-tunes the shipped network and its palm detector on it (the way `selected`), on what looser limits
keep (`loose`), on everything that was tracked (`control`) and on rendered hands alone (`rendered`), and scores these and the
shipped bundle. A seed takes hours on two cores; `minutes.txt` says how many minutes. `... table SEED...` prints what was scored.
Steps that are done are not repeated.
"""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import yaml

from handmap.bundle.manifest import read_bundle
from handmap.files.atomic import new_folder, write_file
from handmap.recording.datasets import LabeledFrame
from handmap.recording.reader import open_recording
from handmap.recording.stated import RecordingAt
from handmap.recording.writer import RecordingWriter
from handmap.types.joints import HAND21
from handmap.types.values import Handedness
from training.labeling.label import LabeledTrack, LabelLimits, LabelRequest, track_recording, write_labels

from .other_camera import film, read_other_camera, true_joints, write_film
from .skeleton_motion import FPS

ROOT = Path(__file__).resolve().parents[2]
RUNS = ROOT / "runs/self_labeling"
BUNDLE = ROOT / "models/handmap-hand21"
FRAMES_EACH = 3600  # of five people: ten minutes at 30 frames a second
SCORED_EACH, SCORED_STRIDE = 1200, 12
FIRST_SCORED = 500  # people who are scored; those who are labeled come before
PEOPLE_A_SEED = 10
LOOSE = LabelLimits(max_error_mm=20.0, min_agreement=0.5)
LABELS = ("selected", "loose", "control")
WAYS = (*LABELS, "rendered")  # the last on rendered hands alone: what any short training does


def run(seed: int, ways: list[str]) -> None:
    """Everything for one seed, trained in these ways."""
    folder = RUNS / f"seed{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    started_s = time.monotonic()
    camera = read_other_camera()
    if not (folder / "score").exists():
        people = film(camera, PEOPLE_A_SEED * seed + FIRST_SCORED, SCORED_EACH, SCORED_STRIDE)
        write_film(folder / "score", people, has_labels=True)
    if not (folder / "film").exists():
        write_film(folder / "film", film(camera, PEOPLE_A_SEED * seed, FRAMES_EACH, 1), has_labels=False)
    _label(folder, [way for way in ways if way in LABELS])
    for way in ways:
        _train(folder, way, seed)
    score(BUNDLE, folder / "score", RUNS / f"shipped-{seed}.json")
    for way in ways:
        score(folder / way / "bundle", folder / "score", folder / f"{way}.json")
    with (RUNS / "minutes.txt").open("a") as file:
        file.write(f"seed {seed}, {', '.join(ways)}: {(time.monotonic() - started_s) / 60:.0f} min\n")


def _label(folder: Path, ways: list[str]) -> None:
    """The labels of these ways that are not there yet; those of `control` are all that were tracked, without doubt."""
    missing = [way for way in ways if not (folder / f"labels-{way}").exists()]
    if not missing:
        return
    request = LabelRequest(RecordingAt(folder / "film"), BUNDLE)
    recording = open_recording(request.recording)
    track = track_recording(recording, read_bundle(BUNDLE), request)
    for way in missing:
        if way == "control":
            _write_all(folder, track)
            continue
        limits = LOOSE if way == "loose" else request.limits
        with new_folder(folder / f"labels-{way}") as labels:
            write_labels(recording, track, replace(request, limits=limits), labels)


def _write_all(folder: Path, track: LabeledTrack) -> None:
    recording = open_recording(folder / "film")
    with (
        new_folder(folder / "labels-control") as labels,
        RecordingWriter(labels / "recording", recording.intrinsics, recording.depth_unit_mm) as writer,
    ):
        for frame, xyz_mm in zip(recording, track.fitted.xyz_mm, strict=True):
            if np.isfinite(xyz_mm).all():
                seen = np.ones(len(HAND21), bool)
                writer.write_labeled(LabeledFrame(frame, xyz_mm.astype(np.float32), seen, Handedness.RIGHT))


def _train(folder: Path, way: str, seed: int) -> None:
    """Fine-tunes both networks on the labels, adds handedness and exports, as docs/training.md describes it."""
    out = folder / way
    if (out / "bundle").exists():
        return
    settings = yaml.safe_load((ROOT / "configs/train_adapt.yaml").read_text())
    sources = [one for one in settings["sources"] if one["data"] == "synthetic"]
    if way in LABELS:
        sources.append({"data": str(folder / f"labels-{way}/recording"), "weight": 1})
    _write_config("train_adapt.yaml", out / "train.yaml", seed=seed, out=str(out / "hand"), sources=sources)
    _handmap("train", "--config", out / "train.yaml")
    _write_config("adapt_palm.yaml", out / "palm.yaml", seed=seed, out=str(out / "palm"), sources=sources)
    _handmap("train-palm", "--config", out / "palm.yaml")
    trunk = str(out / "hand/handmap.pt2")
    _write_config("adapt_handedness.yaml", out / "side.yaml", seed=seed, out=str(out / "side"), trunk=trunk)
    _handmap("train-handedness", "--config", out / "side.yaml")
    _handmap(
        "export", "--checkpoint", out / "side/handmap.pt2", "--palm", out / "palm/palm.pt2", "--out",
        out / "bundle", "--samples", ROOT / "models/demo_recording", "--precisions", "fp32",
    )  # fmt: skip


def _write_config(name: str, path: Path, **changes: object) -> None:
    """A configuration of configs/ with changes, its paths made absolute."""
    settings = yaml.safe_load((ROOT / "configs" / name).read_text().replace("../", f"{ROOT}/")) | changes
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, yaml.safe_dump(settings).encode())


def score(bundle: Path, recording: Path, path: Path) -> None:
    """Figures of a bundle on the scored recording, synthetic:val and synthetic:hard, as JSON."""
    if path.exists():
        return
    found = {
        "camera": _evaluate(bundle, str(recording), "--handedness", "right"),
        "val": _evaluate(bundle, "synthetic:val"),
        "hard": _evaluate(bundle, "synthetic:hard"),
    }
    write_file(path, (json.dumps(found) + "\n").encode())


def _evaluate(bundle: Path, data: str, *options: str) -> dict[str, Any]:
    done = _handmap("evaluate", "--bundle", bundle, "--data", data, "--json", *options)
    figures: dict[str, Any] = msgspec.json.decode(done.strip().splitlines()[-1])
    return figures


def _handmap(*arguments: object) -> str:
    command = [sys.executable, "-m", "handmap", *(str(one) for one in arguments)]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def label_quality(folder: Path, seed: int) -> dict[str, Any]:
    """How far the labels of each way are off the truth, mm, how many frames they are of, and what they said of their errors."""
    truth = true_joints(read_other_camera(), PEOPLE_A_SEED * seed, FRAMES_EACH)
    found: dict[str, Any] = {}
    for way in (way for way in LABELS if (folder / f"labels-{way}").exists()):
        errors, doubts = [], []
        for one in open_recording(folder / f"labels-{way}/recording").labeled():
            number = round(one.frame.capture_ns * FPS / 1e9)
            errors.append(np.linalg.norm(one.xyz_camera_mm - truth[number], axis=1))
            doubts.append(one.doubt_mm)
        each = np.array(errors)
        found[way] = {"frames": len(each), "mean_mm": float(each.mean()), "p95_mm": float(np.percentile(each, 95))}
        if doubts[0] is not None:
            found[way]["doubt_mm"] = float(np.mean(doubts))
    return found


def table(seeds: list[int]) -> str:
    """The figures of all seeds as Markdown."""
    rows = [
        "| seed | bundle | camera, mm | labeled cube, mm | found | `val`, mm | `hard`, mm | false hands |",
        "|---" * 8 + "|",
    ]
    for seed in seeds:
        shipped = json.loads((RUNS / f"shipped-{seed}.json").read_text())
        for name in ("shipped", *WAYS):
            path = RUNS / (f"shipped-{seed}.json" if name == "shipped" else f"seed{seed}/{name}.json")
            if not path.exists():  # not run
                continue
            one = json.loads(path.read_text())
            camera, hard = one["camera"], one["hard"]
            means = [
                f"{one[data][key]:.2f} ({one[data][key] / shipped[data][key] - 1:+.1%})"
                for data, key in (
                    ("camera", "mean_mm"),
                    ("camera", "oracle_mean_mm"),
                    ("val", "mean_mm"),
                    ("hard", "mean_mm"),
                )
            ]
            means.insert(2, f"{camera['found']:.1%}")
            rows.append(f"| {seed} | {name} | {' | '.join(means)} | {hard['published_without_hand']:.2%} |")
    rows += ["", "| seed | labels | frames | mean error, mm | p95, mm | mean doubt, mm |", "|---" * 6 + "|"]
    for seed in seeds:
        for way, labels in label_quality(RUNS / f"seed{seed}", seed).items():
            doubt = f"{labels['doubt_mm']:.1f}" if "doubt_mm" in labels else "none"
            rows.append(
                f"| {seed} | {way} | {labels['frames']:,} | {labels['mean_mm']:.1f} | {labels['p95_mm']:.1f} | {doubt} |"
            )
    return "\n".join(rows)


if __name__ == "__main__":
    if sys.argv[1] == "run":
        run(int(sys.argv[2]), sys.argv[3:] or list(WAYS))
    else:
        sys.stdout.write(table([int(seed) for seed in sys.argv[2:]]) + "\n")
