"""The tools around the daemon: record, bench and check, through the real command."""

import json
import shutil
import signal
import time
from pathlib import Path

import pytest

from handmap.bundle.manifest import Bundle
from handmap.recording.reader import open_recording
from tests.support.processes import handmap, started
from tests.support.tiny_bundle import CAMERA, write_blob_recording, write_config


def test_recorded_replay_is_the_recording_with_current_stamps(tmp_path: Path, bundle: Bundle, recording: Path) -> None:
    config = write_config(tmp_path / "c.yaml", bundle.path, recording, 9, "flat_out", False)

    done = handmap("record", "--config", config, "--out", tmp_path / "out", "--json")

    assert json.loads(done.stdout) == {"recording": str(tmp_path / "out"), "frames": 30}
    copied = list(open_recording(tmp_path / "out"))
    for first, second in zip(open_recording(recording), copied, strict=True):
        assert (first.depth == second.depth).all() and second.intrinsics == CAMERA
    assert abs(copied[0].capture_ns - time.time_ns()) < 60e9


def test_recording_stops_after_the_given_time(tmp_path: Path, bundle: Bundle, recording: Path) -> None:
    config = write_config(tmp_path / "c.yaml", bundle.path, recording, 9, "flat_out", True)

    handmap("record", "--config", config, "--out", tmp_path / "out", "--seconds", "1.5")

    assert len(open_recording(tmp_path / "out")) == 45


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_recording_is_whole(
    tmp_path: Path, bundle: Bundle, recording: Path, number: signal.Signals
) -> None:
    config = write_config(tmp_path / "c.yaml", bundle.path, recording, 9)
    with started("record", "--config", config, "--out", tmp_path / "out") as process:
        deadline_s = time.monotonic() + 60
        while not list(tmp_path.rglob("*.mcap")) and time.monotonic() < deadline_s:
            time.sleep(0.02)
        time.sleep(0.8)
        process.send_signal(number)
        assert process.wait(30) == 0

    assert 1 < len(list(open_recording(tmp_path / "out"))) < 60


def test_existing_recording_is_not_overwritten(tmp_path: Path, bundle: Bundle, recording: Path) -> None:
    config = write_config(tmp_path / "c.yaml", bundle.path, recording, 9, "flat_out", False)
    (tmp_path / "out").mkdir()

    done = handmap("record", "--config", config, "--out", tmp_path / "out")

    assert done.returncode == 78 and "never overwritten" in done.stderr


def test_bench_gives_the_promised_keys(bundle: Bundle, recording: Path) -> None:
    done = handmap("bench", "--bundle", bundle.path, "--recording", recording, "--json")

    report = json.loads(done.stdout)
    assert {"crop", "infer", "decode", "publish", "not_infer", "wait"} <= set(report["stages"])
    for stage in (*report["stages"].values(), report["end_to_end"]):
        assert 0 < stage["p50_ms"] <= stage["p99_ms"]
    assert report["frames"] == report["hands"] == 20  # ten frames warm up
    assert report["dropped"] == 0
    assert report["fps"] > 0
    assert 0 < report["rss_mb"] <= 300
    assert len(report["load_average"]) == 3


def test_bench_as_text_names_every_stage(bundle: Bundle, recording: Path) -> None:
    done = handmap("bench", "--bundle", bundle.path, "--recording", recording)

    assert done.returncode == 0, done.stderr
    assert "end_to_end" in done.stdout and "frames/s" in done.stdout


def test_bench_without_a_recording_gives_advice(bundle: Bundle) -> None:
    done = handmap("bench", "--bundle", bundle.path)

    assert done.returncode == 78 and "--recording" in done.stderr


def test_bench_of_too_few_frames_is_refused(tmp_path: Path, bundle: Bundle) -> None:
    recording = write_blob_recording(tmp_path / "short", 10)

    done = handmap("bench", "--bundle", bundle.path, "--recording", recording)

    assert done.returncode == 78 and "use a longer one" in done.stderr


def test_check_runs_the_golden_samples(bundle: Bundle) -> None:
    done = handmap("check", "--bundle", bundle.path, "--json")

    (fp32,) = json.loads(done.stdout)["precisions"]
    assert fp32["precision"] == "fp32" and fp32["golden_mm"] < 0.05


def test_check_refuses_a_broken_bundle(tmp_path: Path, bundle: Bundle) -> None:
    shutil.copytree(bundle.path, tmp_path / "b")
    golden = tmp_path / "b" / "golden.npz"
    golden.write_bytes(golden.read_bytes()[:-5])

    done = handmap("check", "--bundle", tmp_path / "b")

    assert done.returncode == 78 and "golden.npz has sha256" in done.stderr and "Traceback" not in done.stderr
