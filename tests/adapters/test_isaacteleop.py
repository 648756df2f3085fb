"""IsaacTeleop replays what `handmap bridge isaac` writes: its own session and hand tracker give the joints of both hands."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clients.isaac import IsaacFile
from handmap.skeleton.orientation import XR26
from tests.support.adapter_checks import check_isaac_joints
from tests.support.doc_examples import command_of, python_of, run_bridge
from tests.support.wire_hands import golden_row, golden_rows, moment, seen

session = pytest.importorskip("isaacteleop.deviceio_session", reason="isaacteleop is not installed")
trackers = pytest.importorskip("isaacteleop.deviceio_trackers")
schema = pytest.importorskip("isaacteleop.schema")


def replayed(path: Path, moments: int) -> list[tuple[Any, Any]]:
    """Left and right hand of each moment, as its tracker gives them."""
    tracker = trackers.HandTracker()
    config = session.McapReplayConfig(str(path), [(tracker, "hands")])
    hands = []
    with session.ReplaySession.run(config) as replay:
        for _ in range(moments):
            replay.update()
            hands.append((tracker.get_left_hand(replay), tracker.get_right_hand(replay)))
    return hands


def check(hand: Any, row: dict[str, Any]) -> None:
    joints = hand.joints
    positions, orientations = np.array(joints.positions), np.array(joints.orientations)
    check_isaac_joints(positions, orientations, np.array(joints.is_valid), np.array(joints.radii), row)


def test_its_replay_gives_both_hands_of_every_golden_row(tmp_path: Path) -> None:
    rows = golden_rows()
    pairs = [(rows[k + 1], rows[k]) for k in range(0, len(rows), 2)]
    with IsaacFile(tmp_path / "out") as file:
        for number, (left, right) in enumerate(pairs):
            file.take(moment(seen(left), seen(right), now_ns=10**9 + number))

    hands = replayed(tmp_path / "out/hands.mcap", len(pairs))

    for (left, right), (left_hand, right_hand) in zip(pairs, hands, strict=True):
        check(left_hand, left)
        check(right_hand, right)


def test_a_lost_hand_is_none_in_its_replay(tmp_path: Path) -> None:
    right = golden_row("fist", "back", "right")
    with IsaacFile(tmp_path / "out") as file:
        file.take(moment(seen(right)))
        file.take(moment())

    (no_left, a_right), (_, no_right) = replayed(tmp_path / "out/hands.mcap", 2)

    assert no_left is None and no_right is None
    check(a_right, right)


def test_our_order_of_joints_is_its_order() -> None:
    names = [name for name in schema.HandJoint.__members__ if name != "NUM_JOINTS"]
    assert [name.lower() for name in names] == list(XR26)


def test_the_example_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run_bridge(command_of("IsaacTeleop"), 0.5, tmp_path)

    exec(python_of("IsaacTeleop"), {})

    assert capsys.readouterr().out.count("[") >= 5
