"""Files and folders that a command cannot use: one sentence and exit code 78, before the work, and nothing is left behind."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.processes import ROOT
from tests.support.tiny_bundle import write_blob_recording, write_bundle

BUNDLE, RECORDING = "models/handmap-hand21", "models/demo_recording"


def handmap(*arguments: str | Path, limit_s: float = 60) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "handmap", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=limit_s, check=False)


def assert_refused(done: "subprocess.CompletedProcess[str]", said: str) -> None:
    assert done.returncode == 78, done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.startswith("note: ")]
    assert len(lines) == 1 and said in lines[0], done.stderr


def fifo(path: Path) -> None:
    os.mkfifo(path)


def looped(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize("make", [fifo, looped, Path.mkdir])
@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--validate", "--config"], ["record", "--out", "{out}", "--config"], ["status", "--config"],
        ["train", "--config"], ["build-engine", "--config"], ["export", "--out", "{out}", "--samples", RECORDING, "--checkpoint"],
        ["calibrate", "quantize", "--bundle", BUNDLE, "--out", "{out}", "--set"],
    ],
    ids=lambda arguments: arguments[0],
)  # fmt: skip
def test_what_is_no_file_is_refused_and_not_waited_for(
    make: Callable[[Path], None], arguments: list[str], tmp_path: Path
) -> None:
    make(tmp_path / "given")
    words = [word.format(out=tmp_path / "out") for word in arguments]

    done = handmap(*words, tmp_path / "given")

    assert_refused(done, str(tmp_path / "given"))
    assert os.listdir(tmp_path) == ["given"]


@pytest.mark.parametrize("verb", ["check", "bench", "inspect", "run"])
def test_a_named_pipe_for_a_manifest_or_recording_is_refused(verb: str, tmp_path: Path) -> None:
    write_bundle(tmp_path / "b")
    (tmp_path / "b" / "manifest.json").unlink()
    fifo(tmp_path / "b" / "manifest.json")
    fifo(tmp_path / "clip.mcap")
    (tmp_path / "c.yaml").write_text(
        f"bundle: {tmp_path / 'b'}\ncamera: {{kind: replay, path: {tmp_path / 'clip.mcap'}}}\n"
        "publish: {targets: [{host: 127.0.0.1, port: 5656}]}\n"
    )
    arguments: dict[str, list[str | Path]] = {
        "check": ["--bundle", tmp_path / "b"], "run": ["--validate", "--config", tmp_path / "c.yaml"], "inspect": [tmp_path / "clip.mcap"],
        "bench": ["--bundle", BUNDLE, "--recording", tmp_path / "clip.mcap"],
    }  # fmt: skip

    assert_refused(handmap(verb, *arguments[verb]), "named pipe")


@pytest.mark.parametrize("place", ["/proc/out", "/sys/out", "{file}/out"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["export", "--checkpoint", "models/handmap-hand21.pt2", "--samples", RECORDING],
        ["calibrate", "select", "--bundle", BUNDLE, "--recording", RECORDING],
        ["calibrate", "report", "--bundle", BUNDLE, "--data", "synthetic:val"],
        ["synthesize"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_a_place_that_cannot_be_written_is_refused_before_the_work(
    arguments: list[str], place: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    out = place.format(file=tmp_path / "file")
    started_s = time.monotonic()

    done = handmap(*arguments, "--out", out)

    assert_refused(done, "cannot be written")
    assert time.monotonic() - started_s < 30  # s: the work takes minutes
    assert os.listdir(tmp_path) == ["file"]


# Root reads everything by this capability, which a container's root may keep.
AS_OTHERS = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []


@pytest.mark.skipif(
    bool(AS_OTHERS) and shutil.which("setpriv") is None, reason="root without setpriv may read everything"
)
def test_what_may_not_be_entered_or_read_is_a_sentence(tmp_path: Path) -> None:
    closed, config = tmp_path / "closed", tmp_path / "closed.yaml"
    closed.mkdir()
    write_blob_recording(closed / "clip", 3)
    for file in (closed / "c.yaml", config):
        file.write_text("bundle: b\n")
    closed.chmod(0)
    config.chmod(0)
    try:
        for words in (
            ["run", "--validate", "--config", closed / "c.yaml"], ["run", "--validate", "--config", config],
            ["status", "--config", config], ["check", "--bundle", closed], ["inspect", closed / "clip"],
            ["export", "--checkpoint", closed / "n.onnx", "--model-facts", config, "--samples", RECORDING, "--out", tmp_path / "out"],
            ["export", "--checkpoint", "models/handmap-hand21.pt2", "--samples", RECORDING, "--out", closed / "out"],
            ["calibrate", "quantize", "--bundle", BUNDLE, "--set", closed / "set", "--out", tmp_path / "out"],
            ["train", "--config", "configs/train_handmap.yaml", "--out", closed / "out"],
        ):  # fmt: skip
            command = [*AS_OTHERS, sys.executable, "-m", "handmap", *map(str, words)]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
            assert_refused(done, "Permission denied")
    finally:
        closed.chmod(0o755)


def test_a_name_that_no_encoding_has_is_escaped(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"of\xff")
    shutil.copytree(ROOT / RECORDING, path)

    done = subprocess.run(
        [sys.executable, "-m", "handmap", "inspect", str(path)],
        cwd=ROOT, capture_output=True, timeout=60, check=False, env=os.environ | {"PYTHONIOENCODING": "utf-8:strict"},
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert rb"of\udcff" in done.stdout
