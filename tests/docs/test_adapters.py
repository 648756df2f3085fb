"""The commands of docs/adapters.md run as they stand there, and its first Python example too; the others in tests/adapters."""

import sys
import threading
from pathlib import Path

import pytest

from tests.support.doc_examples import command_of, python_of, run_bridge, sending
from tests.support.processes import free_port


@pytest.mark.parametrize(
    "heading", ["OpenXR", "VMC", "hand-tracking-sdk", "IsaacTeleop", "ROS 2 and Foxglove", "LeRobot"]
)
def test_the_commands_run(heading: str, tmp_path: Path) -> None:
    command = command_of(heading)
    if "lerobot" in command:
        pytest.importorskip("pyarrow", reason="pyarrow is not installed; make test-adapters runs this with it")

    run_bridge(command, 0.3, tmp_path)

    names = [command[place + 1] for place, word in enumerate(command) if word == "--out"]
    assert [path.name for path in tmp_path.iterdir()] == names


def test_the_lines_of_openxr_are_read(capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    words = f'["{sys.executable}", "-m", "handmap", "bridge", "openxr", "--port", "{port}", "--bind", "127.0.0.1", "--seconds", "1"]'
    source = python_of("OpenXR").replace('["handmap", "bridge", "openxr", "--seconds", "10"]', words)
    assert words in source
    reader = threading.Thread(target=exec, args=(source, {}))

    with sending(port):
        reader.start()
        reader.join(30)

    assert not reader.is_alive()
    assert "index fingertip of the right hand" in capsys.readouterr().out
