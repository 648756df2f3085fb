"""Writes tests/export/torch_graphs: a small network as `torch.onnx.export` writes it by default; python -m tests.export.make_torch_graphs.

The graph of the installed PyTorch is its own. Those of other versions are in the form of their exporters, read from their
sources: opset, IR version and file names are the same in 2.9.1, 2.11.0, 2.13.0 and 2.14.1; the name of the batch axis is what
the caller chose, or one that the exporter made up. Paths of this machine, which the exporter writes into it, are taken out.
"""

import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

FOLDER = Path(__file__).parent / "torch_graphs"
OTHERS = {"2.9.1": "s77", "2.11.0": "batch_size", "2.14.1": "s77"}  # the name of the batch axis by version


class Tiny(nn.Module):
    """Depth to 21 joints through one convolution, a batch norm and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 4, 8, 8), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten()
        )
        self.fc = nn.Linear(64, 63)

    def forward(self, depth: Tensor) -> Tensor:
        joints: Tensor = self.fc(self.body(depth)).reshape(-1, 21, 3)
        return joints


def main() -> None:
    """Writes a .onnx and a .onnx.data for each version."""
    torch.manual_seed(0)
    version = torch.__version__.partition("+")[0]
    write(Tiny().eval(), FOLDER / f"torch-{version}.onnx")
    for other, batch in OTHERS.items():
        model = onnx.load(FOLDER / f"torch-{version}.onnx")
        model.producer_version = other
        for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
            for size in value.type.tensor_type.shape.dim:
                if size.dim_param:
                    size.dim_param = size.dim_param.replace("batch_size", batch)
        name = f"torch-{other}.onnx"
        onnx.save(model, FOLDER / name, save_as_external_data=True, location=f"{name}.data", size_threshold=1024)


def write(network: nn.Module, path: Path) -> None:
    """What the exporter writes by default: the default opset, weights beside the graph."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, (torch.zeros(2, 1, 128, 128),), str(path), input_names=["depth"], output_names=["joints"], dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch_size")},),
        )  # fmt: skip
    model = onnx.load(path, load_external_data=False)
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output, model.graph):
        del part.metadata_props[:]
    path.write_bytes(model.SerializeToString())


if __name__ == "__main__":
    main()
