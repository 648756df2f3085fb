"""NVIDIA's parser and builder without a GPU (the tensorrt_rtx wheel): does TensorRT take a graph, and what does it say if not."""

from typing import Any

import tensorrt_rtx as trt

from handmap.values import CROP_PX


class Collector(trt.ILogger):  # type: ignore[misc]  # the bindings carry no types
    """Keeps the lines from warnings up; TensorRT takes one logger a process."""

    def __init__(self) -> None:
        trt.ILogger.__init__(self)
        self.lines: list[str] = []

    def log(self, severity: Any, message: str) -> None:
        if severity <= trt.ILogger.Severity.WARNING:
            self.lines.append(f"{severity.name}: {message}")


LOGGER = Collector()


def build(content: bytes, batch: int = 1) -> tuple[int, list[str]]:
    """The size of the plan that the builder makes of an ONNX file, 0 where it makes none, and all that was logged."""
    LOGGER.lines.clear()
    builder = trt.Builder(LOGGER)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, LOGGER)
    if not parser.parse(content):
        errors = [str(parser.get_error(index)) for index in range(parser.num_errors)]
        return 0, [*LOGGER.lines, *errors]
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1  # without a GPU there is no current one
    config.set_compute_capability(trt.ComputeCapability.SM86, 0)  # the nearest to Orin's 8.7
    profile = builder.create_optimization_profile()
    shape = (batch, 1, CROP_PX, CROP_PX)
    profile.set_shape("depth", shape, shape, shape)
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    return (0 if plan is None else plan.nbytes), list(LOGGER.lines)
