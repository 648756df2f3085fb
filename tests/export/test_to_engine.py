"""From a bundle to an engine with NVIDIA's own parser and builder (TensorRT-RTX, which needs no GPU): built once,
stored complete or not at all."""

import hashlib
import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from export.engine_plan import Backend, GraphSource, build_plan
from export.engine_request import BuildRequest
from export.engine_store import locked, read_timing
from export.to_engine import build_engine, is_needed, open_backend
from handmap.bundle.golden import Golden, read_golden
from handmap.bundle.manifest import MANIFEST, Bundle, encode_manifest, read_bundle
from handmap.bundle.tensors import Tensor, Tensors, fix_batch
from handmap.bundle.writer import describe_file, with_precisions
from handmap.engines.cache import SIDECAR_FILE
from handmap.engines.engine_keys import BuilderOptions
from handmap.engines.factory import check_golden
from handmap.engines.onnx_engine import open_onnx_engine
from handmap.types.errors import BuildError, BundleError, ConfigError, DependencyError, ModelError
from tests.support.processes import COMMAND, ROOT, handmap
from tests.support.tiny_bundle import TINY, write_bundle

pytest.importorskip("tensorrt_rtx", reason="needs NVIDIA's tensorrt_rtx wheel, of the extra vendor on x86-64")

SHIPPED = ROOT / "models" / "handmap-hand21"


@pytest.fixture(scope="module")
def backend() -> Backend:
    return open_backend("rtx")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_bundle(tmp_path_factory.mktemp("bundle") / "bundle")


def request_of(bundle: Bundle, cache_dir: Path, precision: str = "fp32", batch: int = 1) -> BuildRequest:
    return BuildRequest(bundle.path, precision, batch, cache_dir)


def with_graph(folder: Path, content: bytes, precision: str = "fp32") -> Bundle:
    """A complete bundle with this content as its graph of one precision."""
    bundle = write_bundle(folder)
    name = f"hand.{precision}.onnx"
    (folder / name).write_bytes(content)
    manifest = with_precisions(bundle.manifest, {precision: describe_file(name, content)})
    (folder / MANIFEST).write_bytes(encode_manifest(manifest))
    return read_bundle(folder)


def engines_in(cache_dir: Path) -> list[Path]:
    return [path for path in cache_dir.iterdir() if path.is_dir()]


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_the_shipped_bundle_is_built_and_described(tmp_path: Path, backend: Backend, precision: str) -> None:
    shipped = read_bundle(SHIPPED)
    if precision not in shipped.hand.precisions:
        pytest.skip(f"needs {SHIPPED.relative_to(ROOT)} with an {precision} graph")

    result = build_engine(request_of(shipped, tmp_path, precision, 2), backend)

    sidecar = result.engine.sidecar
    content = result.engine.path.read_bytes()
    assert result.was_built and len(content) > 1_000_000
    assert (sidecar.engine_bytes, sidecar.engine_sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert sidecar.key.graph_sha256 == shipped.hand.precisions[precision].sha256
    assert sidecar.tensors == fix_batch(shipped.hand.tensors, 2)
    assert (sidecar.precision, sidecar.bundle_id) == (precision, shipped.id.hex())
    palm = result.palm
    assert palm is not None and palm.path.name == "palm.engine" and len(palm.path.read_bytes()) > 100_000
    assert (palm.sidecar.graph, palm.sidecar.precision, palm.sidecar.key.batch) == ("palm", precision, 1)
    assert not is_needed(request_of(shipped, tmp_path, precision, 2), backend)[0]
    palm.path.unlink()
    assert is_needed(request_of(shipped, tmp_path, precision, 2), backend)[0]  # one set: half of it is none
    if backend.device is None:
        assert sidecar.golden_mm is None and "without a device" in sidecar.golden_note
        assert "without a device" in sidecar.layers_note


def test_a_cached_engine_is_not_rebuilt(tmp_path: Path, backend: Backend, bundle: Bundle) -> None:
    first = build_engine(request_of(bundle, tmp_path), backend)

    second = build_engine(request_of(bundle, tmp_path), backend)

    assert (first.was_built, second.was_built) == (True, False)
    assert first.engine == second.engine


def test_each_batch_size_has_its_own_engine(tmp_path: Path, backend: Backend, bundle: Bundle) -> None:
    built = [build_engine(request_of(bundle, tmp_path, batch=batch), backend).engine for batch in (1, 2)]

    assert [engine.sidecar.tensors.inputs[0].shape for engine in built] == [(1, 1, 128, 128), (2, 1, 128, 128)]
    assert len(engines_in(tmp_path)) == 2


def state_other_platform(sidecar: Path, **changes: object) -> None:
    described = json.loads(sidecar.read_text())
    described["key"]["platform"] |= changes
    sidecar.write_text(json.dumps(described))


SPOILED: dict[str, Callable[[Path], object]] = {
    "empty": lambda folder: (folder / "hand.engine").write_bytes(b""),
    "is truncated": lambda folder: (folder / "hand.engine").write_bytes((folder / "hand.engine").read_bytes()[:-1]),
    "was changed": lambda folder: (folder / "hand.engine").write_bytes(
        (folder / "hand.engine").read_bytes()[:-1] + b"?"
    ),
    "its build did not finish": lambda folder: (folder / SIDECAR_FILE).unlink(),
    "is not a sidecar": lambda folder: (folder / SIDECAR_FILE).write_text("{"),
    "built for TensorRT": lambda folder: state_other_platform(folder / SIDECAR_FILE, tensorrt="tensorrt 10.3.0"),
    "built for the GPU": lambda folder: state_other_platform(folder / SIDECAR_FILE, gpu="Orin"),
}


@pytest.mark.parametrize("how", SPOILED)
def test_a_damaged_or_foreign_engine_is_rebuilt(tmp_path: Path, backend: Backend, bundle: Bundle, how: str) -> None:
    SPOILED[how](build_engine(request_of(bundle, tmp_path), backend).engine.path.parent)
    needed, why = is_needed(request_of(bundle, tmp_path), backend)

    again = build_engine(request_of(bundle, tmp_path), backend)

    assert needed and how in why
    assert again.was_built
    assert again.engine.path.stat().st_size == again.engine.sidecar.engine_bytes
    assert not is_needed(request_of(bundle, tmp_path), backend)[0]
    assert len(engines_in(tmp_path)) == 1


def test_an_engine_that_misses_the_golden_samples_is_not_stored(
    tmp_path: Path, backend: Backend, bundle: Bundle
) -> None:
    def replay(request: BuildRequest, found: Bundle, library: Backend, engine_file: Path) -> tuple[float, str]:
        assert engine_file.stat().st_size > 0
        golden = read_golden(found)
        shifted = Golden(golden.depth, golden.joints + np.float32(0.001))
        return check_golden(open_onnx_engine(TINY, 1, 1), shifted, found), "4 samples"

    with pytest.raises(BundleError, match="from the golden samples"):
        build_engine(request_of(bundle, tmp_path), backend, replay=replay)

    assert engines_in(tmp_path) == []


def test_the_sidecar_records_the_golden_error(tmp_path: Path, backend: Backend, bundle: Bundle) -> None:
    def replay(request: BuildRequest, found: Bundle, library: Backend, engine_file: Path) -> tuple[float, str]:
        return check_golden(open_onnx_engine(TINY, 1, 1), read_golden(found), found), "4 samples"

    sidecar = build_engine(request_of(bundle, tmp_path), backend, replay=replay).engine.sidecar

    assert sidecar.golden_mm is not None and sidecar.golden_mm < 0.05
    assert sidecar.golden_note == "4 samples"


def test_an_ungated_int8_graph_is_rejected_unless_allowed(tmp_path: Path, backend: Backend) -> None:
    ungated = with_graph(tmp_path / "bundle", TINY.read_bytes(), "int8")
    request = request_of(ungated, tmp_path / "cache", "int8")

    with pytest.raises(ConfigError, match="has not been through the accuracy gate"):
        build_engine(request, backend)
    accepted = build_engine(BuildRequest(request.bundle, "int8", 1, request.cache_dir, use_ungated_int8=True), backend)

    assert accepted.was_built


def test_a_truncated_graph_is_rejected_with_the_parser_log(tmp_path: Path, backend: Backend) -> None:
    cut = with_graph(tmp_path / "bundle", TINY.read_bytes()[:-100])

    with pytest.raises(ModelError, match=r"hand\.fp32\.onnx': TensorRT's parser rejected it: .*[Ff]ailed to parse"):
        build_engine(request_of(cut, tmp_path / "cache"), backend)

    assert engines_in(tmp_path / "cache") == []


@pytest.mark.parametrize("content", [b"", b"hello"])
def test_bytes_that_parse_as_an_empty_network_are_rejected(tmp_path: Path, backend: Backend, content: bytes) -> None:
    empty = with_graph(tmp_path / "bundle", content)

    with pytest.raises(ModelError, match=r"found inputs \[\] and outputs \[\], wanted \['depth'\]"):
        build_engine(request_of(empty, tmp_path / "cache"), backend)


def test_an_unsupported_node_is_named(tmp_path: Path, backend: Backend) -> None:
    unknown = with_graph(tmp_path / "bundle", TINY.read_bytes().replace(b"ReduceSum", b"ReduceSun"))

    with pytest.raises(ModelError, match=r"\(node \d+ .*, ReduceSun\)"):
        build_engine(request_of(unknown, tmp_path / "cache"), backend)


def test_too_small_a_workspace_is_reported_with_the_builder_log(tmp_path: Path, backend: Backend) -> None:
    request = BuildRequest(SHIPPED, "fp32", 1, tmp_path, BuilderOptions(workspace_mb=1))

    with pytest.raises(BuildError, match="no tactics to implement the operation within workspace limit"):
        build_engine(request, backend)

    assert engines_in(tmp_path) == []


def test_wrong_shapes_are_reported_with_the_builder_log(backend: Backend, bundle: Bundle) -> None:
    tensors = fix_batch(bundle.hand.tensors, 1)
    (depth,) = tensors.inputs
    wrong = Tensors((Tensor(depth.name, depth.dtype, (1, 1, 64, 64)),), tensors.outputs)

    with pytest.raises(BuildError, match=r"could not build an engine: ERROR: .*depth"):
        build_plan(backend, GraphSource("graph", TINY.read_bytes(), wrong), BuilderOptions(), b"", None)


def test_tensors_must_match_the_manifest(backend: Backend, bundle: Bundle) -> None:
    tensors = fix_batch(bundle.hand.tensors, 1)
    swapped = Tensors(tensors.inputs, (*tensors.outputs, *tensors.outputs))

    with pytest.raises(ModelError, match=r"outputs \['joints'\], wanted .* \['joints', 'joints'\]"):
        build_plan(backend, GraphSource("graph", TINY.read_bytes(), swapped), BuilderOptions(), b"", None)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, bundle: Bundle) -> tuple[Path, int]:
    """Caches in which builds were killed, each at a different moment, numbered from 1; and their number."""
    folder = tmp_path_factory.mktemp("killed")
    command = [sys.executable, "-m", "tests.support.killed_builds", str(bundle.path), str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return folder, int(done.stdout)


def test_a_build_killed_at_any_moment_leaves_a_complete_engine_or_none(
    killed: tuple[Path, int], backend: Backend, bundle: Bundle
) -> None:
    folder, moments = killed
    states = set()

    for number in range(1, moments + 1):
        cache_dir = folder / str(number)
        needed, why = is_needed(request_of(bundle, cache_dir), backend)
        assert not needed or "there is none for this graph" in why, f"moment {number}: {why}"
        left = list(cache_dir.glob(".*.tmp")) if cache_dir.exists() else []
        states.add("whole" if not needed else "half" if left else "nothing")
        result = build_engine(request_of(bundle, cache_dir), backend)
        assert result.was_built == needed
        assert not list(cache_dir.glob(".*.tmp")) or not needed

    assert states == {"nothing", "half", "whole"}  # otherwise the kills did not cover the intended moments
    assert moments > 15


def test_two_concurrent_builders_make_one_engine(tmp_path: Path, bundle: Bundle) -> None:
    arguments = ["build-engine", "--bundle", str(bundle.path), "--precision", "fp32", "--backend", "rtx", "--json"]
    command = [*COMMAND, *arguments, "--cache-dir", str(tmp_path)]
    with locked(tmp_path, lambda: None):
        builders = [
            subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        for builder in builders:  # both wait before either can begin
            assert builder.stderr is not None
            assert "waiting for it" in builder.stderr.readline()
    results = [json.loads(builder.communicate(timeout=60)[0]) for builder in builders]

    assert sorted(result["was_built"] for result in results) == [False, True]
    assert results[0]["engine"] == results[1]["engine"]
    assert len(engines_in(tmp_path)) == 1


def test_the_exit_code_tells_systemd_whether_a_build_is_needed(tmp_path: Path, bundle: Bundle) -> None:
    verb: list[str | Path] = [
        "build-engine",
        "--bundle",
        bundle.path,
        "--precision",
        "fp32",
        "--backend",
        "rtx",
        "--cache-dir",
        tmp_path,
    ]

    before = handmap(*verb, "--is-needed")
    built = handmap(*verb)
    after = handmap(*verb, "--is-needed", "--json")

    assert (before.returncode, built.returncode, after.returncode) == (0, 0, 1)
    assert "there is none for this graph" in before.stdout
    assert "built in" in built.stdout
    assert json.loads(after.stdout)["needed"] is False


def test_without_tensorrt_the_error_says_how_to_install_it(tmp_path: Path, bundle: Bundle) -> None:
    try:
        open_backend("tensorrt")
    except DependencyError as error:
        assert "python3-libnvinfer" in str(error) or "GPU" in str(error)
    else:
        pytest.skip("TensorRT and a device are available")
    done = handmap("build-engine", "--bundle", bundle.path, "--precision", "fp32", "--cache-dir", tmp_path)

    assert done.returncode == 78
    assert done.stderr.count("\n") == 1


def test_a_precision_missing_from_the_bundle_is_rejected(tmp_path: Path, backend: Backend, bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="no fp16 file"):
        build_engine(request_of(bundle, tmp_path, "fp16"), backend)


def test_the_bundle_is_not_modified(tmp_path: Path, backend: Backend, bundle: Bundle) -> None:
    before = sorted(path.name for path in bundle.path.iterdir())

    build_engine(request_of(bundle, tmp_path), backend)

    assert sorted(path.name for path in bundle.path.iterdir()) == before


def test_an_engine_of_another_platform_is_given_as_the_reason_to_build(
    tmp_path: Path, backend: Backend, bundle: Bundle
) -> None:
    build_engine(request_of(bundle, tmp_path), backend)
    newer = Backend(backend.trt, "tensorrt_rtx 9.9.9", backend.device, has_timing_cache=False)

    needed, why = is_needed(request_of(bundle, tmp_path), newer)

    assert needed
    assert f"was built for TensorRT {backend.build}, wanted TensorRT tensorrt_rtx 9.9.9" in why


def test_a_full_disk_is_reported_and_leaves_nothing(tmp_path: Path, bundle: Bundle) -> None:
    arguments = ["build-engine", "--bundle", str(bundle.path), "--precision", "fp32", "--backend", "rtx"]
    # With a file size limit of one block the kernel rejects the write, as on a full disk.
    command = ["sh", "-c", 'ulimit -f 1 && exec "$@"', "sh", *COMMAND, *arguments, "--cache-dir", str(tmp_path)]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 78
    assert "cannot be stored (File too large); free some space" in done.stderr
    assert engines_in(tmp_path) == []


def test_the_timing_cache_is_kept_and_a_corrupt_one_is_replaced(
    tmp_path: Path, backend: Backend, bundle: Bundle
) -> None:
    with_timing = Backend(backend.trt, backend.build, backend.device, has_timing_cache=True)

    with warnings.catch_warnings(action="ignore"):  # TensorRT-RTX has the calls, but warns that nothing is timed
        build_engine(request_of(bundle, tmp_path), with_timing)
        (path,) = tmp_path.glob("timing-*.cache")
        first = read_timing(path)
        path.write_bytes(b"spoiled")
        build_engine(request_of(bundle, tmp_path, batch=2), with_timing)

    assert first
    assert read_timing(path) == first
