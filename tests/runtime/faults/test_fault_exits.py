"""How the command itself ends under faults: exit codes, one sentence, and SIGTERM in every state."""

import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from handmap.bundle.manifest import Bundle
from handmap.protocol.fields import DaemonState
from handmap.recording.reader import open_recording
from tests.runtime.watched_daemon import has_valid_hand, write_faulty_config
from tests.support.processes import ROOT, drain, listening, port_of, receive, started


@pytest.mark.parametrize(
    ("state", "faults"),
    [
        (DaemonState.STARTING, "{kind: stalled}"),
        (DaemonState.NO_CAMERA, "{kind: unplugged}"),
        (DaemonState.NO_HAND, "{kind: all_zero}"),
        (DaemonState.TRACKING, ""),
        (DaemonState.DEGRADED, "{kind: clock_steps_back}"),
        (DaemonState.STOPPING, "{kind: stop_hangs}"),
    ],
)
def test_sigterm_ends_every_state_cleanly(
    tmp_path: Path, bundle: Bundle, recording: Path, state: DaemonState, faults: str
) -> None:
    with listening() as sink:
        config = write_faulty_config(tmp_path / "c.yaml", bundle.path, recording, [port_of(sink)], faults)
        with started("run", "--config", config) as process:
            while receive(sink).state is not (DaemonState.TRACKING if state is DaemonState.STOPPING else state):
                pass
            process.send_signal(signal.SIGTERM)
            if state is DaemonState.STOPPING:  # a second one while the first is being obeyed
                time.sleep(0.3)
                process.send_signal(signal.SIGTERM)
            code = process.wait(10)
            errors = process.communicate()[1]
        packets = drain(sink)

    assert code == 0, errors
    assert "Traceback" not in errors
    assert packets[-1].state is DaemonState.STOPPING


def test_a_second_hung_camera_call_exits_75_and_a_supervisor_has_joints_in_ten_seconds(
    tmp_path: Path, bundle: Bundle, recording: Path
) -> None:
    faults = "{kind: stop_hangs, start_s: 2}, {kind: unplugged, start_s: 2.1, duration_s: 0.05, period_s: 2.2}"
    with listening() as sink:
        config = write_faulty_config(tmp_path / "c.yaml", bundle.path, recording, [port_of(sink)], faults)
        with started("run", "--config", config) as process:
            code = process.wait(20)
            errors = process.communicate()[1]
        assert drain(sink)[-1].state is DaemonState.STOPPING
        sink.settimeout(10)
        again_s = time.monotonic()
        with started("run", "--config", config):
            while not has_valid_hand(receive(sink)):
                pass
            back_s = time.monotonic() - again_s

    assert code == 75, errors
    (last,) = [line for line in errors.splitlines() if line.startswith("handmap: ")]
    assert "2 calls did not return" in last and "Traceback" not in errors
    assert back_s <= 10


def test_a_disk_that_is_full_while_recording_is_one_sentence_and_keeps_what_fitted(
    tmp_path: Path, bundle: Bundle, recording: Path
) -> None:
    config = write_faulty_config(tmp_path / "c.yaml", bundle.path, recording, [9], "")
    config.write_text(config.read_text().replace(f"path: {recording}", f"path: {recording}, pace: flat_out"))
    out = tmp_path / "out"
    out.mkdir()
    # No file of this process may grow beyond 64 KiB: what a full disk answers, without filling one.
    command = [sys.executable, "-m", "handmap", "record", "--config", config, "--out", out / "r", "--seconds", "10"]

    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 64; exec {shlex.join(map(str, command))}"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 78
    assert "cannot be written (File too large); free up space" in done.stderr and "Traceback" not in done.stderr
    kept = len(list(open_recording(out / "r")))
    assert 0 < kept <= int(done.stderr.partition("its first ")[2].split()[0])
