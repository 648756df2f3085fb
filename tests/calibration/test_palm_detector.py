"""The INT8 palm graph: how it is made, what its gate checks, and when the engine opens."""

import logging
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest

from calibration.gate import LOST_MM, judge_labeled_palms, judge_unlabeled_palms
from calibration.palm_detector import PalmComparison, judge_palms, match
from calibration.quantize import Recipe, quantize_bundle
from calibration.record import read_record
from calibration.report import report_bundle
from export.to_bundle import export_bundle
from handmap.bundle.gate import Gate
from handmap.bundle.graph_lint import lint
from handmap.bundle.graph_view import view_graph
from handmap.bundle.manifest import GraphFile, read_bundle
from handmap.bundle.writer import read_files, with_precisions, write_bundle
from handmap.engines.factory import EngineConfig, open_engines
from handmap.recording.datasets import LabeledFrame
from handmap.recording.reader import open_recording
from handmap.recording.writer import RecordingWriter
from handmap.types.arrays import Float32
from handmap.types.errors import ConfigError
from handmap.types.values import Handedness
from tests.calibration.conftest import INTRINSICS, write_disc, write_set_without_pictures
from tests.calibration.networks import save_residual_program
from tests.calibration.palms import learn_discs, save_palm_program, spoil_int8

ALL = Recipe("mse", "fp16", frozenset())
STEM = Recipe("mse", "fp16", frozenset(), frozenset({"stem.0.0"}))


@pytest.fixture(scope="module")
def int8_path(palm_bundle_path: Path, set_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("int8") / "bundle"
    quantize_bundle(palm_bundle_path, set_path, ALL, None, path)
    return path


def palm_int8(path: Path) -> GraphFile:
    bundle = read_bundle(path)
    assert bundle.palm is not None
    return bundle.palm.precisions["int8"]


def opened_palm(path: Path, config: EngineConfig) -> str:
    engines = open_engines(read_bundle(path), config, batch=1)
    engines.close()
    assert engines.palm is not None
    return engines.palm.precision


def places(*xyz_mm: tuple[float, float, float]) -> Float32:
    return np.array(xyz_mm, np.float32).reshape(-1, 3)


def test_both_graphs_are_quantized_and_recorded(int8_path: Path, set_path: Path) -> None:
    bundle = read_bundle(int8_path)
    record = read_record(bundle)

    model = onnx.load(bundle.graph_path("palm", "int8"))
    makers = view_graph(model).makers
    layers = [node for node in model.graph.node if node.op_type == "Conv"]
    assert set(bundle.hand.precisions) == {"fp32", "fp16", "int8"}
    assert len(layers) == 13
    assert all(makers[name].op_type == "DequantizeLinear" for node in layers for name in node.input[:2])
    assert lint(model) == []
    assert record.palm is not None and record.palm.pictures == 64
    assert (record.palm.int8_share, record.palm.float_layers) == (1.0, ())


def test_the_contract_fixes_the_input_range(int8_path: Path) -> None:
    record = read_record(read_bundle(int8_path))

    assert record.palm is not None
    assert [value for name, value in record.palm.thresholds.items() if "depth_small" in name] == [2.0]


def test_quantization_is_deterministic(palm_bundle_path: Path, set_path: Path, int8_path: Path, tmp_path: Path) -> None:
    quantize_bundle(palm_bundle_path, set_path, ALL, None, tmp_path / "again")

    for file in int8_path.iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes(), file.name


def test_a_named_layer_stays_in_float(int8_path: Path, set_path: Path, tmp_path: Path) -> None:
    report = quantize_bundle(int8_path, set_path, STEM, None, tmp_path / "out")

    model = onnx.load(tmp_path / "out" / "palm.int8.onnx")
    first = next(node for node in model.graph.node if node.op_type == "Conv")
    assert report.made["palm"].float_layers == ("stem.0.0",) and not report.is_palm_left
    assert 0.9 < report.made["palm"].int8_share < 1 and first.input[1] == "stem.0.0.weight"


def test_without_detector_inputs_the_palm_graph_is_unchanged(
    palm_bundle_path: Path, int8_path: Path, set_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "old").mkdir()
    write_set_without_pictures(set_path, tmp_path / "old")

    report = quantize_bundle(palm_bundle_path, tmp_path / "old", ALL, None, tmp_path / "out")

    bundle = read_bundle(tmp_path / "out")
    assert set(report.made) == {"hand"} and report.is_palm_left and read_record(bundle).palm is None
    assert bundle.palm == read_bundle(palm_bundle_path).palm
    for path, recipe in (
        (palm_bundle_path, STEM),
        (int8_path, ALL),
    ):  # asked for by name; already there, of another set
        with pytest.raises(ConfigError, match="has no detector inputs"):
            quantize_bundle(path, tmp_path / "old", recipe, None, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_palm_layers_without_a_palm_graph_are_rejected(bundle_path: Path, set_path: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no palm graph, so stem\.0\.0 cannot be kept in float"):
        quantize_bundle(bundle_path, set_path, STEM, None, tmp_path / "out")


def test_an_ungated_int8_graph_is_skipped_and_logged(
    reported_path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bundle = read_bundle(reported_path)
    ungated = msgspec.structs.replace(palm_int8(reported_path), gate=None)
    path = tmp_path / "ungated"
    write_bundle(path, with_precisions(bundle.manifest, {"int8": ungated}, "palm"), read_files(bundle))

    with caplog.at_level(logging.WARNING, "handmap.engines"):
        taken = opened_palm(path, EngineConfig(precision="int8"))

    assert taken == "fp16"
    assert [record.getMessage() for record in caplog.records] == ["palm_graph=fp16 instead_of=int8 reason='no gate'"]
    assert opened_palm(path, EngineConfig(precision="int8", use_ungated_int8=True)) == "int8"


def test_the_gate_passes_on_held_out_pictures_and_opens_the_engine(
    reported_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gate = palm_int8(reported_path).gate

    assert gate is not None and gate.passed and gate.kind == "reports of FP32" and gate.frames == 16
    assert gate.limits == {"found": 0.03, "extra": 0.05} and 0 < gate.mean_mm < 30
    with caplog.at_level(logging.WARNING, "handmap.engines"):
        assert opened_palm(reported_path, EngineConfig(precision="int8")) == "int8"
    assert not caplog.records


def test_the_report_covers_the_palm_graph(reported_path: Path) -> None:
    text = (reported_path / "report.html").read_text()
    figures = msgspec.json.decode((reported_path / "report.json").read_bytes())["palm"]

    assert "int8: palm gate passed by reports of FP32 on set, held out, 16 frames" in text
    assert set(figures["precisions"]) == {"fp32", "fp16", "int8"}
    assert figures["precisions"]["fp32"] == {
        "reports": 16, "kept": 1.0, "extra": 0.0, "median_mm": 0.0, "p95_mm": 0.0, "found": None,
    }  # fmt: skip
    assert figures["precisions"]["fp16"]["median_mm"] < figures["precisions"]["int8"]["median_mm"]


def test_the_gate_uses_labels_if_there_are_any(int8_path: Path, tmp_path: Path) -> None:
    write_disc(tmp_path / "plain", 7, 12)
    spread = np.linspace(-40, 40, 21)
    with RecordingWriter(tmp_path / "labeled", INTRINSICS, 1.0) as writer:
        for frame in open_recording(tmp_path / "plain"):
            z_mm = float(np.median(frame.depth[frame.depth > 0]))
            xyz_mm = np.stack([spread, -spread, np.full(21, z_mm)], axis=1).astype(np.float32)
            writer.write_labeled(LabeledFrame(frame, xyz_mm, np.ones(21, bool), Handedness.RIGHT))

    outcome = report_bundle(int8_path, str(tmp_path / "labeled"), 12, "right", tmp_path / "out")

    gate = palm_int8(tmp_path / "out").gate
    assert gate == outcome.palm_gate and gate is not None
    assert gate.passed and gate.kind == "labels" and gate.frames == 12 and gate.limits == {"found": 0.01}
    assert outcome.figures["palm"]["precisions"]["int8"]["found"] == 1.0


def test_a_graph_ruined_by_int8_fails_the_gate_and_is_not_opened(
    set_path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    palm = save_palm_program(tmp_path / "palm.pt2", spoil_int8(learn_discs()))
    program = save_residual_program(tmp_path / "residual.pt2")
    export_bundle(program, tmp_path / "both", write_disc(tmp_path / "samples", 9, 210), None, palm_checkpoint=palm)

    quantize_bundle(tmp_path / "both", set_path, ALL, None, tmp_path / "both")
    outcome = report_bundle(tmp_path / "both", str(set_path), 100, "right", tmp_path / "both")

    assert outcome.gate is not None and outcome.gate.passed  # the hand graph's own
    assert outcome.palm_gate is not None and not outcome.palm_gate.passed
    assert outcome.figures["palm"]["gates"]["fp16"]["passed"]
    with caplog.at_level(logging.WARNING, "handmap.engines"):
        assert opened_palm(tmp_path / "both", EngineConfig(precision="int8")) == "fp16"
    assert "reason='failed its gate'" in caplog.text


def test_detections_match_within_30_mm_laterally_and_8_percent_in_depth() -> None:
    here = places((0, 0, 500))

    assert match(places((29, 0, 500)), here) == match(places((0, 0, 539)), here) == [(0, 0)]
    assert match(places((22, 22, 500)), here) == match(places((0, 0, 541)), here) == match(places(), here) == []


def test_detections_match_one_to_one() -> None:
    ours = places((20, 0, 500), (5, 0, 500), (300, 0, 500))
    theirs = places((0, 0, 500), (25, 0, 500))

    assert sorted(match(ours, theirs)) == [(0, 1), (1, 0)]
    assert match(places((0, 0, 500), (2, 0, 500)), places((0, 0, 500))) == [(0, 0)]


def test_lost_and_extra_detections() -> None:
    fp32 = [places((0, 0, 500), (200, 0, 500)), places((0, 0, 400)), places()]
    int8 = [places((3, 4, 500)), places((0, 0, 400), (150, 0, 400)), places((0, 0, 300))]
    comparison = PalmComparison("d", {"fp32": fp32, "int8": int8}, np.full((3, 3), np.nan, np.float32), False)

    found = comparison.difference("int8")
    gate = judge_palms(comparison, "int8")

    assert (found.reports, found.lost, found.extra, found.away_mm.tolist()) == (4, 1, 2, [5.0, 0.0])
    assert gate is not None and gate.found_drop == pytest.approx(1 / 3) and gate.extra == pytest.approx(2 / 3)
    assert gate.mean_mm == pytest.approx((5 + 0 + LOST_MM) / 3)


def test_there_is_no_gate_if_fp32_detects_nothing() -> None:
    nothing = PalmComparison("d", {"fp32": [places()], "int8": [places((0, 0, 500))]}, places((0, 0, 500)), True)

    assert judge_palms(nothing, "int8") is None


def test_the_limits_with_labels() -> None:
    def judged(missed: int, fp32_found: int = 200) -> Gate:
        frames = np.arange(200)
        is_found = (frames < fp32_found - missed, frames < fp32_found)
        return judge_labeled_palms(np.zeros(200), is_found, 0.0, "d")

    assert judged(2).passed and judged(2).found_drop == pytest.approx(0.01)
    assert not judged(3).passed
    assert judged(-5, 100).passed  # INT8 finds more
    assert not judged(0, 0).passed  # on such data the graph proves nothing


def test_the_limits_without_labels() -> None:
    def passed(lost: float, extra: float) -> bool:
        return judge_unlabeled_palms(np.zeros(100), lost, extra, "d", 50).passed

    assert passed(0.03, 0.05)
    assert not passed(0.031, 0.0) and not passed(0.0, 0.051)
