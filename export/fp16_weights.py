"""The weights of a half-precision graph: the FP32 graph's, rounded once such that every kernel keeps its sum.

A half-precision program folds normalization into convolutions from weights that are already rounded. Every kernel is
then slightly biased wherever the depth is flat, as in the background of every crop. Measured in docs/measured/int8.md.
"""

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, numpy_helper

from handmap.types.arrays import Float32

LAYERS = ("Conv", "Gemm")
LARGEST = float(np.finfo(np.float16).max)
KERNEL_AXES = 2  # output and input channel; the remaining axes are one kernel


def share_weights(half: ModelProto, full: ModelProto) -> None:
    """Sets the weights of `half` to those of the FP32 graph `full`, rounded; does nothing if their layers differ."""
    if _operators(half) != _operators(full):
        return
    wanted = {tensor.name: tensor for tensor in full.graph.initializer}
    used = {name for node in half.graph.node if node.op_type in LAYERS for name in node.input[1:]}
    for tensor in half.graph.initializer:
        if tensor.name in used and tensor.name in wanted and tensor.dims == wanted[tensor.name].dims:
            weights = numpy_helper.to_array(wanted[tensor.name])
            tensor.CopyFrom(numpy_helper.from_array(round_kernels(weights), tensor.name))


def round_kernels(weights: Float32) -> NDArray[np.float16]:
    """Weights (O, I, ...) in half precision; each kernel is rounded from its largest weight on, each error carried to the next.

    Values beyond the range of FP16 are clipped to its largest number; the parity check then rejects the graph.
    """
    weights = np.clip(weights, -LARGEST, LARGEST)
    if weights.ndim <= KERNEL_AXES:
        return weights.astype(np.float16)
    kernels = weights.reshape(weights.shape[0] * weights.shape[1], -1).astype(np.float64)
    rounded = np.empty(kernels.shape, np.float16)
    rows, carry = np.arange(len(kernels)), np.zeros(len(kernels))
    for column in np.argsort(-np.abs(kernels), axis=1).T:
        wanted = np.clip(kernels[rows, column] + carry, -LARGEST, LARGEST)
        rounded[rows, column] = wanted.astype(np.float16)
        carry = wanted - rounded[rows, column]
    return rounded.reshape(weights.shape)


def _operators(model: ModelProto) -> list[str]:
    """The operator types of a graph's nodes in order, without casts."""
    return [node.op_type for node in model.graph.node if node.op_type != "Cast"]
