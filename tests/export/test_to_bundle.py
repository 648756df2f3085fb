"""Exporting a program to a bundle: what is verified, what is rejected, and that nothing half-written remains."""

import dataclasses
import os
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
import torch
import yaml
from torch import Tensor, nn

from export.to_bundle import export_bundle
from handmap.bundle.golden import read_golden
from handmap.bundle.manifest import Graphs, read_bundle
from handmap.engines.factory import EngineConfig, golden_distance_mm, open_engines
from handmap.engines.onnx_engine import open_onnx_engine
from handmap.types.errors import BundleError, ModelError, RecordingError
from tests.export.programs import FACTS, SmallNetwork, save_program


@pytest.fixture(scope="session")
def bundle_path(tmp_path_factory: pytest.TempPathFactory, program: Path, recording: Path) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "small"
    export_bundle(program, path, recording, None)
    return path


def test_the_graph_follows_the_contract(bundle_path: Path) -> None:
    model = onnx.load(bundle_path / "hand.fp32.onnx")
    shapes = {
        value.name: [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }

    assert shapes == {
        "depth": ["batch", 1, 128, 128],
        "joints": ["batch", 21, 3],
        "guidance": ["batch", 21, 32, 32],
    }
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]


def test_batch_norms_are_folded(bundle_path: Path) -> None:
    model = onnx.load(bundle_path / "hand.fp32.onnx")

    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}


def test_any_batch_size_matches_torch(bundle_path: Path, program: Path) -> None:
    network = torch.export.load(program).module()
    rng = np.random.default_rng(0)
    for batch in (1, 2, 5):
        depth = rng.uniform(-1, 1, (batch, 1, 128, 128)).astype(np.float32)
        engine = open_onnx_engine(bundle_path / "hand.fp32.onnx", batch, threads=1)

        found = engine.infer(depth)

        wanted = network(torch.from_numpy(depth))
        np.testing.assert_allclose(found.joints, wanted["joints"].detach(), atol=1e-5)
        assert found.guidance is not None
        np.testing.assert_allclose(found.guidance, wanted["guidance"].detach(), atol=1e-5)


def test_golden_samples_match_the_engine_and_are_not_empty(bundle_path: Path) -> None:
    bundle = read_bundle(bundle_path)
    golden = read_golden(bundle)
    engine = open_onnx_engine(bundle.graph_path("hand", "fp32"), 1, threads=1)

    assert golden_distance_mm(engine, golden, 250.0) < 0.01
    assert (golden.depth.min(axis=(1, 2, 3)) < 1).all()


def test_export_is_deterministic(bundle_path: Path, program: Path, recording: Path, tmp_path: Path) -> None:
    export_bundle(program, tmp_path / "again", recording, None)

    for name in os.listdir(bundle_path):
        assert (tmp_path / "again" / name).read_bytes() == (bundle_path / name).read_bytes(), name


def test_a_program_without_guidance_is_exported(recording: Path, tmp_path: Path) -> None:
    path = save_program(tmp_path / "plain.pt2", SmallNetwork(has_guidance=False))

    export_bundle(path, tmp_path / "bundle", recording, None)

    assert [tensor.name for tensor in read_bundle(tmp_path / "bundle").hand.tensors.outputs] == ["joints"]


class TupleNetwork(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = SmallNetwork()

    def forward(self, depth: Tensor) -> tuple[Tensor, Tensor]:
        outputs = self.inner(depth)
        return outputs["guidance"], outputs["joints"]


def test_unnamed_outputs_are_identified_by_shape(recording: Path, tmp_path: Path) -> None:
    path = save_program(tmp_path / "tuple.pt2", TupleNetwork())

    export_bundle(path, tmp_path / "bundle", recording, None)

    assert {tensor.name for tensor in read_bundle(tmp_path / "bundle").hand.tensors.outputs} == {"joints", "guidance"}


def test_wrong_tensors_are_rejected_with_found_and_wanted_shapes(recording: Path, tmp_path: Path) -> None:
    path = save_program(tmp_path / "wrong.pt2", SmallNetwork(joints=14))

    with pytest.raises(ModelError, match=r"\(2, 14, 3\).*wanted float32 joints \(2, 21, 3\)"):
        export_bundle(path, tmp_path / "bundle", recording, None)
    assert os.listdir(tmp_path) == ["wrong.pt2"]


def test_a_fixed_batch_size_is_rejected(recording: Path, tmp_path: Path) -> None:
    path = save_program(tmp_path / "fixed.pt2", SmallNetwork(), dynamic=False)

    with pytest.raises(ModelError, match=r"batch size of 'depth' is fixed at 2"):
        export_bundle(path, tmp_path / "bundle", recording, None)


def test_a_program_without_metadata_is_rejected(recording: Path, tmp_path: Path) -> None:
    path = save_program(tmp_path / "silent.pt2", SmallNetwork(), facts=None)

    with pytest.raises(ModelError, match="with --model-facts"):
        export_bundle(path, tmp_path / "bundle", recording, None)


def test_metadata_can_come_from_yaml(recording: Path, tmp_path: Path) -> None:
    path = save_program(tmp_path / "silent.pt2", SmallNetwork(), facts=None)
    facts = tmp_path / "facts.yaml"
    facts.write_text(
        yaml.safe_dump(
            {
                "joint_names": list(FACTS.joint_names),
                "cube_mm": 240.0,
                "cube_mm_range": [220.0, 260.0],
                "normalisation": {"near": -1.0, "far": 1.0, "background": 1.0},
                "confidence": {"guidance": [0.0], "expected_error_mm": [12.0]},
            }
        )
    )

    export_bundle(path, tmp_path / "bundle", recording, facts)

    assert read_bundle(tmp_path / "bundle").hand.cube_mm == 240.0


def test_random_bytes_are_rejected_as_a_program(recording: Path, tmp_path: Path) -> None:
    (tmp_path / "noise.pt2").write_bytes(b"noise" * 100)

    with pytest.raises(ModelError, match=r"not a torch\.export program"):
        export_bundle(tmp_path / "noise.pt2", tmp_path / "bundle", recording, None)


def test_samples_must_be_a_recording(program: Path, tmp_path: Path) -> None:
    with pytest.raises(RecordingError):
        export_bundle(program, tmp_path / "bundle", tmp_path / "absent", None)


@pytest.mark.parametrize("name", ["manifest.json", "golden.npz", "hand.fp32.onnx"])
@pytest.mark.parametrize("how", ["absent", "cut", "changed"])
def test_a_damaged_bundle_is_rejected_naming_the_file(bundle_path: Path, tmp_path: Path, name: str, how: str) -> None:
    for file in bundle_path.iterdir():
        content = file.read_bytes()
        if file.name == name:
            if how == "absent":
                continue
            content = content[: len(content) // 2] if how == "cut" else bytes([content[0] ^ 1]) + content[1:]
        (tmp_path / file.name).write_bytes(content)

    with pytest.raises(BundleError) as caught:
        read_bundle(tmp_path)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_bundle_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"manifest\.json cannot be read"):
        read_bundle(tmp_path / "absent")


def test_an_engine_must_match_the_tensors_in_its_manifest(bundle_path: Path, tmp_path: Path) -> None:
    bundle = read_bundle(bundle_path)
    stated = msgspec.structs.replace(bundle.hand.tensors, outputs=bundle.hand.tensors.outputs[:1])
    hand = msgspec.structs.replace(bundle.hand, tensors=stated)
    changed = dataclasses.replace(bundle, manifest=msgspec.structs.replace(bundle.manifest, graphs=Graphs(hand)))

    with pytest.raises(BundleError, match=r"its manifest states depth float32 \(1, 1, 128, 128\), joints"):
        open_engines(changed, EngineConfig(), batch=1)


@pytest.mark.parametrize("content", [b"hello", b"PK\x03\x04 cut short"])
def test_a_file_that_is_not_a_program_is_rejected_without_a_torch_traceback(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "x.pt2").write_bytes(content)

    with pytest.raises(ModelError, match=r"not a torch\.export program"):
        export_bundle(tmp_path / "x.pt2", tmp_path / "b", tmp_path / "r", None)

    assert not caplog.records
    assert not (tmp_path / "b").exists()


def write_facts(path: Path) -> Path:
    path.write_text(yaml.safe_dump(msgspec.to_builtins(FACTS)))
    return path


def test_an_onnx_graph_gives_the_same_bundle(bundle_path: Path, recording: Path, tmp_path: Path) -> None:
    given = bundle_path / "hand.fp32.onnx"

    report = export_bundle(given, tmp_path / "bundle", recording, write_facts(tmp_path / "facts.yaml"))

    found, wanted = read_bundle(tmp_path / "bundle"), read_bundle(bundle_path)
    assert report.half is not None and report.half.route == "converted graph"
    assert found.hand.tensors == wanted.hand.tensors and set(found.hand.precisions) == {"fp32", "fp16"}
    np.testing.assert_allclose(read_golden(found).joints, read_golden(wanted).joints, atol=1e-5)


def test_a_graph_without_metadata_or_with_other_tensors_is_rejected(
    bundle_path: Path, recording: Path, tmp_path: Path
) -> None:
    facts = write_facts(tmp_path / "facts.yaml")
    model = onnx.load(bundle_path / "hand.fp32.onnx")
    model.graph.input[0].name = "image"
    for node in model.graph.node:
        node.input[:] = ["image" if name == "depth" else name for name in node.input]
    onnx.save(model, tmp_path / "image.onnx")
    (tmp_path / "noise.onnx").write_bytes(b"noise" * 9)

    with pytest.raises(ModelError, match="with --model-facts"):
        export_bundle(bundle_path / "hand.fp32.onnx", tmp_path / "bundle", recording, None)
    with pytest.raises(ModelError, match=r"inputs are \['image'\].*wanted depth"):
        export_bundle(tmp_path / "image.onnx", tmp_path / "bundle", recording, facts)
    with pytest.raises(ModelError, match=r"noise\.onnx' cannot be read as ONNX"):
        export_bundle(tmp_path / "noise.onnx", tmp_path / "bundle", recording, facts)
