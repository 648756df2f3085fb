"""The list of all software in a package, as CycloneDX, made by its own tool of the locked wheels."""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from handmap.types.errors import DependencyError

from .targets import BoardTarget
from .wheels import read_lock


def write_sbom(target: BoardTarget, checkout: Path, version: str, tool: str, out: Path) -> int:
    """Writes the list of a package for one target; returns the number of components.

    Raises DependencyError without the tool, or if it fails.
    """
    lock = read_lock(target.lock(checkout))
    rows = [f"{'=='.join(wheel.split('-')[:2])} --hash=sha256:{digest}\n" for wheel, digest in sorted(lock.items())]
    with tempfile.TemporaryDirectory(prefix="handmap-sbom-") as name:
        wanted, made = Path(name) / "requirements.txt", Path(name) / "made.json"
        wanted.write_text("".join(rows))
        command = [
            *(tool, "requirements", "--mc-type", "application", "--pyproject", str(checkout / "pyproject.toml")),
            *("--spec-version", "1.6", "--output-format", "JSON", "--output-reproducible", "--output-file", str(made)),
        ]
        try:
            done = subprocess.run([*command, str(wanted)], capture_output=True, text=True, check=False)
        except FileNotFoundError as error:
            raise DependencyError(
                f"release: there is no {tool!r} to list the libraries with; make release installs it, or: pip install cyclonedx-bom"
            ) from error
        if done.returncode != 0:
            raise DependencyError(
                f"release: {tool} failed: {' '.join(done.stderr.split()[-40:]) or 'it printed no error'}"
            )
        listed: dict[str, Any] = json.loads(made.read_text())
    # The tool reads no version that a build makes.
    listed["metadata"]["component"]["version"] = version
    out.write_text(json.dumps(listed, indent=1, sort_keys=True) + "\n")
    return len(listed["components"])
