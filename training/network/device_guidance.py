"""The maps of `guidance` in torch, on any device: for a batch that was warped on the GPU.

Elementwise except for the geodesic distance, which has three equivalent implementations: on a GPU the CUDA kernel or,
without CuPy, rounds of plain torch; on a CPU the fast marching of `geodesic`. All agree with the NumPy maps to 1e-5.
"""

from importlib.util import find_spec
from typing import Final, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from handmap.types.values import GUIDANCE_PX

from .geodesic import geodesic_closeness
from .guidance import CUBE_SIDE, NEAREST
from .network import GuidanceKind

DEVICE_KINDS: Final[tuple[GuidanceKind, ...]] = ("dist2", "edt2", "edt2m")
UNREACHED: Final = 1e9
ROUNDS_BETWEEN_CHECKS: Final = 8  # each check waits for the device


class DeviceCells(NamedTuple):
    """A batch of hands on the map's grid, as `guidance.HandCells`: is_hand (N, 32, 32) bool, depth (N, 32, 32)."""

    is_hand: Tensor
    depth: Tensor


def reduce_on_device(depth: Tensor, is_hand: Tensor) -> DeviceCells:
    """The 32x32 hand of crops: depth (N, 128, 128) in [-1, 1] and is_hand (N, 128, 128)."""
    factor = depth.shape[-1] // GUIDANCE_PX
    grid = (len(depth), GUIDANCE_PX, factor, GUIDANCE_PX, factor)
    pixels = is_hand.to(torch.float32).reshape(grid).sum((2, 4))
    total = torch.where(is_hand, depth, 0.0).reshape(grid).sum((2, 4))
    is_hand_cell = 2 * pixels >= factor * factor
    return DeviceCells(is_hand_cell, torch.where(is_hand_cell, total / pixels, 1.0))


def make_device_maps(kind: GuidanceKind, cells: DeviceCells, joints: Tensor) -> Tensor:
    """The maps (N, J, 32, 32) of one of DEVICE_KINDS for joints (N, J, 3) in half cube sides; all 0 where these are NaN."""
    has_hand = torch.isfinite(joints).all(dim=2).all(dim=1)
    cells = cells._replace(is_hand=cells.is_hand & has_hand[:, None, None])
    joints = torch.nan_to_num(joints)
    if kind == "dist2":
        return _euclidean(cells, joints)
    geodesic = _geodesic(cells.is_hand, joint_cells_on_device(joints))
    return geodesic if kind == "edt2" else geodesic * _euclidean(cells, joints)


def joint_cells_on_device(joints: Tensor) -> Tensor:
    """The (row, column) of the cell (N, J, 2) that holds each joint, as `guidance.joint_cells`."""
    cells = torch.floor((joints[..., [1, 0]] + 1) * (GUIDANCE_PX / 2)).long()
    return cells.clamp(0, GUIDANCE_PX - 1)


def _euclidean(cells: DeviceCells, joints: Tensor) -> Tensor:
    """dist2, as `guidance.euclidean_closeness`."""
    axis = (2 * torch.arange(GUIDANCE_PX, device=joints.device, dtype=torch.float32) + 1) / GUIDANCE_PX - 1
    x, y, z = (joints[..., i, None, None] for i in range(3))
    squared = (x - axis) ** 2 + (y - axis[:, None]) ** 2  # (N, J, 32, 32)
    distance = torch.sqrt(squared + (z - cells.depth[:, None]) ** 2).clamp(NEAREST, CUBE_SIDE)
    return (CUBE_SIDE - distance) / CUBE_SIDE * cells.is_hand[:, None]


def _geodesic(is_hand: Tensor, cells: Tensor) -> Tensor:
    """`geodesic_closeness`, by whatever is fastest on this device."""
    if is_hand.device.type == "cpu":
        return torch.from_numpy(geodesic_closeness(is_hand.numpy(), cells.numpy()))
    if find_spec("cupy") is not None:
        from .geodesic_kernel import kernel_closeness

        return kernel_closeness(is_hand, cells)
    return iterate_closeness(is_hand, cells)


def iterate_closeness(is_hand: Tensor, cells: Tensor) -> Tensor:
    """`geodesic_closeness` of silhouettes (N, 32, 32) and joints' cells (N, J, 2), by rounds over all cells at once.

    The arithmetic of kernels/geodesic.cu.
    """
    axis = torch.arange(GUIDANCE_PX, device=is_hand.device)
    row, column = cells[..., 0, None, None], cells[..., 1, None, None]
    squared = (axis[:, None] - row) ** 2 + (axis - column) ** 2  # (N, J, 32, 32)
    hand = is_hand[:, None].expand_as(squared)
    # Of a joint off the hand, a disc about it that just touches the hand belongs to the domain.
    nearest = torch.where(hand, squared, -1 + 2**20).amin((2, 3), keepdim=True)
    domain = hand | (squared <= nearest)
    distance = torch.where(squared == 0, 0.0, UNREACHED)
    while True:
        before = distance
        for _ in range(ROUNDS_BETWEEN_CHECKS):
            distance = torch.minimum(distance, torch.where(domain, _solve(distance), UNREACHED))
        if torch.equal(before, distance):
            break
    is_reached = hand & (distance < UNREACHED)
    farthest = torch.where(distance < UNREACHED, distance, 0.0).amax((2, 3), keepdim=True)
    share = torch.where(farthest > 0, (farthest - distance) / farthest, 1.0)
    return torch.where(is_reached, share, 0.0)


def _solve(distance: Tensor) -> Tensor:
    """The solution of |grad d| = 1 at every cell of (N, J, 32, 32) from its neighbors."""
    padded = functional.pad(distance, (1, 1, 1, 1), value=UNREACHED)
    across = torch.minimum(padded[..., 1:-1, :-2], padded[..., 1:-1, 2:])
    along = torch.minimum(padded[..., :-2, 1:-1], padded[..., 2:, 1:-1])
    low = torch.minimum(across, along)
    gap = (torch.maximum(across, along) - low).clamp(max=1.0)
    # (d - low)^2 + (d - high)^2 = 1; at a gap of 1 that is low + 1, as it is beyond.
    return low + 0.5 * (gap + torch.sqrt(2.0 - gap * gap))
