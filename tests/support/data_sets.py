"""A LeRobot data set of two episodes: four frames with both hands, then three with the right one; and what its files hold."""

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.testing as npt

from clients.lerobot_frames import EpisodeSampler, HandFrame
from tests.support.wire_hands import golden_row, moment, seen

FPS = 30
MS = 1_000_000
TICKS_MS = (0, 34, 67, 101)
ROWS = tuple(golden_row("natural", "tilted", side) for side in ("left", "right"))


def two_episodes() -> list[list[HandFrame]]:
    """The frames."""
    left, right = map(seen, ROWS)
    sampler = EpisodeSampler(FPS, 1.0)
    for at_ms in TICKS_MS:
        sampler.take(moment(left, right, now_ns=5000 * MS + at_ms * MS))
    for at_ms in (120, 5000):
        sampler.take(moment(now_ns=5000 * MS + at_ms * MS))
    for at_ms in TICKS_MS[:3]:
        sampler.take(moment(right, now_ns=20_000 * MS + at_ms * MS))
    return sampler.finish()


def write_two_episodes(folder: Path) -> Path:
    """Writes them; pyarrow is needed."""
    write: Any = importlib.import_module("clients.lerobot_files")
    write.write_dataset(folder, two_episodes(), FPS, "wave")
    return folder


def check_pyarrow_files(folder: Path) -> None:
    """The files are those of LeRobot 3.0, with these values."""
    parquet: Any = importlib.import_module("pyarrow.parquet")
    info = json.loads((folder / "meta/info.json").read_text())
    assert info["codebase_version"] == "v3.0" and (info["total_episodes"], info["total_frames"]) == (2, 7)
    assert info["features"]["observation.state"]["shape"] == [126]
    assert info["features"]["observation.state"]["names"][:3] == ["left_wrist_x", "left_wrist_y", "left_wrist_z"]
    data = parquet.ParquetFile(folder / info["data_path"].format(chunk_index=0, file_index=0))
    assert data.metadata.num_row_groups == 2
    columns = data.read().to_pydict()
    assert set(columns) == set(info["features"])
    left, right = (np.array(row["hand21_mm"]).reshape(-1) / 1000 for row in ROWS)
    states = np.array(columns["observation.state"])
    npt.assert_allclose(states[:4, :63], np.tile(left, (4, 1)), atol=1e-6)
    npt.assert_allclose(states[:, 63:], np.tile(right, (7, 1)), atol=1e-6)
    assert np.isnan(states[4:, :63]).all()
    assert columns["observation.is_live"] == [[True, True]] * 4 + [[False, True]] * 3
    npt.assert_allclose(columns["timestamp"], np.array([0, 1, 2, 3, 0, 1, 2]) / 30, atol=1e-6)
    assert columns["episode_index"] == [0] * 4 + [1] * 3 and columns["index"] == list(range(7))
    episodes = parquet.read_table(folder / "meta/episodes/chunk-000/file-000.parquet").to_pydict()
    assert (episodes["dataset_from_index"], episodes["dataset_to_index"]) == ([0, 4], [4, 7])
    assert episodes["tasks"] == [["wave"], ["wave"]]
    assert parquet.read_table(folder / "meta/tasks.parquet").to_pydict() == {"task_index": [0], "task": ["wave"]}
    stats = json.loads((folder / "meta/stats.json").read_text())
    npt.assert_allclose(stats["observation.state"]["mean"], [*left, *right], atol=1e-6)
    npt.assert_allclose(stats["observation.state"]["std"], 0, atol=1e-6)
    assert not any(np.isnan(one).any() for one in map(np.array, stats["observation.state"].values()))
