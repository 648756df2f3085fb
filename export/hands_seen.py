"""Whether a network, by its own confidence table, takes hands for hands: a table of another network may reject them all."""

import numpy as np
import onnx

from handmap.bundle.confidence import hand_probability, read_signals
from handmap.bundle.model_metadata import ModelMetadata
from handmap.engines.engine import EngineOutput
from handmap.engines.onnx_engine import run_graph
from handmap.tracking.pose_estimate import split_batch
from handmap.tracking.tracker_settings import TrackingConfig
from handmap.types.errors import ModelError

from .labels import LabeledCrops

OUTPUTS = ("joints", "guidance", "side", "spread")


def refuse_unseen_hands(model: onnx.ModelProto, facts: ModelMetadata, labeled: LabeledCrops, name: str) -> None:
    """Raises ModelError if not one of the labeled hands is sure enough for the daemon's default, tracking.min_confidence."""
    found = {value.name for value in model.graph.output}
    outputs = tuple(output for output in OUTPUTS if output in found)
    answers = EngineOutput.of(run_graph(model.SerializeToString(), labeled.depth, outputs))
    surest = max(
        hand_probability(read_signals(np, one, facts.cube_mm), facts.confidence)
        for one in split_batch(answers, len(labeled.depth))
    )
    wanted = TrackingConfig().min_confidence
    if not surest >= wanted:  # NaN is no hand either
        raise ModelError(
            f"network {name!r}: by the confidence table of its model facts none of {len(labeled.depth)} labeled hands is one: the "
            f"surest has a probability of {surest:.2f}, wanted {wanted:g} (tracking.min_confidence) in at least one; fit presence, or "
            "hand_peak and hand_probability, to this network"
        )
