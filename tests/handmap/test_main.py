"""The command itself: what it says where a verb needs a library that is not installed."""

import subprocess
import sys

import pytest

from tests.support.processes import ROOT


@pytest.mark.parametrize(
    ("library", "arguments", "extra"),
    [
        ("torch", ["train", "--config", "configs/train_handmap.yaml"], "train"),
        ("onnx", ["export", "--checkpoint", "x.pt2", "--out", "o", "--samples", "s"], "export"),
        ("numba", ["synthesize", "--out", "o"], "train"),
        ("rosbags", ["bench", "--bundle", "b"], "host"),
        ("viser", ["view"], "host"),
    ],
)
def test_missing_library_is_one_sentence_with_the_extra_to_install(
    library: str, arguments: list[str], extra: str
) -> None:
    # None in sys.modules is how Python itself marks a module that must not be found.
    program = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "from handmap.__main__ import main\n"
        f"sys.argv = ['handmap', *{arguments!r}]\nmain()\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 78
    assert done.stderr.count("\n") == 1, done.stderr
    assert f"handmap-edge[{extra}]" in done.stderr
