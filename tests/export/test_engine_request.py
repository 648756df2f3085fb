"""`build-engine --config`: it builds the engine that the daemon opens with this file, or reports that there is none."""

from pathlib import Path

import pytest

from export.engine_request import configured_request
from handmap.types.errors import ConfigError
from tests.support.processes import handmap


def write(folder: Path, engine: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(
        f"bundle: model\ncamera: {{kind: of another release}}\ntracking: {{max_hands: 2}}\nengine: {{{engine}}}\n"
    )
    return path


def test_the_request_matches_the_engine_that_the_daemon_opens(tmp_path: Path) -> None:
    request = configured_request(
        write(tmp_path, "backend: tensorrt, precision: int8, cache_dir: engines, workspace_mb: 700")
    )

    assert request is not None
    assert (request.bundle, request.cache_dir) == (tmp_path / "model", tmp_path / "engines")
    assert (request.precision, request.batch, request.use_ungated_int8) == ("int8", 2, False)
    assert request.options.workspace_mb == 700


def test_drop_ins_decide_as_they_do_for_the_daemon(tmp_path: Path) -> None:
    config = write(tmp_path, "backend: onnx")
    (tmp_path / "config.d").mkdir()
    (tmp_path / "config.d/50.yaml").write_text(
        "engine: {backend: tensorrt, cache_dir: engines}\ntracking: {max_hands: 1}\n"
    )

    request = configured_request(config)

    assert request is not None
    assert (request.batch, request.cache_dir) == (1, tmp_path / "engines")


def test_no_engine_is_needed_or_built_without_tensorrt(tmp_path: Path) -> None:
    config = write(tmp_path, "backend: onnx")

    asked = handmap("build-engine", "--config", config, "--is-needed")
    built = handmap("build-engine", "--config", config)

    assert configured_request(config) is None
    assert (asked.returncode, "names no TensorRT engine" in asked.stdout) == (1, True)
    assert (built.returncode, "set engine.backend to tensorrt" in built.stderr) == (78, True)


def test_an_invalid_engine_section_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="precison"):
        configured_request(write(tmp_path, "backend: tensorrt, precison: fp16"))


@pytest.mark.parametrize(
    "arguments", [(), ("--config", "c.yaml", "--precision", "fp16"), ("--config", "c.yaml", "--bundle", "b")]
)
def test_config_excludes_the_other_options(arguments: tuple[str, ...]) -> None:
    done = handmap("build-engine", *arguments)

    assert done.returncode == 78
    assert "--config" in done.stderr
