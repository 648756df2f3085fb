"""URDF files: joints, limits, places of links, and what is refused in one sentence."""

from pathlib import Path

import numpy as np
import pytest

from clients.urdf import Urdf, read_urdf
from handmap.types.errors import ConfigError, FileError

ARM = """<robot name="arm">
  <link name="base"/><link name="upper"/><link name="lower"/><link name="tip"/>
  <joint name="shoulder" type="revolute"><origin xyz="0 0 0.1" rpy="0 0 1.5707963"/><parent link="base"/><child link="upper"/>
    <axis xyz="0 2 0"/><limit lower="-0.5" upper="1.5"/></joint>
  <joint name="elbow" type="revolute"><origin xyz="0 0 0.3"/><parent link="upper"/><child link="lower"/>
    <axis xyz="0 1 0"/><limit lower="0" upper="1"/><mimic joint="shoulder" multiplier="2" offset="0.1"/></joint>
  <joint name="end" type="fixed"><origin xyz="0 0 0.2"/><parent link="lower"/><child link="tip"/></joint>
</robot>"""


def read(folder: Path, text: str) -> Urdf:
    path = folder / "arm.urdf"
    path.write_text(text)
    return read_urdf(path)


def test_links_are_where_the_joints_put_them(tmp_path: Path) -> None:
    urdf = read(tmp_path, ARM)

    poses = urdf.link_poses({"shoulder": 0.2})

    # The shoulder bends by 0.2 about its y, which its origin has turned to -x of the base; the elbow by 2 * 0.2 + 0.1 more.
    y_m = 0.3 * np.sin(0.2) + 0.2 * np.sin(0.7)
    z_m = 0.1 + 0.3 * np.cos(0.2) + 0.2 * np.cos(0.7)
    assert poses["tip"][:3, 3] == pytest.approx([0, y_m, z_m], abs=1e-6)  # m


def test_a_joint_is_limited_by_those_that_it_takes_along(tmp_path: Path) -> None:
    urdf = read(tmp_path, ARM)

    assert urdf.driven == ("shoulder",)
    assert urdf.limits("shoulder") == pytest.approx((-0.05, 0.45))


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("</robot>", "", "no element found"),
        ('<robot name="arm">', '<robot name="arm"', "not well-formed"),
        ('<limit lower="-0.5" upper="1.5"/>', "", "joint 'shoulder' without limits"),
        ('lower="-0.5"', 'lower="2"', "joint 'shoulder' with limits 2.0 to 1.5"),
        ('lower="-0.5"', 'lower="nan"', "joint 'shoulder' with limits nan to 1.5"),
        ('xyz="0 2 0"', 'xyz="0 0 0"', "joint 'shoulder' without an axis"),
        ('xyz="0 2 0"', 'xyz="0 2"', "'0 2' where three numbers"),
        ('<parent link="base"/>', "", "joint 'shoulder' without its two links"),
        ('<parent link="base"/>', '<parent link="bass"/>', "at the link 'bass', which is not there"),
        ('<parent link="base"/>', '<parent link="tip"/>', "in a circle of links"),
        ('<child link="tip"/>', '<child link="lower"/>', "a link at the end of two joints"),
        ('name="elbow"', 'name="shoulder"', "two joints or links of one name"),
        ('name="shoulder" type="revolute"', 'name="shoulder" type="prismatic"', "of type 'prismatic'"),
        ('mimic joint="shoulder"', 'mimic joint="end"', "follows 'end', which has no motor"),
        (' name="elbow"', "", "no 'name' where one has to be"),
    ],
)
def test_what_is_no_hand_is_refused_in_a_sentence(tmp_path: Path, old: str, new: str, found: str) -> None:
    assert old in ARM

    with pytest.raises(ConfigError) as refusal:
        read(tmp_path, ARM.replace(old, new))

    assert found in str(refusal.value) and str(tmp_path / "arm.urdf") in str(refusal.value)
    assert "\n" not in str(refusal.value) and "wanted" in str(refusal.value)


def test_other_xml_and_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="found <html> with 0 joints"):
        read(tmp_path, "<html/>")
    with pytest.raises(FileError, match=r"none\.urdf"):
        read_urdf(tmp_path / "none.urdf")
