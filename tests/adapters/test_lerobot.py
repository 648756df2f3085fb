"""lerobot opens the data set that `handmap bridge lerobot` writes, and gives the joints of both hands."""

import importlib
import json
import os
from pathlib import Path

import numpy as np
import numpy.testing as npt
import pytest

from tests.support.data_sets import ROWS, check_pyarrow_files, write_two_episodes
from tests.support.doc_examples import command_of, python_of, run_bridge

pytest.importorskip("lerobot", reason="lerobot is not installed")


def test_files_by_pyarrow(tmp_path: Path) -> None:
    check_pyarrow_files(write_two_episodes(tmp_path / "set"))


def test_its_data_set_gives_the_joints_of_both_hands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = importlib.import_module("torch")
    for name, value in (("HF_HUB_OFFLINE", "1"), ("HF_HOME", str(tmp_path / "cache"))):
        monkeypatch.setitem(os.environ, name, value)
    # Only torchvision's build for CUDA may be at hand, whose operators do not load here. No image is read: declaring them will do.
    operators = torch.library.Library("torchvision", "FRAGMENT")
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        for name in ("nms", "qnms"):
            operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    module = importlib.import_module("lerobot.datasets.lerobot_dataset")
    folder = write_two_episodes(tmp_path / "set")

    data = module.LeRobotDataset("handmap/test", root=folder)

    assert (data.num_episodes, data.num_frames, data.fps) == (2, 7, 30)
    assert data.meta.info["codebase_version"] == module.CODEBASE_VERSION == "v3.0"
    left, right = (np.array(row["hand21_mm"]).reshape(-1) / 1000 for row in ROWS)
    for place, (episode, number) in enumerate([(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2)]):
        item = data[place]
        assert (int(item["episode_index"]), int(item["frame_index"]), item["task"]) == (episode, number, "wave")
        assert float(item["timestamp"]) == pytest.approx(number / 30, abs=1e-6)
        state = item["observation.state"].numpy()
        npt.assert_allclose(state[63:], right, atol=1e-6)
        if episode == 0:
            npt.assert_allclose(state[:63], left, atol=1e-6)
        else:
            assert np.isnan(state[:63]).all()
        assert item["observation.is_live"].tolist() == [episode == 0, True]
    stats = data.meta.stats["observation.state"]
    npt.assert_allclose(stats["mean"], [*left, *right], atol=1e-6)
    assert json.loads((folder / "meta/info.json").read_text())["splits"] == {"train": "0:2"}


def test_a_window_over_time_stays_within_its_episode(tmp_path: Path) -> None:
    module = importlib.import_module("lerobot.datasets.lerobot_dataset")
    folder = write_two_episodes(tmp_path / "set")

    data = module.LeRobotDataset("handmap/test", root=folder, delta_timestamps={"observation.state": [-1 / 30, 0.0]})

    item = data[4]  # the first of the second episode
    assert item["observation.state"].shape == (2, 126)
    assert item["observation.state_is_pad"].tolist() == [True, False]


def test_the_example_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run_bridge(command_of("LeRobot"), 0.5, tmp_path)

    exec(python_of("LeRobot"), {})

    assert capsys.readouterr().out.startswith("1 tensor")
