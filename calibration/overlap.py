"""Keeps the frames of the gate apart from those of the calibration set: a gate passed on frames it was calibrated on says nothing."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from handmap.recording.datasets import is_dataset_name
from handmap.types.errors import ConfigError, DatasetError

from .calibration_set import CalibrationSet
from .candidates import Candidate, Found


def refuse_held_out_sources(selected: Iterable[str], held_out: Iterable[str]) -> None:
    """Raises ConfigError if a source is named both to select from and to hold out, by whatever path."""
    names = {_identity(name): name for name in selected}
    for name in held_out:
        if (other := names.get(_identity(name))) is not None:
            as_what = "it is" if other == name else f"it is {other!r}, which is"
            raise ConfigError(
                f"calibration set: --held-out {name!r}: {as_what} also selected from, wanted frames for the gate that are not "
                "in the set; hold out another recording, or leave it out of --recording and --data"
            )


def refuse_shared_frames(found: Sequence[Found], names: Sequence[str], is_held_out: Sequence[bool]) -> None:
    """Raises DatasetError if a frame that is held out is also one to select from, whatever its source is called."""
    by_frame: dict[str, Candidate] = {}
    for source, is_held in zip(found, is_held_out, strict=True):
        if not is_held:
            by_frame |= {one.frame_sha256: one for one in source.candidates}
    for source, name, is_held in zip(found, names, is_held_out, strict=True):
        shared = [one for one in source.candidates if is_held and one.frame_sha256 in by_frame]
        if shared:
            other = by_frame[shared[0].frame_sha256]
            raise DatasetError(
                f"calibration set: of the frames of {name!r}, which is held out, {len(shared)} are also in "
                f"{names[other.source]!r} (frame {shared[0].frame} is its frame {other.frame}), wanted frames for the gate that "
                "are not in the set; name each recording once, and with --held-out one that shares no frame with the others"
            )


def refuse_shared_sources(chosen: CalibrationSet) -> None:
    """Raises DatasetError if a source of the set, by the sha256 of its frames, is both selected from and held out."""
    sources = chosen.manifest.sources
    selected = {one.sha256: one.name for one in sources if not one.is_held_out}
    for one in sources:
        if one.is_held_out and one.sha256 in selected:
            raise DatasetError(
                f"calibration set {str(chosen.path)!r}: held out is {one.name!r}, which has the frames of "
                f"{selected[one.sha256]!r} that the set was selected from, wanted other frames for the gate; select the set again "
                "with another recording for --held-out"
            )


def _identity(name: str) -> str:
    """What two names of the same source have in common."""
    return name if is_dataset_name(name) else str(Path(name).resolve())
