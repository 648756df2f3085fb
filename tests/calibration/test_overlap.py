"""Frames of the gate are never frames of the calibration set."""

import dataclasses
import shutil
from pathlib import Path

import msgspec
import pytest

from calibration.calibration_set import read_set
from calibration.overlap import refuse_shared_sources
from calibration.select import SelectRequest, select_set
from handmap.types.errors import ConfigError, DatasetError


def test_a_source_is_not_held_out_and_selected_from_even_if_forced(
    request_all: SelectRequest, recordings: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(recordings[0])
    copied = Path(shutil.copytree(recordings[0], tmp_path / "copied"))
    for name, found in (
        (recordings[0], "it is also selected from.*hold out another recording"),
        (recordings[0] / ".." / recordings[0].name, "also selected from"),
        (tmp_path / "link", f"it is '{recordings[0]}', which is also selected from"),
    ):
        with pytest.raises(ConfigError, match=found):
            select_set(dataclasses.replace(request_all, held_out=(str(name),)), tmp_path / "set")
    with pytest.raises(
        DatasetError, match=rf"frames of '{copied}', which is held out, \d+ are also in '{recordings[0]}' \(frame 0 is"
    ):
        select_set(dataclasses.replace(request_all, held_out=(str(copied),)), tmp_path / "set")
    again = (str(recordings[0]),) * 5
    with pytest.raises(DatasetError, match="name each recording once"):
        select_set(dataclasses.replace(request_all, frame_sources=again), tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_an_older_set_with_a_source_in_both_parts_is_no_gate(set_path: Path, tmp_path: Path) -> None:
    found = read_set(set_path)
    refuse_shared_sources(found)
    one = found.manifest.sources[0]
    both = (one, msgspec.structs.replace(one, name="again", is_held_out=not one.is_held_out))

    with pytest.raises(DatasetError, match=r"held out is .*, wanted other frames for the gate; select the set again"):
        refuse_shared_sources(
            dataclasses.replace(found, manifest=msgspec.structs.replace(found.manifest, sources=both))
        )
