"""Makes tests/support/tiny.onnx: run with `python tests/support/make_tiny_graph.py` where onnx is installed.

The graph keeps the tensor contract without having learned anything: all joints sit about the centroid of what is in the
cube, in a fixed small pattern. So a test can move a blob and say where the joints must be.
"""

from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

OUT = Path(__file__).parent / "tiny.onnx"
SPREAD = 0.3


def main() -> None:
    """Writes the graph: mask, sums over the mask, division, pattern."""
    line = ((np.arange(128, dtype=np.float32) + 0.5) / 64 - 1).astype(np.float32)
    pattern = np.random.default_rng(1).uniform(-SPREAD, SPREAD, (1, 21, 3)).astype(np.float32)
    constants = {
        "x": line.reshape(1, 1, 1, 128), "y": line.reshape(1, 1, 128, 1), "one": np.float32(0.999),
        "few": np.float32(1e-6), "pattern": pattern - pattern.mean(axis=1, keepdims=True), "axes": np.array([2, 3]),
        "shape": np.array([-1, 1, 3]),
    }  # fmt: skip
    nodes = [
        helper.make_node("Less", ["depth", "one"], ["inside"]),
        helper.make_node("Cast", ["inside"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["mask", "axes"], ["count"]),
        helper.make_node("Add", ["count", "few"], ["total"]),
    ]
    for name, source in (("x", "x"), ("y", "y"), ("z", "depth")):
        nodes += [
            helper.make_node("Mul", ["mask", source], [f"masked_{name}"]),
            helper.make_node("ReduceSum", [f"masked_{name}", "axes"], [f"sum_{name}"]),
            helper.make_node("Div", [f"sum_{name}", "total"], [f"mean_{name}"]),
        ]
    nodes += [
        helper.make_node("Concat", ["mean_x", "mean_y", "mean_z"], ["means"], axis=3),
        helper.make_node("Reshape", ["means", "shape"], ["centroid"]),
        helper.make_node("Add", ["centroid", "pattern"], ["joints"]),
    ]
    graph = helper.make_graph(
        nodes, "tiny",
        [helper.make_tensor_value_info("depth", TensorProto.FLOAT, ["batch", 1, 128, 128])],
        [helper.make_tensor_value_info("joints", TensorProto.FLOAT, ["batch", 21, 3])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    checker.check_model(model, full_check=True)
    OUT.write_bytes(model.SerializeToString())


if __name__ == "__main__":
    main()
