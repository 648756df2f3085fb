"""The target systems of the .deb: Python version, architecture, apt dependencies, and lists of wheels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True)
class BoardTarget:
    """One target system; each needs its own .deb."""

    name: str
    system: str  # suffix of the package's version, so that two targets cannot be confused
    python: str  # "3.11": the only version that the wheels fit
    architecture: str  # Debian's name
    glibc_minor: int
    depends: tuple[str, ...]
    recommends: tuple[str, ...]
    config: str  # in flash/data: the initial /etc/handmap/config.yaml

    @property
    def machine(self) -> str:
        """The architecture as wheels name it."""
        return {"amd64": "x86_64", "arm64": "aarch64"}[self.architecture]

    @property
    def platforms(self) -> list[str]:
        """Every wheel tag that the system supports, newest first."""
        tags = [f"manylinux_2_{minor}_{self.machine}" for minor in range(self.glibc_minor, 16, -1)]
        return [*tags, f"manylinux2014_{self.machine}"]

    @property
    def python_bounds(self) -> tuple[str, str]:
        """apt dependencies on exactly this Python version; `~` also admits Debian's suffixes."""
        major, minor = self.python.split(".")
        return f"python3 (>= {self.python}~)", f"python3 (<< {major}.{int(minor) + 1}~)"

    def lock(self, checkout: Path) -> Path:
        """The name of the file with each wheel's sha256."""
        return checkout / "constraints" / f"{self.name}.lock"


# procps: the unit reloads with /bin/kill. systemd: users, folders and the unit itself.
EVERYWHERE: Final = ("procps", "systemd", "libstdc++6")
CAMERA: Final = ("libusb-1.0-0", "libudev1")  # pyrealsense2 links to them
# Only recommended: an image is built before JetPack's packages are installed, and ONNX Runtime can take over.
JETPACK: Final = ("python3-libnvinfer",)

TARGETS: Final = {
    target.name: target
    for target in (
        BoardTarget("jetpack6", "jetpack6", "3.10", "arm64", 35, (*EVERYWHERE, *CAMERA), JETPACK, "jetpack.yaml"),
        BoardTarget("jetpack7", "jetpack7", "3.12", "arm64", 39, (*EVERYWHERE, *CAMERA), JETPACK, "jetpack.yaml"),
        BoardTarget("debian12-arm64", "debian12", "3.11", "arm64", 36, EVERYWHERE, (), "replay.yaml"),
        BoardTarget("debian12-amd64", "debian12", "3.11", "amd64", 36, EVERYWHERE, (), "replay.yaml"),
    )
}
