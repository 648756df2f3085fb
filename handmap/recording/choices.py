"""What a bag is read by, in one order: depth topic, intrinsics and distortion, unit, time base; each as stated or found, and why."""

from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

from handmap.recording.clock import median_period_ns
from handmap.recording.depth_images import (
    FLOAT_UNIT_MM,
    METER_MM,
    DepthScale,
    beyond_range,
    encoding_of,
    is_float,
    read_depth,
    why_no_depth,
)
from handmap.recording.ros_messages import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    IMAGE,
    UNIT_TOPIC,
    Lens,
    has_matrix,
    lens_from_message,
)
from handmap.recording.stated import IntrinsicsConfig, Stated
from handmap.recording.survey import Survey, is_unit
from handmap.types.distortion import Distortion
from handmap.types.errors import ConfigError, RecordingError
from handmap.types.intrinsics import Intrinsics

STATE_INTRINSICS: Final = "state them with --intrinsics FX,FY,CX,CY (in a configuration: camera.intrinsics)"
STATE_TOPIC: Final = "name one with --topic (in a configuration: camera.topic)"
MAX_TOLD: Final = 12  # topics in a message


@dataclass(frozen=True)
class Plan:
    """What is read, and why, by step. info_topic is None where the intrinsics are stated; lens is that of the first frame."""

    topic: str
    msgtype: str
    info_topic: str | None
    lens: Lens
    is_rectified: bool
    scale: DepthScale
    has_stamps: bool
    period_ns: int
    why: dict[str, str]


def make_plan(survey: Survey, path: Path, stated: Stated) -> Plan:
    """Chooses, in the order above.

    Raises RecordingError in one sentence that says what was found and how to state what is missing.
    """
    why: dict[str, str] = {}
    topic = _choose_depth(survey, path, stated, why)
    image = survey.first[topic]
    is_rectified = is_rectified_topic(topic)
    if stated.intrinsics is not None:
        info_topic, lens = None, stated_lens(stated.intrinsics, _size_of(survey, image, topic, path))
        why["intrinsics"] = "stated"
    else:
        info_topic, lens = _choose_lens(survey, path, topic, why)
    scale = _choose_scale(survey, topic, stated, why)
    _refuse_beyond_range(survey, path, topic, scale)
    has_stamps, period_ns = _choose_clock(survey, topic, why)
    return Plan(topic, survey.type_of(topic), info_topic, lens, is_rectified, scale, has_stamps, period_ns, why)


def stated_lens(stated: IntrinsicsConfig, size: tuple[int, int]) -> Lens:
    """The lens that is stated, for images of this (width, height).

    Raises ConfigError for a distortion model that is not known.
    """
    try:
        distortion = Distortion(stated.distortion_model, stated.distortion) if any(stated.distortion) else None
    except ValueError as error:
        raise ConfigError(f"stated intrinsics: {error}") from error
    return Lens(Intrinsics(*size, stated.fx_px, stated.fy_px, stated.cx_px, stated.cy_px), distortion)


def is_rectified_topic(topic: str) -> bool:
    """Whether the name says, as image_proc names them, that images are rectified; realsense-ros's `image_rect_raw` does not."""
    return any(part in ("image_rect", "image_rect_color") for part in topic.split("/"))


def reasons_against(survey: Survey, named: str | None = None) -> dict[str, str | None]:
    """For every image topic why it is no depth; None for depth."""
    reasons: dict[str, str | None] = {}
    for one in survey.topics:
        if one.msgtype in (IMAGE, COMPRESSED_IMAGE):
            if not one.count:
                reasons[one.name] = "it has no messages"
            elif one.name in survey.unread:
                reasons[one.name] = f"it cannot be decoded ({survey.unread[one.name]})"
            elif one.name not in survey.first:
                reasons[one.name] = "it has no messages, whatever the index says"
            else:
                reasons[one.name] = why_no_depth(survey.first[one.name], one.msgtype, one.name, one.name == named)
        elif "image" in one.msgtype.lower():
            reasons[one.name] = f"its type {one.msgtype} is not {IMAGE}"
    return reasons


def _choose_depth(survey: Survey, path: Path, stated: Stated, why: dict[str, str]) -> str:
    reasons = reasons_against(survey, stated.topic)
    if stated.topic is not None:
        if stated.topic in reasons and reasons[stated.topic] is None:
            why["topic"] = "stated"
            return stated.topic
        fault = reasons.get(stated.topic) or "there is no such image topic"
        raise RecordingError(
            f"recording {str(path)!r}: found no depth on {stated.topic!r}: {fault}; use one of: {_told(reasons)}"
        )
    depths = [name for name, reason in reasons.items() if reason is None]
    certain = [name for name in depths if encoding_of(survey.first[name]) != "mono16"]
    depths = certain or depths  # mono16 beside another encoding of depth is infrared, whatever its name
    raw = {name for name in depths if survey.type_of(name) == IMAGE}
    alone = [name for name in depths if name in raw or name.rpartition("/")[0] not in raw]
    by_base = {
        name if name in raw else name.rpartition("/")[0]: name for name in sorted(alone)
    }  # png and compressedDepth
    if len(by_base) == 1:
        why["topic"] = "the only one with depth"
        return next(iter(by_base.values()))
    if by_base:
        raise RecordingError(
            f"recording {str(path)!r}: found topics with depth {', '.join(sorted(alone))}, wanted one; {STATE_TOPIC}"
        )
    raise RecordingError(
        f"recording {str(path)!r}: found no topic with depth images ({_told(reasons) or 'no image topic at all'}); record "
        "the depth topic, or use another recording"
    )


def _told(reasons: dict[str, str | None]) -> str:
    told = [
        f"{name}: {reason}" if reason else name
        for name, reason in sorted(reasons.items(), key=lambda one: (bool(one[1]), one[0]))
    ]
    return ", ".join(told[:MAX_TOLD]) + (f", and {len(told) - MAX_TOLD} more" if len(told) > MAX_TOLD else "")


def _size_of(survey: Survey, image: Any, topic: str, path: Path) -> tuple[int, int]:
    """(width, height) of the first image of a topic; compressed images have to be unpacked for it."""
    if hasattr(image, "width"):
        return int(image.width), int(image.height)
    height, width = read_depth(image, survey.type_of(topic), DepthScale(METER_MM, FLOAT_UNIT_MM), topic).shape
    return width, height


def _choose_lens(survey: Survey, path: Path, topic: str, why: dict[str, str]) -> tuple[str, Lens]:
    """By size, then frame_id, then the nearest name; what is left must agree."""
    infos = {one.name: survey.first[one.name] for one in survey.of_type(CAMERA_INFO) if one.name in survey.first}
    here = f"recording {str(path)!r}"
    if not infos:
        raise RecordingError(
            f"{here}: found no camera info beside {topic!r}; record its camera_info topic, or {STATE_INTRINSICS}"
        )
    size = _size_of(survey, survey.first[topic], topic, path)
    valid = {name: info for name, info in infos.items() if has_matrix(info)}
    if not valid:
        raise RecordingError(
            f"{here}: the matrix K in {', '.join(sorted(infos))} is zero or no lens's, so the camera's driver has no calibration; {STATE_INTRINSICS}"
        )
    lenses = {name: lens for name, info in valid.items() if (lens := _lens(info, size, topic, name, here)) is not None}
    if not lenses:
        sizes = ", ".join(f"{name} {info.width}x{info.height}" for name, info in sorted(valid.items()))
        raise RecordingError(
            f"{here}: images on {topic!r} are {size[0]}x{size[1]}, and no camera info is for that size ({sizes}); {STATE_INTRINSICS}"
        )
    frame_id = survey.first[topic].header.frame_id
    same_frame = {name for name in lenses if valid[name].header.frame_id == frame_id} or set(lenses)
    nearness = {name: _shared_parts(name, topic) for name in same_frame}
    nearest = sorted(name for name in same_frame if nearness[name] == max(nearness.values()))
    if len({lenses[name] for name in nearest}) > 1:
        raise RecordingError(
            f"{here}: {' and '.join(nearest)} have other intrinsics and fit {topic!r} alike; {STATE_INTRINSICS}"
        )
    why["intrinsics"] = f"{nearest[0]}: of the image's size" + (
        f" and frame {frame_id!r}" if valid[nearest[0]].header.frame_id == frame_id and frame_id else ""
    )
    return nearest[0], lenses[nearest[0]]


def _lens(info: Any, size: tuple[int, int], topic: str, name: str, here: str) -> Lens | None:
    try:
        return lens_from_message(info, size, is_rectified_topic(topic))
    except ValueError as error:
        raise RecordingError(f"{here}: {name}: {error}; rectify the images, or {STATE_INTRINSICS}") from error


def _shared_parts(first: str, second: str) -> int:
    pairs = zip(first.split("/"), second.split("/"), strict=False)
    return len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))


def _choose_scale(survey: Survey, topic: str, stated: Stated, why: dict[str, str]) -> DepthScale:
    image = survey.first[topic]
    encoding = encoding_of(image)
    if stated.depth_unit_mm is not None:
        why["unit"] = "stated"
        raw_mm = stated.depth_unit_mm
        return DepthScale(raw_mm, FLOAT_UNIT_MM if is_float(image) else raw_mm)
    units = sorted((name for name in survey.first if is_unit(name)), key=lambda name: _shared_parts(name, topic))
    if units:
        ours = UNIT_TOPIC in units
        name = UNIT_TOPIC if ours else units[-1]
        value = float(survey.first[name].data)
        unit_mm = value if ours else round(value * METER_MM, 6)  # the SDK's is a float32 of meters
        why["unit"] = f"as recorded on {name}"
        return DepthScale(METER_MM if is_float(image) else unit_mm, unit_mm)
    why["unit"] = f"{encoding} is in {'meters' if is_float(image) else 'millimeters'} by ROS's convention (REP 118)"
    return DepthScale(METER_MM, FLOAT_UNIT_MM) if is_float(image) else DepthScale(1.0, 1.0)


def _refuse_beyond_range(survey: Survey, path: Path, topic: str, scale: DepthScale) -> None:
    value = beyond_range(survey.first[topic], survey.type_of(topic), scale, topic)
    if value is not None:
        raise RecordingError(
            f"recording {str(path)!r}: depth on {topic!r} is around {value:g}, which is {value * scale.raw_mm / METER_MM:g} m at "
            f"{scale.raw_mm:g} mm a step, wanted what a depth camera measures; state the unit with --depth-unit-mm, such as 1 "
            "for millimeters (in a configuration: camera.depth_unit_mm)"
        )


def _choose_clock(survey: Survey, topic: str, why: dict[str, str]) -> tuple[bool, int]:
    """Whether header stamps tell frames apart, else log times are used; and the median period, ns."""
    stamps_ns = survey.stamps_ns[topic]
    has_stamps = any(stamps_ns) and (len(stamps_ns) < 2 or 2 * len(set(stamps_ns)) >= len(stamps_ns))
    fault = "all zero" if not any(stamps_ns) else f"{len(set(stamps_ns))} different ones on {len(stamps_ns)} frames"
    why["clock"] = "header stamps" if has_stamps else f"log times, as header stamps are useless ({fault})"
    return has_stamps, median_period_ns(stamps_ns if has_stamps else survey.log_ns[topic])
