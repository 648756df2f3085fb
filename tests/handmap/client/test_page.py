"""The examples of docs/client.md run as they stand, against a daemon's publisher on this machine."""

import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from handmap.protocol.fields import DaemonState, Precision
from handmap.system.notify import Notifier
from handmap.types.values import Handedness, HandPose
from runtime.publish import ModelFacts, open_publisher
from runtime.publish_config import ControlConfig, MulticastConfig, PublishConfig
from runtime.state import DaemonStatus
from tests.support.drawn_scenes import SOMEWHERE
from tests.support.processes import ROOT, free_port
from tests.support.tiny_bundle import blob_frame

BLOCK = re.compile(r"^## ([^\n]+)\n(?:(?!^## ).)*?```python\n(.*?)```", re.MULTILINE | re.DOTALL)
EXAMPLES = [
    *BLOCK.findall((ROOT / "docs" / "client.md").read_text()),
    *((title, code) for title, code in BLOCK.findall((ROOT / "README.md").read_text()) if "handmap.client" in code),
]
SAYS = {
    "Print what arrives": "RIGHT [",
    "Move something": "follow by ",
    "asyncio": "7 1",
    "Who is sending": "bench hand CameraIntrinsics(",
    "With a key": "",
    "Multicast": "TRACKING",
    "Bundle and packet": "RIGHT [",
}
ENOUGH_LINES = 12


def test_every_example_of_the_page_is_here() -> None:
    assert [title for title, _ in EXAMPLES] == list(SAYS)


@contextmanager
def example(tmp_path: Path, code: str, port: int, group_port: int) -> Iterator["subprocess.Popen[str]"]:
    code = (
        code.replace("board.local", "127.0.0.1")
        .replace('"127.0.0.1"', f'"127.0.0.1", {port}')
        .replace("5656", str(group_port))
    )
    (tmp_path / "example.py").write_text(code)
    process = subprocess.Popen(
        [sys.executable, "-u", "example.py"], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("title", "code"), EXAMPLES, ids=[title for title, _ in EXAMPLES])
def test_the_example_runs(title: str, code: str, tmp_path: Path) -> None:
    key = tmp_path / "handmap.key"
    key.write_text("5a" * 32 + "\n")
    key.chmod(0o600)
    port, group_port = free_port(), free_port()
    config = PublishConfig(
        control=ControlConfig(port=port), multicast=MulticastConfig("239.255.77.1", "lo", group_port), device_name="bench",
        key_file=key if title == "With a key" else None,
    )  # fmt: skip
    publisher = open_publisher(config)
    publisher.identify(ModelFacts(b"12345678", "hand", Precision.FP32))
    status = DaemonStatus(Notifier(None))
    status.state = DaemonState.TRACKING
    xyz_mm = np.linspace(0, 400, 63, dtype=np.float32).reshape(21, 3)
    hand = HandPose(xyz_mm, np.ones(21, np.float32), SOMEWHERE, 3, Handedness.RIGHT, 0.9, 0.8, True, True, False, 7, 0)
    with example(tmp_path, code, port, group_port) as process:
        assert process.stdout is not None
        lines: list[str] = []
        end_s = time.monotonic() + 60
        while process.poll() is None and len(lines) < ENOUGH_LINES and time.monotonic() < end_s:
            publisher.publish(blob_frame(7), [hand], status)
            if select.select([process.stdout], [], [], 0.02)[0]:
                lines.append(process.stdout.readline())  # the example flushes line by line
    publisher.close()

    assert any(SAYS[title] in line for line in lines), "".join(lines)
    assert "Traceback" not in "".join(lines)
