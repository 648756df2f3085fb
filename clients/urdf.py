"""A robot's URDF file as joints and links: what is in it, its limits, and where links are. Its shapes and masses are not read."""

import math
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from handmap.files.reading import read_bytes
from handmap.types.arrays import Float64
from handmap.types.errors import ConfigError

MAX_URDF_BYTES = 4 << 20
_MOVING = ("revolute", "continuous", "prismatic")
_EYE = np.eye(4)


@dataclass(frozen=True)
class Mimic:
    """A joint without a motor of its own: it is at multiplier * (that joint) + offset."""

    joint: str
    multiplier: float
    offset: float


@dataclass(frozen=True, eq=False)
class UrdfJoint:
    """parent_from_child (4, 4) is the child link's pose at zero, m; axis (3,) is in the child's frame; limits are rad."""

    name: str
    kind: str
    parent: str
    child: str
    parent_from_child: Float64
    axis: Float64
    low: float
    high: float
    mimic: Mimic | None


@dataclass(frozen=True)
class Urdf:
    """The joints of a robot in the file's order, by name."""

    path: Path
    links: tuple[str, ...]
    joints: dict[str, UrdfJoint]

    @property
    def driven(self) -> tuple[str, ...]:
        """The names of the joints that have a motor."""
        return tuple(name for name, joint in self.joints.items() if joint.kind in _MOVING and joint.mimic is None)

    def limits(self, name: str) -> tuple[float, float]:
        """The range of a driven joint, rad, in which it and all joints that it takes along are within theirs."""
        joint = self.joints[name]
        low, high = joint.low, joint.high
        for other in self.joints.values():
            if other.mimic is not None and other.mimic.joint == name and other.mimic.multiplier != 0:
                ends = sorted((end - other.mimic.offset) / other.mimic.multiplier for end in (other.low, other.high))
                low, high = max(low, ends[0]), min(high, ends[1])
        return low, high

    def link_poses(self, angles: dict[str, float]) -> dict[str, Float64]:
        """The pose (4, 4) of every link in the root link's frame, m, at these angles of the driven joints, rad."""
        by_child = {joint.child: joint for joint in self.joints.values()}
        poses: dict[str, Float64] = {}

        def pose_of(link: str) -> Float64:
            if link not in poses:
                joint = by_child.get(link)
                poses[link] = _EYE if joint is None else pose_of(joint.parent) @ _moved(joint, _angle(joint, angles))
            return poses[link]

        return {link: pose_of(link) for link in self.links}


def read_urdf(path: Path) -> Urdf:
    """The robot in this file.

    Raises FileError if it cannot be read, ConfigError if it is no URDF of one tree of links, or a joint lacks its limits.
    """
    content = read_bytes(path, MAX_URDF_BYTES)
    try:
        root = ElementTree.fromstring(content)
        links = tuple(link.attrib["name"] for link in root.findall("link"))
        joints = [_joint_of(element) for element in root.findall("joint")]
    except (ElementTree.ParseError, KeyError, ValueError, AttributeError) as error:
        found = f"no {error} where one has to be" if isinstance(error, KeyError) else str(error)
        raise _unusable(path, found) from error
    if root.tag != "robot" or not joints:
        raise _unusable(path, f"<{root.tag}> with {len(joints)} joints")
    urdf = Urdf(path, links, {joint.name: joint for joint in joints})
    _check(urdf, len(joints))
    return urdf


def _joint_of(element: ElementTree.Element) -> UrdfJoint:
    name, kind = element.attrib["name"], element.attrib["type"]
    parent, child, limit = (element.find(tag) for tag in ("parent", "child", "limit"))
    if parent is None or child is None:
        raise ValueError(f"joint {name!r} without its two links")
    if kind == "revolute" and limit is None:
        raise ValueError(f"joint {name!r} without limits")
    low, high = (0.0, 0.0) if limit is None else (float(limit.get(end, "0")) for end in ("lower", "upper"))
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ValueError(f"joint {name!r} with limits {low} to {high}")
    axis = element.find("axis")
    direction = np.array([1.0, 0, 0]) if axis is None else _three(axis.attrib["xyz"])
    length = float(np.linalg.norm(direction))
    if kind in _MOVING and not length > 0:
        raise ValueError(f"joint {name!r} without an axis")
    pose = _pose_of(element.find("origin"))
    unit = direction / length if length > 0 else direction
    return UrdfJoint(
        name, kind, parent.attrib["link"], child.attrib["link"], pose, unit, low, high, _mimic_of(element.find("mimic"))
    )


def _mimic_of(element: ElementTree.Element | None) -> Mimic | None:
    if element is None:
        return None
    return Mimic(element.attrib["joint"], float(element.get("multiplier", "1")), float(element.get("offset", "0")))


def _check(urdf: Urdf, count: int) -> None:
    """Every joint of a hand turns or is fixed, follows one that is there, and joins links that make a tree."""
    children = [joint.child for joint in urdf.joints.values()]
    if len(urdf.joints) < count or len(set(children)) < len(children) or len(set(urdf.links)) < len(urdf.links):
        raise _unusable(urdf.path, "two joints or links of one name, or a link at the end of two joints")
    by_child = {joint.child: joint for joint in urdf.joints.values()}
    for joint in urdf.joints.values():
        if joint.kind not in ("revolute", "fixed"):
            raise _unusable(urdf.path, f"joint {joint.name!r} of type {joint.kind!r}, which a hand's cannot be")
        if joint.mimic is not None and joint.mimic.joint not in urdf.driven:
            raise _unusable(urdf.path, f"joint {joint.name!r} that follows {joint.mimic.joint!r}, which has no motor")
        missing = {joint.parent, joint.child} - set(urdf.links)
        if missing:
            raise _unusable(urdf.path, f"joint {joint.name!r} at the link {sorted(missing)[0]!r}, which is not there")
        link, steps = joint.parent, 0
        while link in by_child and steps <= count:
            link, steps = by_child[link].parent, steps + 1
        if steps > count:
            raise _unusable(urdf.path, f"joint {joint.name!r} in a circle of links")


def _pose_of(origin: ElementTree.Element | None) -> Float64:
    if origin is None:
        return _EYE
    roll, pitch, yaw = _three(origin.get("rpy", "0 0 0"))
    pose = np.eye(4)
    pose[:3, :3] = (
        _turn(np.array([0, 0, 1.0]), yaw) @ _turn(np.array([0, 1.0, 0]), pitch) @ _turn(np.array([1.0, 0, 0]), roll)
    )
    pose[:3, 3] = _three(origin.get("xyz", "0 0 0"))
    return pose


def _three(text: str) -> Float64:
    values = np.array([float(word) for word in text.split()])
    if values.shape != (3,) or not np.isfinite(values).all():
        raise ValueError(f"{text!r} where three numbers have to be")
    return values


def _angle(joint: UrdfJoint, angles: dict[str, float]) -> float:
    if joint.kind == "fixed":
        return 0.0
    if joint.mimic is not None:
        return joint.mimic.multiplier * angles[joint.mimic.joint] + joint.mimic.offset
    return angles[joint.name]


def _moved(joint: UrdfJoint, angle: float) -> Float64:
    turned = np.eye(4)
    turned[:3, :3] = _turn(joint.axis, angle)
    pose: Float64 = joint.parent_from_child @ turned
    return pose


def _turn(axis: Float64, angle: float) -> Float64:
    """The rotation (3, 3) by an angle, rad, about a unit axis (3,): Rodrigues' formula."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    rotation: Float64 = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * (cross @ cross)
    return rotation


def _unusable(path: Path, found: str) -> ConfigError:
    return ConfigError(
        f"URDF {str(path)!r}: found {found}, wanted a robot hand of fixed and revolute joints; correct the file"
    )
