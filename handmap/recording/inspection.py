"""What is in a recording, what of it is read and why, and a contact sheet; for `handmap inspect`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from handmap.recording.bag import Bag
from handmap.recording.bag_files import BagFiles, is_bag_folder
from handmap.recording.choices import reasons_against
from handmap.recording.clock import find_steps, median_period_ns
from handmap.recording.depth_images import encoding_of
from handmap.recording.depth_range import describe_range
from handmap.recording.png_folder import PngFolder
from handmap.recording.reader import Recording, open_recording
from handmap.recording.ros_messages import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE, Lens, has_matrix
from handmap.recording.stated import RecordingAt
from handmap.recording.survey import Survey, stamp_ns, survey_bag
from handmap.types.arrays import Uint8, Uint16
from handmap.types.errors import ConfigError, RecordingError

EDGES_MM: Final = (0, 150, 300, 500, 700, 1000, 1500, 2500, 5000, 10_000)
SHEET: Final = (3, 4)  # rows and columns
TILE_PX: Final = 160
SHEET_MM: Final = 1500.0  # shown as black; near is white
TRIED: Final = 12


def inspect_recording(at: RecordingAt) -> tuple[dict[str, Any], Uint8 | None]:
    """Plain values for a report, and the contact sheet (H, W), if depth can be read; else `fault` says why not.

    Raises RecordingError if it cannot be opened at all.
    """
    path = at.path
    is_bag = path.exists() and not (path.is_dir() and not is_bag_folder(path))
    report: dict[str, Any] = {"recording": str(path), "topics": _topics(path) if is_bag else [], "fault": None}
    try:
        recording = open_recording(at)
        shown = _samples(recording)
        return report | _facts(recording, shown), _sheet(shown, recording.depth_unit_mm)
    except (RecordingError, ConfigError) as error:
        if not is_bag:
            raise
        return report | {"fault": str(error)}, None


def _topics(path: Path) -> list[dict[str, Any]]:
    try:
        with BagFiles(path) as files:
            survey = survey_bag(files)
    except RecordingError:
        raise
    except Exception as error:  # the parsers can raise anything on damaged bytes
        raise RecordingError(
            f"recording {str(path)!r} cannot be inspected ({error}); copy or record it again"
        ) from error
    reasons = reasons_against(survey)
    return [
        {"topic": one.name, "type": one.msgtype, "messages": one.count, **_of_topic(survey, one.name, one.msgtype)}
        | ({"depth": reasons[one.name] or "yes"} if one.name in reasons else {})
        for one in survey.topics
    ]


def _of_topic(survey: Survey, name: str, msgtype: str) -> dict[str, Any]:
    message = survey.first.get(name)
    if message is None:
        return {}
    facts: dict[str, Any] = {}
    if msgtype in (IMAGE, COMPRESSED_IMAGE):
        facts |= {"encoding": encoding_of(message), "frame_id": message.header.frame_id}
        facts["fps"] = round(1e9 / median_period_ns(survey.log_ns[name]), 2)
    if msgtype in (IMAGE, CAMERA_INFO):
        facts["size"] = [int(message.width), int(message.height)]
    if msgtype == CAMERA_INFO:
        facts |= {"frame_id": message.header.frame_id, "is_calibrated": has_matrix(message)}
    return facts


def _facts(recording: Recording, shown: list[Uint16]) -> dict[str, Any]:
    facts: dict[str, Any] = {"frames": len(recording), "fps": round(recording.fps, 3)}
    facts["depth_unit_mm"] = recording.depth_unit_mm
    if isinstance(recording, Bag):
        plan = recording.plan
        facts |= {"topic": plan.topic, "info_topic": plan.info_topic, "why": plan.why, **_lens(plan.lens)}
        times_ns = list(_times_ns(recording))
        steps = find_steps(times_ns, plan.period_ns)
        facts["clock_steps"] = [{"frame": one.frame, "seconds": round(one.gap_ns / 1e9, 3)} for one in steps]
    elif isinstance(recording, PngFolder):
        facts |= {"files": [recording.files[0].name, recording.files[-1].name], "why": {}, "clock_steps": []}
        facts |= _lens(recording.lens)
    facts["depth_histogram"] = _histogram(shown, recording.depth_unit_mm)
    facts["note"] = "; ".join(filter(None, (recording.cut, describe_range(shown, recording.depth_unit_mm)))) or None
    return facts


def _lens(lens: Lens) -> dict[str, Any]:
    bent = lens.distortion
    undone = None if bent is None else {"model": bent.model, "coefficients": list(bent.coefficients)}
    return {"intrinsics": vars(lens.intrinsics), "distortion_undone": undone}


def _times_ns(recording: Bag) -> Iterator[int]:
    with BagFiles(recording.path) as files:
        for message in files.messages(frozenset({recording.plan.topic})):
            yield stamp_ns(message) if recording.plan.has_stamps else message.log_ns


def _samples(recording: Recording) -> list[Uint16]:
    """Frames spread over the recording."""
    stride = max(-(-len(recording) // TRIED), 1)
    return [frame.depth for number, frame in enumerate(recording) if number % stride == 0]


def _histogram(images: list[Uint16], unit_mm: float) -> dict[str, float]:
    """The share of pixels by distance, mm; `none` are those without a measurement."""
    every_mm = np.concatenate([image.reshape(-1) for image in images]) * unit_mm
    counts, _ = np.histogram(every_mm[every_mm > 0], [*EDGES_MM, np.inf])
    names = [f"{low}-{high}" for low, high in zip(EDGES_MM, (*EDGES_MM[1:], "more"), strict=True)]
    shares = dict(zip(names, (counts / every_mm.size).round(4).tolist(), strict=True))
    return {"none": round(float((every_mm == 0).mean()), 4), **shares}


def _sheet(shown: list[Uint16], unit_mm: float) -> Uint8:
    rows, columns = SHEET
    sheet = np.zeros((rows * TILE_PX, columns * TILE_PX), np.uint8)
    for number, depth in enumerate(shown[: rows * columns]):
        stride = max(-(-max(depth.shape) // TILE_PX), 1)
        depth_mm = depth[::stride, ::stride] * unit_mm
        gray = np.where(depth_mm > 0, 255 * (1 - np.clip(depth_mm / SHEET_MM, 0, 0.9)), 0).astype(np.uint8)
        top, left = number // columns * TILE_PX, number % columns * TILE_PX
        sheet[top : top + gray.shape[0], left : left + gray.shape[1]] = gray
    return sheet
