"""Kills whole commands with SIGKILL at moments spread over their run, and judges what they leave: `make kill-test`.

`python -m tests.kills [--moments 100] [--jobs record,export] [FOLDER]`. An old result is there before each run; afterwards
there must be the old one or the new one, both intact. A recording keeps all but its last second. A last run, which is not
killed, must leave nothing but its result.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from calibration.calibration_set import read_set
from handmap.bundle.manifest import read_bundle
from handmap.recording.reader import open_recording
from handmap.types.errors import RecordingError
from tests.calibration.conftest import write_disc
from tests.calibration.networks import save_residual_program
from tests.support.processes import COMMAND, ROOT

NAMES: Final = ("export", "select", "quantize", "record", "train", "run")
LOST_S: Final = 1.0  # the most that a killed recording may lose
LATE_S: Final = 0.3  # between a frame's time and its arrival in the recorder, on a busy machine
RECORD_S: Final = 4.0
TRAIN_CONFIG: Final = """total_samples: 384
out: {out}
batch_samples: 16
warmup_samples: 64
validation_samples: 32
validate_every_samples: 192
checkpoint_every_s: 0.5
network: {{features: 16}}
cache: {{folder: {cache}, shard_samples: 64, window_shards: 2}}
"""


@dataclass(frozen=True)
class Job:
    """A command that writes `out`. judge raises an error for what a kill must not leave, given the seconds since `out` appeared."""

    name: str
    argv: tuple[str, ...]
    out: Path
    judge: Callable[[Path, float], None]
    keeps_old: bool = True  # it replaces what is at `out`; otherwise each run has a new `out`


def make_jobs(folder: Path) -> dict[str, Job]:
    """All jobs, on small inputs below `folder`, with what they read of each other; each writes below a folder of its name."""
    torch.manual_seed(0)
    program = save_residual_program(folder / "residual.pt2")
    samples = write_disc(folder / "samples", 9, 210)
    discs = [write_disc(folder / f"disc{seed}", seed) for seed in range(2)]
    bundle, chosen = folder / "export" / "out", folder / "select" / "out"
    camera = folder / "camera.yaml"
    camera.write_text(
        f"bundle: {bundle}\ncamera: {{kind: replay, path: {samples}, pace: recorded, loop: true}}\n"
        "publish: {targets: [{host: 127.0.0.1, port: 9}]}\ntelemetry: {port: null}\npreview: null\n"
    )
    (folder / "train.yaml").write_text(
        TRAIN_CONFIG.format(out=folder / "train" / "out", cache=folder / "train" / "cache")
    )
    recordings = [word for disc in discs for word in ("--recording", str(disc))]
    quantized = folder / "quantize" / "out"
    jobs = [
        Job("export", _words("export", checkpoint=program, samples=samples, out=bundle), bundle, _is_bundle),
        Job(
            "select",
            (*_words("calibrate", "select", bundle=bundle, frames=32, out=chosen), *recordings, "--force"),
            chosen,
            _is_set,
        ),
        Job(
            "quantize",
            _words("calibrate", "quantize", bundle=bundle, set=chosen, out=quantized),
            quantized,
            _is_bundle,
        ),
        Job(
            "record",
            _words("record", config=camera, seconds=RECORD_S, out=folder / "record" / "out"),
            folder / "record" / "out",
            _keeps_all_but_a_second,
            keeps_old=False,
        ),
        Job(
            "train",
            _words("train", config=folder / "train.yaml", out=folder / "train" / "out"),
            folder / "train" / "out",
            _can_resume,
            keeps_old=False,
        ),
        Job("run", _words("run", config=camera), folder / "run" / "out", lambda _out, _s: _is_bundle(bundle, 0)),
    ]
    for job in jobs:
        job.out.parent.mkdir(parents=True)
    for job in jobs[:2]:
        _run_whole(job)
    return {job.name: job for job in jobs}


def kill_at_moments(job: Job, moments: int) -> list[str]:
    """Runs the command once to its end, then kills it at so many moments, spread evenly; returns what was wrong."""
    before_s = time.monotonic()
    _run_whole(job)
    length_s = time.monotonic() - before_s
    faults = []
    for number in range(moments):
        out = job.out if job.keeps_old else job.out.with_name(f"out{number}")
        was_there = out.exists()
        alive_s = _kill_after(_onto(job, out), out, length_s * (number + 0.5) / moments)
        try:
            job.judge(out, alive_s)
            assert out.exists() or not was_there, "the old result is gone"
        except Exception as error:  # noqa: BLE001  whatever is wrong is the result
            faults.append(f"{job.name}, moment {number + 1} of {moments}: {type(error).__name__}: {error}")
    _run_whole(job)
    for littered in {path.parent for path in _left(job)} if not job.keeps_old else ():
        _run_whole(job, littered)  # a run of its own in each: only one that writes there again clears it
    left = sorted(path.name for path in _left(job))
    return faults + ([f"{job.name}: the next run leaves {left}"] if left else [])


def _left(job: Job) -> list[Path]:
    return list(job.out.parent.rglob("*.handmap.tmp"))


def _words(*verbs: str, **options: object) -> tuple[str, ...]:
    return (*verbs, *(word for name, value in options.items() for word in (f"--{name}", str(value))))


def _onto(job: Job, out: Path) -> list[str]:
    return [*COMMAND, *(str(out) if word == str(job.out) else word for word in job.argv)]


def _run_whole(job: Job, onto: Path | None = None) -> None:
    """The command to its end; the daemon, which has none, for a few seconds."""
    out = onto or (job.out if job.keeps_old else job.out.with_name(f"out-{time.time_ns()}"))
    with subprocess.Popen(
        _onto(job, out), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        if job.name == "run":
            time.sleep(RECORD_S)
            process.terminate()
        _, errors = process.communicate(timeout=300)
    before_it_was_up = job.name == "run" and process.returncode == -signal.SIGTERM
    if process.returncode != 0 and not before_it_was_up:
        raise SystemExit(f"{job.name} fails without a kill ({process.returncode}): {errors[-600:]}")


def _kill_after(argv: list[str], out: Path, delay_s: float) -> float:
    """Kills the command after a delay; returns the seconds since `out` was first seen."""
    end_s = time.monotonic() + delay_s
    seen_s = None
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while (now_s := time.monotonic()) < end_s and process.poll() is None:
            if seen_s is None and out.exists():
                seen_s = now_s
            time.sleep(0.005)
        alive_s = 0.0 if seen_s is None else time.monotonic() - seen_s
        process.kill()
    return alive_s


def _is_bundle(out: Path, _alive_s: float) -> None:
    if out.exists():
        read_bundle(out)


def _is_set(out: Path, _alive_s: float) -> None:
    if out.exists():
        read_set(out)


def _keeps_all_but_a_second(out: Path, alive_s: float) -> None:
    if not out.exists():
        return
    try:
        frames = list(open_recording(out))
    except RecordingError:
        assert alive_s < LOST_S + LATE_S, f"nothing can be read after {alive_s:.2f} s"
        return
    kept_s = (frames[-1].capture_ns - frames[0].capture_ns) / 1e9
    assert kept_s > min(alive_s, RECORD_S) - LOST_S - LATE_S, f"{kept_s:.2f} s kept of {alive_s:.2f} s"


def _can_resume(out: Path, _alive_s: float) -> None:
    from training.trainer.checkpoint import LAST, read_checkpoint

    if (out / LAST).exists():
        read_checkpoint(out / LAST)


def main(words: list[str]) -> None:
    """Prints one JSON object; exits with 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=100)
    parser.add_argument("--jobs", default=",".join(NAMES))
    parser.add_argument("folder", type=Path, nargs="?")
    wanted = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as temporary:
        jobs = make_jobs(wanted.folder or Path(temporary))
        faults = {name: kill_at_moments(jobs[name], wanted.moments) for name in wanted.jobs.split(",")}
    print(json.dumps({"moments": wanted.moments, "faults": faults}, indent=1))  # noqa: T201  the result
    sys.exit(any(faults.values()))


if __name__ == "__main__":
    main(sys.argv[1:])
