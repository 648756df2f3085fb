"""A confidence table that takes no hand for one is refused at export, if the samples are labeled."""

import onnx
import pytest
from msgspec.structs import replace

from export.hands_seen import refuse_unseen_hands
from export.labels import LabeledCrops, read_labeled
from handmap.bundle.confidence import ConfidenceTable
from handmap.bundle.manifest import read_bundle
from handmap.bundle.model_metadata import ModelMetadata
from handmap.types.errors import ModelError
from tests.support.processes import ROOT

BUNDLE, DEMO = ROOT / "models" / "handmap-hand21", ROOT / "models" / "demo_recording"


@pytest.fixture(scope="module")
def shipped() -> tuple[onnx.ModelProto, ModelMetadata, LabeledCrops]:
    hand = read_bundle(BUNDLE).hand
    facts = ModelMetadata(hand.joint_names, hand.cube_mm, hand.cube_mm_range, hand.normalization, hand.confidence)
    labeled = read_labeled(DEMO, hand.cube_mm)
    assert labeled is not None
    return onnx.load(BUNDLE / "hand.fp32.onnx"), facts, labeled


def test_the_shipped_table_sees_the_labeled_hands(shipped: tuple[onnx.ModelProto, ModelMetadata, LabeledCrops]) -> None:
    model, facts, labeled = shipped

    refuse_unseen_hands(model, facts, labeled, "shipped")


@pytest.mark.parametrize("table", ["presence", "hand_peak"])
def test_a_table_that_sees_no_hand_is_refused(
    shipped: tuple[onnx.ModelProto, ModelMetadata, LabeledCrops], table: str
) -> None:
    model, facts, labeled = shipped
    known = facts.confidence
    assert known.presence is not None
    if table == "presence":
        blind = replace(known, presence=replace(known.presence, bias=-50.0))
    else:
        blind = replace(known, presence=None, mean_heatmap_peak=(0.0, 1.0), hand_probability=(0.0, 0.2))

    with pytest.raises(ModelError, match=r"none of \d+ labeled hands is one"):
        refuse_unseen_hands(model, replace(facts, confidence=blind), labeled, "blind")


def test_a_network_without_any_sign_of_a_hand_takes_everything_for_one(
    shipped: tuple[onnx.ModelProto, ModelMetadata, LabeledCrops],
) -> None:
    model, facts, labeled = shipped
    few = LabeledCrops(labeled.depth[:2], labeled.joints[:2], labeled.half_cube_mm)

    refuse_unseen_hands(model, replace(facts, confidence=ConfidenceTable((0.0,), (12.0,))), few, "plain")
