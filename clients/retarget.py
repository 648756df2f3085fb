"""Joint angles of a robot hand from a person's joints, by dex-retargeting: the only file that imports it, its solver and PyTorch.

Its sequential vector optimizer gets our vectors (`hand_vectors`), our limits and our start. Its low-pass filter is not used: the daemon
has smoothed the joints.
"""

import sys
from contextlib import redirect_stdout, suppress

import numpy as np

from handmap.skeleton.body_pose import BodyPose
from handmap.skeleton.hand_shape import load_skeleton_model
from handmap.skeleton.hands import pose_hands
from handmap.types.arrays import Float32, Float64
from handmap.types.errors import DependencyError
from handmap.types.values import Handedness

from .hand_vectors import map_vectors, reference_vectors
from .robot_hands import LoadedHand

try:
    import nlopt
    import torch
    from dex_retargeting.kinematics_adaptor import MimicJointKinematicAdaptor
    from dex_retargeting.optimizer import VectorOptimizer
    from dex_retargeting.robot_wrapper import RobotWrapper
    from dex_retargeting.seq_retarget import SeqRetargeting
except ImportError as error:
    library = (error.name or "torch").partition(".")[0]
    raise DependencyError(
        f"robot: the library {library!r}, which turns joints into a robot's angles, is not installed in {sys.prefix!r}; install it with: "
        "pip install 'handmap-edge[robot]', in a checkout: pip install -e '.[robot]'"
    ) from error

HUBER_M = 0.02  # errors of vectors count squared up to here, then linearly
STAY = 4e-3  # weight of staying at the last angles
STUCK_COST = 0.015  # m, mean over vectors: above it the solver may be in a wrong minimum
REST_STEPS = 40


class Retargeter:
    """Solves for the driven joints of one robot hand, in the order of `names`; each solution starts from the last one."""

    def __init__(self, loaded: LoadedHand) -> None:
        torch.set_num_threads(1)  # the matrices are tiny
        urdf = loaded.urdf
        self.names = urdf.driven
        self._vectors = map_vectors(loaded)
        limits = np.array([urdf.limits(name) for name in self.names])
        self._low, self._high = limits.T
        self._solver = _open_solver(loaded, limits)
        self.start_at(limits.mean(axis=1))
        self.rest: Float64 = limits.mean(axis=1)
        natural = _natural_hand(loaded.hand.side)
        for _ in range(REST_STEPS):
            found = self.solve(natural)
            assert found is not None, "the mean hand has bones"
            self.rest = found

    def start_at(self, angles: Float64) -> None:
        """Goes on from these angles (J,), rad, as if they were the last solution."""
        self._solver.last_qpos = angles.astype(np.float32)

    def solve(self, xyz_m: Float32) -> Float64 | None:
        """The angles (J,), rad, within limits, for a person's joints (21, 3); None if those are no hand."""
        vectors = reference_vectors(self._vectors, xyz_m)
        if vectors is None:
            return None
        angles, cost = self._descend(vectors)
        if cost > STUCK_COST:  # a second descent, from elsewhere
            self.start_at(self.rest)
            other, other_cost = self._descend(vectors)
            if other_cost < cost / 2:
                angles = other
        self.start_at(angles)
        return angles

    def _descend(self, vectors: Float32) -> tuple[Float64, float]:
        """The solution next to the last one and its cost, m; the last one if the solver gives up."""
        # It prints why it gave up; that no smaller step changes anything is an exception, and means that it is there.
        with redirect_stdout(sys.stderr), suppress(nlopt.RoundoffLimited):
            self._solver.retarget(vectors)
        angles = np.clip(self._solver.last_qpos.astype(np.float64), self._low, self._high)  # float32 rounds limits up
        return angles, float(self._solver.optimizer.opt.last_optimum_value())


def _open_solver(loaded: LoadedHand, limits: Float64) -> SeqRetargeting:
    urdf, vectors = loaded.urdf, map_vectors(loaded)
    robot = RobotWrapper(str(urdf.path))
    optimizer = VectorOptimizer(
        robot,
        list(urdf.driven),
        list(vectors.origin_links),
        list(vectors.task_links),
        np.stack([vectors.starts, vectors.ends]),
        huber_delta=HUBER_M,
        norm_delta=STAY,
    )
    followers = [(joint.name, joint.mimic) for joint in urdf.joints.values() if joint.mimic is not None]
    if followers:
        adaptor = MimicJointKinematicAdaptor(
            robot,
            list(urdf.driven),
            [mimic.joint for _, mimic in followers],
            [name for name, _ in followers],
            [mimic.multiplier for _, mimic in followers],
            [mimic.offset for _, mimic in followers],
        )
        optimizer.set_kinematic_adaptor(adaptor)
    solver = SeqRetargeting(optimizer)
    optimizer.set_joint_limit(limits, epsilon=0.0)  # its default lets every joint pass its limit by a milliradian
    solver.joint_limits = limits
    return solver


def _natural_hand(side: Handedness) -> Float32:
    """Joints (21, 3), m, of the mean person's hand in the mean of natural poses."""
    model = load_skeleton_model()
    pose = BodyPose(np.eye(3)[None], np.array([[0, 0, 400.0]]), model.pose_mean[None])
    hand = pose_hands(model, np.zeros((1, model.shape_count)), np.array([side is Handedness.LEFT]), pose)
    xyz_m: Float32 = (hand.joints_mm[0] / 1000).astype(np.float32)
    return xyz_m
