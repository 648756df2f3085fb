"""`handmap bridge lerobot`: a data set in LeRobot's layout, version 3.0: JSON and Parquet, the latter by pyarrow."""

import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from handmap.client.session import Received
from handmap.files.atomic import make_folder, new_folder, no_names, refuse_foreign, write_into
from handmap.types.errors import ConfigError

from .hand_watch import SIDES, moments_of
from .lerobot_frames import STATE_NAMES, EpisodeSampler, HandFrame

VERSION: Final = "v3.0"
DATA: Final = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
_FIRST: Final = {"chunk_index": 0, "file_index": 0}
_EPISODES: Final = "meta/episodes/chunk-000/file-000.parquet"
_SIDE_NAMES: Final = [side.name.lower() for side in SIDES]
STATE, AGE, VALID = "observation.state", "observation.age_s", "observation.is_live"
_OWN: Final = {STATE: ("float32", STATE_NAMES), AGE: ("float32", _SIDE_NAMES), VALID: ("bool", _SIDE_NAMES)}
_COUNTERS: Final = {
    "timestamp": "float32",
    "frame_index": "int64",
    "episode_index": "int64",
    "index": "int64",
    "task_index": "int64",
}


def write_dataset(folder: Path, episodes: Sequence[Sequence[HandFrame]], fps: int, task: str) -> None:
    """Writes a data set: complete under its name, or absent after an error.

    Raises ConfigError if there is no episode or the name is taken, FileError if it cannot be written.
    """
    if not episodes:
        raise ConfigError(
            f"data set {str(folder)!r}: no hand arrived, so there is no episode to write; record again with a hand in view"
        )
    columns = _columns(episodes, fps)
    lengths = [len(frames) for frames in episodes]
    files = {
        "meta/info.json": _json(_info(lengths, fps)),
        "meta/stats.json": _json({name: _statistics(values) for name, values in columns.items()}),
        "meta/tasks.parquet": _parquet(_tasks(task)),
        _EPISODES: _parquet(_episodes(lengths, task)),
        DATA.format(**_FIRST): _parquet(_table(columns), lengths),
    }
    refuse_foreign(folder, no_names)
    with new_folder(folder) as temporary:
        for name in files:
            make_folder((temporary / name).parent)
        write_into(temporary, files)


def write_received(folder: Path, packets: Iterable[Received], fps: int, gap_s: float, task: str) -> None:
    """Writes packets that were received, in their order, as a data set; raises as `write_dataset`."""
    sampler = EpisodeSampler(fps, gap_s)
    for moment in moments_of(packets):
        sampler.take(moment)
    write_dataset(folder, sampler.finish(), fps, task)


def _columns(episodes: Sequence[Sequence[HandFrame]], fps: int) -> dict[str, Any]:
    """The columns of all frames, one after another; timestamps start at 0 in each episode."""
    frames = [frame for episode in episodes for frame in episode]
    numbers = np.concatenate([np.arange(len(episode)) for episode in episodes])
    return {
        STATE: np.stack([frame.joints_m for frame in frames]).reshape(len(frames), -1),
        AGE: np.stack([frame.age_s for frame in frames]),
        VALID: np.stack([frame.is_live for frame in frames]),
        "timestamp": (numbers / fps).astype(np.float32),
        "frame_index": numbers,
        "episode_index": np.repeat(np.arange(len(episodes)), [len(episode) for episode in episodes]),
        "index": np.arange(len(frames)),
        "task_index": np.zeros(len(frames), np.int64),
    }


def _table(columns: dict[str, Any]) -> pa.Table:
    arrays = {}
    for name, values in columns.items():
        flat = pa.array(np.ascontiguousarray(values).reshape(-1))
        arrays[name] = flat if values.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    return pa.table(arrays)


def _info(lengths: Sequence[int], fps: int) -> dict[str, Any]:
    features: dict[str, Any] = {
        name: {"dtype": kind, "shape": [len(names)], "names": list(names)} for name, (kind, names) in _OWN.items()
    }
    features |= {name: {"dtype": kind, "shape": [1], "names": None} for name, kind in _COUNTERS.items()}
    return {
        "codebase_version": VERSION,
        "robot_type": "handmap",
        "total_episodes": len(lengths),
        "total_frames": sum(lengths),
        "total_tasks": 1,
        "chunks_size": 1000,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "fps": fps,
        "splits": {"train": f"0:{len(lengths)}"},
        "data_path": DATA,
        "video_path": None,
        "features": features,
    }


def _statistics(values: Any) -> dict[str, list[float]]:
    """Of the values that are there; a column that never has one is given 0 and 1, by which normalizing changes nothing."""
    numbers = values.astype(np.float64).reshape(len(values), -1)
    is_there = ~np.isnan(numbers)
    counts = np.maximum(is_there.sum(axis=0), 1)
    known = np.where(is_there, numbers, 0.0)
    mean = known.sum(axis=0) / counts
    deviation = np.sqrt((np.where(is_there, numbers - mean, 0.0) ** 2).sum(axis=0) / counts)
    never = ~is_there.any(axis=0)
    low, high = np.where(is_there, numbers, np.inf).min(axis=0), np.where(is_there, numbers, -np.inf).max(axis=0)
    return {
        "min": np.where(never, 0.0, low).tolist(),
        "max": np.where(never, 1.0, high).tolist(),
        "mean": mean.tolist(),
        "std": np.where(never, 1.0, deviation).tolist(),
        "count": [len(values)],
    }


def _tasks(task: str) -> pa.Table:
    """The task as the index of a pandas table, as LeRobot reads it."""
    table = pa.table({"task_index": pa.array([0], pa.int64()), "task": pa.array([task])})
    column = {
        "name": "task_index",
        "field_name": "task_index",
        "pandas_type": "int64",
        "numpy_type": "int64",
        "metadata": None,
    }
    index = {"name": "task", "field_name": "task", "pandas_type": "unicode", "numpy_type": "object", "metadata": None}
    pandas = {"index_columns": ["task"], "column_indexes": [], "columns": [column, index], "pandas_version": "2.0.0"}
    return table.replace_schema_metadata({"pandas": json.dumps(pandas)})


def _episodes(lengths: Sequence[int], task: str) -> pa.Table:
    """Where the frames of each episode are."""
    count, ends = len(lengths), np.cumsum(lengths)
    zeros = pa.array([0] * count, pa.int64())
    return pa.table(
        {
            "episode_index": pa.array(range(count), pa.int64()),
            "tasks": pa.array([[task]] * count),
            "length": pa.array(lengths, pa.int64()),
            "data/chunk_index": zeros,
            "data/file_index": zeros,
            "dataset_from_index": pa.array((ends - lengths).tolist(), pa.int64()),
            "dataset_to_index": pa.array(ends.tolist(), pa.int64()),
            "meta/episodes/chunk_index": zeros,
            "meta/episodes/file_index": zeros,
        }
    )


def _parquet(table: pa.Table, group_rows: Sequence[int] | None = None) -> bytes:
    """The bytes of a file with a row group for each of these numbers of rows, or one for all."""
    buffer, start = io.BytesIO(), 0
    with pq.ParquetWriter(buffer, table.schema) as writer:
        for rows in group_rows or [len(table)]:
            writer.write_table(table.slice(start, rows))
            start += rows
    return buffer.getvalue()


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, indent=2).encode() + b"\n"
