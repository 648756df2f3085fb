"""The example of a camera of one's own, installed, in the commands that open a camera."""

import json
import os
import time
from pathlib import Path

import pytest

from handmap.protocol.fields import MessageType
from handmap.recording.reader import open_recording
from tests.support.example_packages import installed_from
from tests.support.processes import ROOT, handmap, listening, port_of, receive, started

EXAMPLE = ROOT / "docs/examples/camera_package"
ENGINE = "engine: {backend: onnx, precision: fp32}\ntelemetry: {port: null}\npreview: null\n"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages with the example in it, unpacked from its wheel as docs/cameras.md says for a board."""
    return installed_from(EXAMPLE, tmp_path_factory.mktemp("camera"))


@pytest.fixture
def with_package(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(installed), os.environ.get("PYTHONPATH")))))


def write(folder: Path, camera: str, port: int = 5656) -> Path:
    config = folder / "c.yaml"
    target = f"publish: {{targets: [{{host: 127.0.0.1, port: {port}}}]}}\n"
    config.write_text(f"bundle: {ROOT}/models/handmap-hand21\ncamera: {camera}\n{target}{ENGINE}")
    return config


@pytest.mark.usefixtures("with_package")
def test_the_daemon_runs_with_it(tmp_path: Path) -> None:
    with listening(60) as sink, started("run", "--config", write(tmp_path, "{kind: ball, fps: 20}", port_of(sink))):
        end_s = time.monotonic() + 60
        frames: list[int] = []
        while len(frames) < 10 and time.monotonic() < end_s:
            packet = receive(sink)
            if packet.message_type is MessageType.JOINTS:
                frames.append(packet.frame_number)

    assert len(frames) == 10
    assert frames == sorted(set(frames))


@pytest.mark.usefixtures("with_package")
def test_its_frames_can_be_recorded(tmp_path: Path) -> None:
    out = tmp_path / "recording"

    done = handmap(
        "record", "--config", write(tmp_path, "{kind: ball, distance_mm: 400}"), "--out", out, "--seconds", "0.5"
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "frames of ball at 400 mm" in done.stdout
    assert 350 < min(int(frame.depth.min()) for frame in open_recording(out)) <= 356  # the ball's nearest point


@pytest.mark.usefixtures("with_package")
def test_validate_and_doctor_know_it(tmp_path: Path) -> None:
    config = write(tmp_path, "{kind: ball}")

    valid = handmap("run", "--config", config, "--validate")
    checks = json.loads(handmap("doctor", "--config", config, "--json").stdout)["checks"]

    assert (valid.returncode, valid.stderr) == (0, "")
    found = {check["id"]: check for check in checks}
    assert "ball camera" in found["config"]["details"]
    assert found["config.fit"]["status"] == "ok"
    assert found["camera.bus"]["status"] == "not applicable"


@pytest.mark.usefixtures("with_package")
@pytest.mark.parametrize("verb", [("run",), ("record", "--out", "nowhere")])
def test_its_keys_are_checked_like_ours(tmp_path: Path, verb: tuple[str, ...]) -> None:
    config = write(tmp_path, "{kind: ball, distance: 400}")

    done = handmap(*verb, "--config", config)

    assert done.returncode == 78
    assert "line 2: unknown key 'camera.distance'; did you mean 'distance_mm'?" in done.stderr


def test_without_the_package_the_kind_is_unknown(tmp_path: Path) -> None:
    done = handmap("run", "--config", write(tmp_path, "{kind: ball}"))

    assert done.returncode == 78
    assert "line 2: key 'camera.kind': expected one of faulty, realsense, replay, found 'ball'" in done.stderr
    assert "docs/cameras.md" in done.stderr


def test_a_package_that_cannot_be_imported_ends_the_daemon_with_a_sentence(
    tmp_path: Path, installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "site"
    broken.mkdir()
    (broken / "handmap_ball_camera.py").write_text("import no_such_sdk\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(broken), str(installed))))

    done = handmap("run", "--config", write(tmp_path, "{kind: ball}"))

    assert done.returncode == 78
    assert done.stderr.startswith(
        "handmap: camera kind 'ball': 'handmap_ball_camera:BallConfig' of 'handmap-ball-camera'"
    )
    assert "No module named 'no_such_sdk'" in done.stderr and done.stderr.count("\n") == 1


def test_the_example_is_short() -> None:
    lines = (EXAMPLE / "handmap_ball_camera.py").read_text().splitlines()

    assert len(lines) <= 75
