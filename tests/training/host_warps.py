"""The same warps for the NumPy code and for that of a device."""

import torch

from training.samples.augment import Warps
from training.samples.device_augment import DeviceWarps


def move_warps(warps: Warps, device: torch.device) -> DeviceWarps:
    """Warps that were drawn on the host, without the seed of their noise."""
    drawn = (warps.angle_rad, warps.scale, warps.center_mm, warps.noise_mm)
    return DeviceWarps(*(torch.from_numpy(values).float().to(device) for values in drawn))
