"""Confidence from the guidance maps."""

import numpy as np
import pytest

from handmap.bundle import ConfidenceTable
from handmap.decode import decode, expected_error_mm, guidance_at_joints
from handmap.values import JointsNormalised, View

TABLE = ConfidenceTable((0.2, 0.8), (40.0, 4.0))


def test_the_value_is_read_in_the_cell_where_the_joint_landed() -> None:
    guidance = np.zeros((3, 32, 32), np.float32)
    guidance[0, 31, 0] = 0.7  # row 31, column 0: left, bottom
    guidance[1, 16, 16] = 0.5
    joints = JointsNormalised(np.array([[-0.99, 0.99, 0], [0.01, 0.01, 0], [1.2, 0, 0]], np.float32), guidance)

    landed = guidance_at_joints(np, joints)

    assert landed.tolist() == pytest.approx([0.7, 0.5, 0.0])


def test_expected_errors_lie_between_the_rows_and_stay_at_the_ends() -> None:
    found = expected_error_mm(np.array([0.0, 0.2, 0.5, 0.8, 1.0], np.float32), TABLE)

    assert found.tolist() == pytest.approx([40, 40, 22, 4, 4])


def test_joints_come_out_in_the_camera_frame() -> None:
    view = View(np.array([10, 20, 400], np.float32), 250.0, False)
    joints = JointsNormalised(np.array([[0.0, 0.5, -1.0]], np.float32), None)

    xyz_mm, error_mm = decode(np, joints, view, TABLE)

    np.testing.assert_allclose(xyz_mm, [[10, 82.5, 275]], atol=1e-4)
    assert error_mm.tolist() == [40.0]


@pytest.mark.parametrize(
    ("guidance", "errors"), [((), ()), ((0.1, 0.2), (3.0,)), ((0.2, 0.2), (3.0, 2.0)), ((0.3, 0.2), (3.0, 2.0))]
)
def test_a_table_that_does_not_rise_is_refused(guidance: tuple[float, ...], errors: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="confidence table"):
        ConfidenceTable(guidance, errors)
