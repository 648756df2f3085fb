"""Programs to export: small networks with the contract's tensors."""

from pathlib import Path

import torch
from torch import Tensor, nn

from handmap.bundle.confidence import ConfidenceTable
from handmap.bundle.facts import Normalization
from handmap.bundle.model_metadata import METADATA_FILE, ModelMetadata, encode_metadata
from handmap.types.joints import HAND21, JOINT_COUNT

FACTS = ModelMetadata(
    HAND21, 250.0, (220.0, 280.0), Normalization(-1.0, 1.0, 1.0), ConfidenceTable((0.0, 1.0), (50.0, 5.0))
)


class SmallNetwork(nn.Module):
    """Depth to joints and maps through one convolution."""

    def __init__(self, joints: int = JOINT_COUNT, has_guidance: bool = True) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 8, 4, 4), nn.BatchNorm2d(8), nn.ReLU())
        self.maps = nn.Conv2d(8, joints, 1)
        self.pose = nn.Sequential(nn.MaxPool2d(8), nn.Flatten(), nn.Linear(8 * 16, joints * 3))
        self.joints = joints
        self.has_guidance = has_guidance

    def forward(self, depth: Tensor) -> dict[str, Tensor]:
        x = self.stem(depth)
        outputs = {"joints": self.pose(x).unflatten(1, (self.joints, 3))}
        return outputs | ({"guidance": self.maps(x)} if self.has_guidance else {})


def save_program(path: Path, network: nn.Module, facts: ModelMetadata | None = FACTS, dynamic: bool = True) -> Path:
    shapes = {"depth": {0: torch.export.Dim("n", min=1)}} if dynamic else None
    program = torch.export.export(network.eval(), (torch.ones(2, 1, 128, 128),), dynamic_shapes=shapes, strict=False)
    torch.export.save(program, path, extra_files={METADATA_FILE: encode_metadata(facts)} if facts else {})
    return path
