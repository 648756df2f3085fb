"""The systems that a .deb is made for: Python, architecture, what apt must bring, and where the wheels are listed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True)
class BoardTarget:
    """One system: a .deb fits it alone."""

    name: str
    system: str  # ends the package's version, so that two targets are never taken for one another
    python: str  # "3.11": the only one that the wheels fit
    architecture: str  # in Debian's words
    glibc_minor: int
    depends: tuple[str, ...]
    recommends: tuple[str, ...]
    config: str  # in flash/data: what /etc/handmap/config.yaml holds at first

    @property
    def machine(self) -> str:
        """The architecture in the words of wheels."""
        return {"amd64": "x86_64", "arm64": "aarch64"}[self.architecture]

    @property
    def platforms(self) -> list[str]:
        """Every wheel tag that the system takes, newest first."""
        tags = [f"manylinux_2_{minor}_{self.machine}" for minor in range(self.glibc_minor, 16, -1)]
        return [*tags, f"manylinux2014_{self.machine}"]

    @property
    def python_bounds(self) -> tuple[str, str]:
        """apt's words for exactly this Python; `~` lets Debian's suffixes through."""
        major, minor = self.python.split(".")
        return f"python3 (>= {self.python}~)", f"python3 (<< {major}.{int(minor) + 1}~)"

    def lock(self, checkout: Path) -> Path:
        """The file with the sha256 of each wheel."""
        return checkout / "constraints" / f"{self.name}.lock"


# procps: the unit reloads by /bin/kill. systemd: users, folders and the unit itself.
EVERYWHERE: Final = ("procps", "systemd", "libstdc++6")
CAMERA: Final = ("libusb-1.0-0", "libudev1")  # pyrealsense2 links them
# Recommended, not needed: an image is made before JetPack's packages are in, and ONNX Runtime can stand in.
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
