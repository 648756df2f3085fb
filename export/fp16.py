"""The FP16 graph with FP32 inputs and outputs: exported from the program in half precision if that works, else
converted from the FP32 graph.

Every graph made here has passed the ONNX checker, the lint, and the parity check on samples.
"""

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from onnx import ModelProto, NodeProto, TensorProto, helper
from onnxconverter_common import float16

from handmap.bundle.graph_lint import refuse
from handmap.bundle.graph_view import attribute, expose
from handmap.engines.onnx_engine import run_graph
from handmap.types.arrays import Float32
from handmap.types.errors import EngineFailed, ModelError
from handmap.types.values import CROP_PX

from .conventions import is_standard
from .fp16_weights import share_weights
from .from_onnx import GivenGraph
from .simplify import check_same_outputs, simplify
from .to_onnx import TrainedProgram, flat, to_onnx

ExportSource: TypeAlias = TrainedProgram | GivenGraph

PARITY_MEAN_MM = 0.5
KEPT_FLOAT = {"Resize": (1, 2)}  # inputs that ONNX requires in float32 for any data type: roi and scales
WRAPPED = "half_network."


@dataclass(frozen=True)
class HalfGraph:
    """An FP16 graph, how it was made, and its joint errors against the FP32 graph on the samples."""

    model: ModelProto
    route: str
    mean_mm: float
    worst_mm: float


def to_half(trained: ExportSource, full: ModelProto, crops: Float32, half_cube_mm: float) -> HalfGraph:
    """The FP16 graph of a network with the simplified FP32 graph `full`, verified on crops (N, 1, 128, 128).

    Raises ModelError, naming the node, if neither the half-precision program nor the converted graph is accurate enough.
    """
    wanted = run_graph(full.SerializeToString(), crops, ("joints",))["joints"]
    routes: dict[str, Callable[[], ModelProto]] = {"converted graph": lambda: half_of_graph(full, trained.path)}
    if isinstance(trained, TrainedProgram) and is_standard(trained.facts):  # others are converted in the graph only
        program = trained
        routes = {"half program": lambda: half_of_program(program), **routes}
    reasons = []
    for route, make in routes.items():
        try:
            model = make()
            simplified = simplify(model, trained.path)
            share_weights(simplified, full)
            refuse(simplified, f"{trained.path} in FP16")
            refuse_stray_casts(simplified)
            found = run_graph(simplified.SerializeToString(), crops, ("joints",))["joints"]
        except (ModelError, EngineFailed) as error:
            reasons.append(f"{route}: {error}")
            continue
        away_mm = np.linalg.norm(found - wanted, axis=-1) * half_cube_mm
        if away_mm.mean() <= PARITY_MEAN_MM:  # also false for NaN
            return HalfGraph(simplified, route, float(away_mm.mean()), float(away_mm.max()))
        node = worst_node(full, crops)
        reasons.append(f"{route}: mean {away_mm.mean():.3f} mm off, precision first lost at node {node!r}")
    raise ModelError(
        f"program {str(trained.path)!r}: FP16 is not accurate enough, wanted a mean of at most {PARITY_MEAN_MM} mm from FP32 ({'; '.join(reasons)}); "
        "change that node, or export with --precisions fp32"
    )


def half_of_program(trained: TrainedProgram) -> ModelProto:
    """The program exported with half-precision weights between two casts.

    Raises ModelError if it does not run in half precision, because it creates float32 tensors inside.
    """
    dynamic = {"depth": {0: torch.export.Dim("batch", min=1)}}
    depth = torch.ones(2, 1, CROP_PX, CROP_PX)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # copying a program warns about torch internals
            wrapped = _HalfInside(copy.deepcopy(trained.program.module()).half(), trained.output_names)
            program = torch.export.export(wrapped, (depth,), dynamic_shapes=dynamic, strict=False)
    except Exception as error:  # a foreign program can make torch raise anything
        reason = str(error).strip().split("\n")[0]
        raise ModelError(f"program {str(trained.path)!r}: it does not run in half precision ({reason})") from error
    model = to_onnx(replace(trained, program=program))
    for tensor in model.graph.initializer:
        tensor.name = tensor.name.removeprefix(WRAPPED)  # layers keep their FP32 names
    for node in model.graph.node:
        node.input[:] = [name.removeprefix(WRAPPED) for name in node.input]
    return model


def half_of_graph(full: ModelProto, path: Path) -> ModelProto:
    """The FP32 graph with every tensor except its inputs and outputs converted to FP16; `path` names the program in messages.

    Raises ModelError if the result is not valid ONNX; the message names the node.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns about every value that it rounds; the parity check decides
        model: ModelProto = float16.convert_float_to_float16(
            _with_outputs_apart(full), max_finite_val=65504.0, keep_io_types=True, op_block_list=[]
        )
    _restore_float_inputs(model, full)
    check_same_outputs(model, path)
    return model


def refuse_stray_casts(model: ModelProto) -> None:
    """Raises ModelError if the graph has a Cast anywhere except at its inputs and outputs."""
    inputs = {value.name for value in model.graph.input}
    outputs = {value.name for value in model.graph.output}
    for node in model.graph.node:
        if node.op_type == "Cast" and node.input[0] not in inputs and node.output[0] not in outputs:
            kind = TensorProto.DataType.Name(int(attribute(node, "to", 0))).lower()
            raise ModelError(f"graph in FP16: node {node.name!r} casts to {kind} inside the network; remove that cast")


def worst_node(full: ModelProto, crops: Float32) -> str:
    """The node that loses precision: the first to overflow FP16, else the one with the largest relative rounding error."""
    names = [name for node in full.graph.node for name in node.output]
    makers: dict[str, NodeProto] = {name: node for node in full.graph.node for name in node.output}
    values = run_graph(expose(full, names), crops[:8], tuple(names))
    worst, named = -1.0, names[0]
    for name, value in values.items():
        if value.dtype != np.float32:
            continue
        with np.errstate(over="ignore"):
            rounded = value.astype(np.float16).astype(np.float32)
        if not np.isfinite(rounded).all():
            return str(makers[name].name)
        lost = float(np.abs(rounded - value).max() / max(float(np.abs(value).max()), 1e-30))
        worst, named = max((worst, named), (lost, makers[name].name))
    return str(named)


class _HalfInside(torch.nn.Module):
    """A half-precision network with float32 inputs and outputs; the outputs have the contract's names."""

    def __init__(self, half: torch.nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.half_network = half
        self.names = names

    def forward(self, depth: torch.Tensor) -> dict[str, torch.Tensor]:
        outputs = flat(self.half_network(depth.half()))
        return {name: value.float() for name, value in zip(self.names, outputs.values(), strict=True)}


def _with_outputs_apart(full: ModelProto) -> ModelProto:
    """A copy in which no node reads an output of the graph: the converter would give it float32 there."""
    model = copy.deepcopy(full)
    read = {name for node in model.graph.node for name in node.input}
    for output in [value.name for value in model.graph.output if value.name in read]:
        for node in model.graph.node:
            node.input[:] = [f"{output}_inside" if name == output else name for name in node.input]
            node.output[:] = [f"{output}_inside" if name == output else name for name in node.output]
        model.graph.node.append(helper.make_node("Identity", [f"{output}_inside"], [output], name=f"apart_{output}"))
    return model


def _restore_float_inputs(model: ModelProto, full: ModelProto) -> None:
    """Restores the float32 constants of inputs such as the scales of a Resize, which the converter takes for data."""
    constants = {tensor.name: tensor for tensor in full.graph.initializer}
    for node in model.graph.node:
        for slot in KEPT_FLOAT.get(node.op_type, ()):
            if slot < len(node.input) and node.input[slot] in constants:
                kept = model.graph.initializer.add()
                kept.CopyFrom(constants[node.input[slot]])
                kept.name = node.input[slot] = f"{kept.name}_float32_{node.name}"
