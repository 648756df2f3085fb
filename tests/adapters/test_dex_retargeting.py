"""`handmap robot` on the real dex-retargeting; `python -m tests.adapters.test_dex_retargeting` writes the golden angles."""

import json
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.processes import ROOT, handmap, listening, port_of, started
from tests.support.robot_gestures import CASES, GOLDEN, RobotCase, gestures, golden_angles, joints_m, motion_to

if find_spec("dex_retargeting") is None:
    pytest.skip("needs dex-retargeting, which `make test-adapters` installs", allow_module_level=True)

TOLERANCE_RAD = 0.05
PORT_CONFIG = """
bundle: {root}/models/handmap-hand21
camera: {{kind: replay, path: {root}/models/demo_recording, pace: recorded, loop: true}}
engine: {{backend: onnx, precision: fp32, threads: 1}}
tracking: {{handedness: any, max_hands: 2}}
publish: {{targets: [{{host: 127.0.0.1, port: {port}}}]}}
telemetry: {{port: null}}
preview: null
"""


@cache
def solved(case: RobotCase) -> dict[str, dict[str, float]]:
    """The angles at the end of each gesture, rad by joint."""
    from clients.retarget import Retargeter

    loaded = case.load()
    solver = Retargeter(loaded)
    found = {}
    for gesture in gestures():
        solver.start_at(solver.rest)
        angles = solver.rest
        for xyz_m in motion_to(gesture, loaded.hand.side):
            solution = solver.solve(xyz_m)
            assert solution is not None
            angles = solution
        found[gesture] = dict(zip(solver.names, angles.tolist(), strict=True))
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.key)
def test_gestures_give_the_golden_angles(case: RobotCase) -> None:
    found, golden = solved(case), golden_angles(case)

    for gesture, angles in golden.items():
        assert found[gesture] == pytest.approx(angles, abs=TOLERANCE_RAD), gesture


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.key)
def test_angles_stay_within_limits_whatever_the_joints_do(case: RobotCase) -> None:
    from clients.retarget import Retargeter

    loaded = case.load()
    solver = Retargeter(loaded)
    limits = np.array([loaded.urdf.limits(name) for name in solver.names])
    random = np.random.default_rng(1)

    for _ in range(60):
        angles = solver.solve(random.normal(0.4, 0.1, (21, 3)).astype(np.float32))
        assert angles is not None and np.isfinite(angles).all()
        assert (angles >= limits[:, 0]).all() and (angles <= limits[:, 1]).all()


def test_the_rest_pose_is_bent_and_within_limits() -> None:
    from clients.retarget import Retargeter

    solver = Retargeter(CASES[0].load())
    rest = dict(zip(solver.names, solver.rest, strict=True))

    assert 0.3 < rest["index_mcp_flexion"] < 1.0 and 0.3 < rest["little_pip_flexion"] < 1.2


def test_a_wrong_minimum_is_left_within_100_ms() -> None:
    from clients.retarget import Retargeter

    case = CASES[0]
    solver = Retargeter(case.load())
    fist, opened = (joints_m(gestures()[name], case.side) for name in ("fist", "open"))

    for _ in range(5):
        for xyz_m, gesture in ((fist, "fist"), (opened, "open")):
            for _ in range(3):
                angles = solver.solve(xyz_m)
            assert angles is not None
            flexions = {
                name: angle for name, angle in zip(solver.names, angles, strict=True) if name.endswith("pip_flexion")
            }
            golden = golden_angles(case)[gesture]
            assert flexions == pytest.approx({name: golden[name] for name in flexions}, abs=0.2)


def test_joints_that_are_no_hand_have_no_angles() -> None:
    from clients.retarget import Retargeter

    assert Retargeter(CASES[0].load()).solve(np.full((21, 3), 0.4, np.float32)) is None


def test_the_robot_follows_the_shipped_recording_at_the_cameras_rate(tmp_path: Path) -> None:
    with listening() as one:
        port = port_of(one)
    config = tmp_path / "c.yaml"
    config.write_text(PORT_CONFIG.format(root=ROOT, port=port))

    with listening() as driver, started("run", "--config", config):
        sent_to = f"127.0.0.1:{port_of(driver)}"
        done = handmap("robot", "--json", "--port", str(port), "--count", "150", "--send", sent_to, "--seconds", "50")
        datagram = json.loads(driver.recv(4000))

    lines: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and len(lines) == 150, done.stderr
    assert datagram == lines[0]
    phases = [line["phase"] for line in lines]  # on a busy machine the daemon may be silent for longer than 0.1 s
    assert set(phases) <= {"live", "held"} and phases.count("live") > 120
    seconds = np.diff([line["t_ns"] for line in lines]) / 1e9
    assert np.median(seconds) == pytest.approx(1 / 30, rel=0.1)  # s
    index = [line["joints"]["index_pip_flexion"] for line in lines]
    assert max(index) - min(index) > 0.5


def test_a_left_robot_does_not_follow_a_right_hand(tmp_path: Path) -> None:
    with listening() as one:
        port = port_of(one)
    config = tmp_path / "c.yaml"
    config.write_text(PORT_CONFIG.format(root=ROOT, port=port))

    with started("run", "--config", config):
        done = handmap("robot", "--side", "left", "--port", str(port), "--seconds", "8")

    assert (done.returncode, done.stdout) == (0, "")
    assert "whose side is right, while the robot's is left" in done.stderr


def write_golden() -> None:
    """Writes the golden angles of every hand; the URDFs have to lie beside the checkout."""
    angles = {
        case.key: {
            gesture: {name: round(angle, 3) for name, angle in each.items()} for gesture, each in solved(case).items()
        }
        for case in CASES
    }
    table = {
        "made_by": {name: version(name) for name in ("dex-retargeting", "pin", "nlopt", "torch")},
        "angles": angles,
    }
    GOLDEN.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    write_golden()
