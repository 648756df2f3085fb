"""`build-engine --config`: the engine that the daemon with this file opens, or a plain no."""

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


def test_the_request_is_what_the_daemon_opens(tmp_path: Path) -> None:
    request = configured_request(
        write(tmp_path, "backend: tensorrt, precision: int8, cache_dir: engines, workspace_mb: 700")
    )

    assert request is not None
    assert (request.bundle, request.cache_dir) == (tmp_path / "model", tmp_path / "engines")
    assert (request.precision, request.batch, request.use_ungated_int8) == ("int8", 2, False)
    assert request.options.workspace_mb == 700


def test_without_tensorrt_in_the_file_no_engine_is_needed_nor_built(tmp_path: Path) -> None:
    config = write(tmp_path, "backend: onnx")

    asked = handmap("build-engine", "--config", config, "--is-needed")
    built = handmap("build-engine", "--config", config)

    assert configured_request(config) is None
    assert (asked.returncode, "names no TensorRT engine" in asked.stdout) == (1, True)
    assert (built.returncode, "set engine.backend to tensorrt" in built.stderr) == (78, True)


def test_a_wrong_engine_section_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="precison"):
        configured_request(write(tmp_path, "backend: tensorrt, precison: fp16"))


@pytest.mark.parametrize(
    "arguments", [(), ("--config", "c.yaml", "--precision", "fp16"), ("--config", "c.yaml", "--bundle", "b")]
)
def test_the_engine_is_named_once(arguments: tuple[str, ...]) -> None:
    done = handmap("build-engine", *arguments)

    assert done.returncode == 78
    assert "--config" in done.stderr
