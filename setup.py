"""Packaging: in the checkout the parts are top-level folders; installed, they live in `handmap`. A build writes its version down."""

import runpy
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

ROOT = Path(__file__).resolve().parent
PARTS = ("training", "export", "calibration", "runtime", "clients", "flash")
VERSIONS = runpy.run_path(str(ROOT / "handmap/system/version.py"))
VERSION: str = VERSIONS["version_of"](ROOT)


def packages_of(part: str, name: str) -> list[str]:
    """The package in the folder `part`, installed as `name`, and all packages in it."""
    return [name, *(f"{name}.{inner}" for inner in find_packages(part))]


class BuildPackage(build_py):
    """Also writes the version into a wheel; an editable installation asks git each time."""

    def run(self) -> None:
        """Copies the sources."""
        super().run()
        if not self.editable_mode:
            (Path(self.build_lib) / VERSIONS["WRITTEN"]).write_text(f"{VERSION}\n", encoding="ascii")


class BuildSources(sdist):
    """Also writes the version into a source archive, where there is no git to ask."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        """Copies the sources."""
        super().make_release_tree(base_dir, files)
        written = Path(base_dir) / VERSIONS["WRITTEN"]
        written.unlink(missing_ok=True)  # it may be a hard link
        written.write_text(f"{VERSION}\n", encoding="ascii")


setup(
    version=VERSION,
    cmdclass={"build_py": BuildPackage, "sdist": BuildSources},
    packages=[
        *packages_of("handmap", "handmap"),
        *(package for part in PARTS for package in packages_of(part, f"handmap.{part}")),
    ],
    package_dir={"handmap": "handmap", **{f"handmap.{part}": part for part in PARTS}},
    package_data={"": ["py.typed", "kernels/*", "assets/*", "data/*", "c/*.h", "csharp/HandMap.cs"]},
)
