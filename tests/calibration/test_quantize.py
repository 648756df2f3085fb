"""Bundles with an INT8 graph: what is written, what the gate decides, and when the engine opens."""

import hashlib
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from calibration.calibration_set import SetManifest, read_set
from calibration.commands import calibrate
from calibration.gate import judge_labeled, judge_unlabeled
from calibration.quantize import Recipe, quantize_bundle
from calibration.record import RECORD, Distance, Sensitivity, read_record, work_key
from calibration.report import report_bundle
from handmap.bundle.gate import Gate
from handmap.bundle.golden import read_golden
from handmap.bundle.manifest import read_bundle
from handmap.engines.factory import EngineConfig, check_golden, open_engines
from handmap.types.arrays import Float64
from handmap.types.errors import BundleError, ConfigError, DatasetError
from tests.calibration.conftest import write_disc
from tests.support.restated import restate

MIXED = Recipe("mse", "fp16", frozenset({"pose.2"}))
PLAIN = Recipe("mse", "fp32", frozenset())


@pytest.fixture(scope="module")
def int8_path(bundle_path: Path, set_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("int8") / "bundle"
    quantize_bundle(bundle_path, set_path, MIXED, None, path)
    return path


def test_the_new_bundle_adds_an_int8_graph_and_its_record(bundle_path: Path, int8_path: Path) -> None:
    before, after = read_bundle(bundle_path), read_bundle(int8_path)

    record = read_record(after)
    assert set(after.hand.precisions) == {"fp32", "fp16", "int8"}
    assert after.hand.precisions["fp32"] == before.hand.precisions["fp32"]
    assert (record.method, record.body, record.float_layers) == ("mse", "fp16", ("pose.2",))
    assert record.forced == ("64 useful frames, wanted at least 500",)
    assert len(record.frame_sha256) == record.frames == 64
    assert RECORD not in read_bundle(bundle_path).manifest.records


def test_the_contract_fixes_the_input_range(int8_path: Path) -> None:
    thresholds = read_record(read_bundle(int8_path)).thresholds

    assert thresholds["_to_copy"] == pytest.approx(1.0, abs=1e-3)


def test_quantization_is_deterministic(bundle_path: Path, set_path: Path, int8_path: Path, tmp_path: Path) -> None:
    quantize_bundle(bundle_path, set_path, MIXED, None, tmp_path / "again")

    for file in int8_path.iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes(), file.name


def test_a_bundle_can_be_replaced_in_place(bundle_path: Path, set_path: Path, tmp_path: Path) -> None:
    quantize_bundle(bundle_path, set_path, PLAIN, None, tmp_path / "bundle")

    quantize_bundle(tmp_path / "bundle", set_path, MIXED, None, tmp_path / "bundle")

    assert read_record(read_bundle(tmp_path / "bundle")).body == "fp16"
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_an_ungated_int8_graph_is_rejected_with_a_fix(int8_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has not been through.*calibrate report.*use_ungated_int8: true"):
        open_engines(read_bundle(int8_path), EngineConfig(precision="int8"), batch=1)


def test_an_ungated_graph_opens_if_configured_and_matches_the_golden_samples(int8_path: Path) -> None:
    bundle = read_bundle(int8_path)

    engines = open_engines(bundle, EngineConfig(precision="int8", use_ungated_int8=True), batch=2)

    assert 0.001 < check_golden(engines.hand, read_golden(bundle), bundle) < 12
    assert engines.hand.precision == "int8"


def test_a_failed_gate_is_rejected_with_its_numbers(reported_path: Path, tmp_path: Path) -> None:
    bundle = read_bundle(reported_path)
    int8 = bundle.hand.precisions["int8"]
    assert int8.gate is not None
    failed = msgspec.structs.replace(int8, gate=msgspec.structs.replace(int8.gate, passed=False, mean_mm=3.21))
    hand = msgspec.structs.replace(bundle.hand, precisions={**bundle.hand.precisions, "int8": failed})
    for file in reported_path.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    restate(tmp_path, msgspec.structs.replace(bundle.manifest, graphs={"hand": hand}))

    with pytest.raises(ConfigError, match=r"failed the accuracy gate \(mean \+3\.21 mm"):
        open_engines(read_bundle(tmp_path), EngineConfig(precision="int8"), batch=1)


def test_a_passed_gate_opens_the_engine(reported_path: Path) -> None:
    bundle = read_bundle(reported_path)

    open_engines(bundle, EngineConfig(precision="int8"), batch=1).close()

    gate = bundle.hand.precisions["int8"].gate
    assert gate is not None and gate.passed and gate.kind == "distance to FP32" and gate.frames == 16
    assert 0 < gate.mean_mm <= gate.p95_mm < 4


def test_the_report_is_one_self_contained_page(reported_path: Path) -> None:
    text = (reported_path / "report.html").read_text()

    assert "int8: gate passed by distance to FP32" in text
    assert "int8, all layers, rounded: gate" in text  # the plain result beside the mixed one
    assert "The calibration set was accepted only with --force: 64 useful frames" in text
    assert text.count("data:image/png;base64,") >= 4
    assert "http" not in text.replace("http-equiv", "")


def test_the_report_metrics(reported_path: Path) -> None:
    figures = msgspec.json.decode((reported_path / "report.json").read_bytes())

    int8, fp16 = (figures["precisions"][name]["away_from_fp32_mm"] for name in ("int8", "fp16"))
    assert fp16["mean"] < int8["mean"] < 4
    assert set(figures["precisions"]["int8"]["away_by_joint_mm"]) == set(read_bundle(reported_path).hand.joint_names)
    assert {"mean", "mean_signed", "p95"} == set(figures["precisions"]["int8"]["bone_drift_mm"])
    assert len(figures["steps"]["activations"]) == 5 and len(figures["worst_frames"]) == 16
    assert figures["oracle"]["is"].startswith("the graph as written")
    assert figures["provenance"]["calibration set sha256"] == read_record(read_bundle(reported_path)).set_sha256


def test_calibration_frames_are_rejected_for_the_report(
    int8_path: Path, recordings: list[Path], tmp_path: Path
) -> None:
    record = read_record(read_bundle(int8_path))
    used = next(source.name for source in record.sources if not source.is_held_out)

    with pytest.raises(DatasetError, match="is in the calibration set"):
        report_bundle(int8_path, used, 100, "right", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_fresh_recording_is_judged_without_labels(int8_path: Path, tmp_path: Path) -> None:
    write_disc(tmp_path / "fresh", 7, 12)

    outcome = report_bundle(int8_path, str(tmp_path / "fresh"), 10, "right", tmp_path / "out")

    assert outcome.gate is not None and outcome.gate.kind == "distance to FP32" and outcome.gate.frames == 10
    assert set(outcome.figures["precisions"]) == {"fp32", "fp16", "int8", "int8, all layers, rounded"}
    assert all(one["rest_jitter_mm"] > 0 for one in outcome.figures["precisions"].values())
    assert outcome.figures["precisions"]["int8"]["away_by_distance_mm"]


def test_a_graph_that_misses_the_golden_samples_gets_no_report(int8_path: Path, set_path: Path, tmp_path: Path) -> None:
    bundle = read_bundle(int8_path)
    golden = read_golden(bundle)
    for file in int8_path.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    np.savez(tmp_path / "golden.npz", depth=golden.depth, joints=golden.joints + 1)
    digest = hashlib.sha256((tmp_path / "golden.npz").read_bytes()).hexdigest()
    restate(tmp_path, msgspec.structs.replace(bundle.manifest, golden_sha256=digest))

    with pytest.raises(BundleError, match="mm from the golden samples"):
        report_bundle(tmp_path, str(set_path), 10, "right", tmp_path / "out")


def test_an_unfinished_sensitivity_file_is_rejected(bundle_path: Path, set_path: Path, tmp_path: Path) -> None:
    key = work_key(read_bundle(bundle_path), read_set(set_path), PLAIN.method, PLAIN.body)
    (tmp_path / "s.json").write_bytes(msgspec.json.encode(Sensitivity(key, 8, 1.0, Distance(0.0, 0.0))))

    with pytest.raises(ConfigError, match="it is unfinished; run the same"):
        quantize_bundle(bundle_path, set_path, PLAIN, tmp_path / "s.json", tmp_path / "out")


def test_a_set_with_another_cube_size_is_rejected(bundle_path: Path, set_path: Path, tmp_path: Path) -> None:
    shutil.copytree(set_path, tmp_path / "set")
    manifest = msgspec.json.decode((set_path / "set.json").read_bytes(), type=SetManifest)
    other = msgspec.json.encode(msgspec.structs.replace(manifest, cube_mm=manifest.cube_mm + 10))
    (tmp_path / "set" / "set.json").write_bytes(other)

    with pytest.raises(ConfigError, match=r"its cube is 260\.0 mm, the bundle's 250\.0 mm"):
        quantize_bundle(bundle_path, tmp_path / "set", PLAIN, None, tmp_path / "out")


def test_an_unrelated_sensitivity_file_is_rejected(bundle_path: Path, set_path: Path, tmp_path: Path) -> None:
    (tmp_path / "s.json").write_bytes(msgspec.json.encode(Sensitivity("other", 8, 1.0, Distance(0.0, 0.0))))

    with pytest.raises(ConfigError, match="another bundle, set, method or body"):
        quantize_bundle(bundle_path, set_path, PLAIN, tmp_path / "s.json", tmp_path / "out")


def judged(int8_mm: Float64, fp32_mm: Float64, missed: int = 0) -> Gate:
    found = np.ones(len(fp32_mm), bool)
    int8_found = np.arange(len(fp32_mm)) >= missed
    return judge_labeled((int8_mm, fp32_mm), (int8_found, found), "d")


def test_gate_limits_with_labels() -> None:
    fp32_mm = np.full((200, 21), 10.0)
    tail_mm = fp32_mm.copy()
    tail_mm[:16] += 1.6  # 8 % of the joints; 0.13 mm in the mean

    assert judged(fp32_mm + 0.5, fp32_mm).passed
    assert not judged(fp32_mm + 0.51, fp32_mm).passed
    assert not judged(tail_mm, fp32_mm).passed
    assert not judged(fp32_mm * np.nan, fp32_mm).passed


def test_missed_hands_fail_the_gate() -> None:
    fp32_mm = np.full((200, 21), 10.0)
    int8_mm = fp32_mm.copy()
    int8_mm[:1] = 125.0

    two, three = (judged(fp32_mm, fp32_mm, missed) for missed in (2, 3))

    assert two.passed and two.found_drop == pytest.approx(0.01)
    assert not three.passed and three.found_drop == pytest.approx(0.015)
    assert judged(int8_mm, fp32_mm, 1).mean_mm == pytest.approx(115 / 200)
    assert not judged(int8_mm, fp32_mm, 1).passed


def test_gate_limits_without_labels() -> None:
    assert judge_unlabeled(np.full((50, 21), 2.0), "d").passed
    assert not judge_unlabeled(np.full((50, 21), 2.01), "d").passed
    assert not judge_unlabeled(np.full((50, 21), np.nan), "d").passed


def test_the_commands_work_from_the_command_line(bundle_path: Path, recordings: list[Path], tmp_path: Path) -> None:
    names = [part for path in recordings[:3] for part in ("--recording", str(path))]
    base = ["--bundle", str(bundle_path)]
    runs = [
        ["select", *base, *names, "--out", f"{tmp_path}/set", "--frames", "64", "--force"],
        [
            "sensitivity",
            *base,
            "--set",
            f"{tmp_path}/set",
            "--crops",
            "8",
            "--body",
            "fp32",
            "--out",
            f"{tmp_path}/s.json",
        ],
        [
            "quantize",
            *base,
            "--set",
            f"{tmp_path}/set",
            "--body",
            "fp32",
            "--mixed",
            f"{tmp_path}/s.json",
            "--out",
            f"{tmp_path}/b",
        ],
        ["report", "--bundle", f"{tmp_path}/b", "--data", f"{tmp_path}/set", "--out", f"{tmp_path}/b"],
    ]

    done = [CliRunner().invoke(calibrate, arguments, catch_exceptions=False) for arguments in runs]

    assert [one.exit_code for one in done] == [0, 0, 0, 0]
    assert "forced: " in done[0].output
    assert "% of the multiply-adds in INT8" in done[1].output and "hand graph: INT8 of" in done[2].output
    assert "gate passed by distance to FP32 on set, held out" in done[3].output
