"""Receiving needs numpy and msgspec alone, so that the bare wheel is enough on a robot."""

import subprocess
import sys

from tests.support.processes import ROOT

# msgspec takes typing_extensions along where it is installed; it does not need it.
STANDARD = set(sys.stdlib_module_names) | {"handmap", "typing_extensions"}


def test_the_client_loads_numpy_and_msgspec_alone() -> None:
    code = (
        "import sys; before = set(sys.modules); import handmap.client; "
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert set(done.stdout.split()) - STANDARD <= {"numpy", "msgspec"}
