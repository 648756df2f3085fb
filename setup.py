"""Packaging: in the checkout the parts are top-level folders; installed, they live in `handmap`."""

from setuptools import find_packages, setup

PARTS = ("training", "export", "calibration", "runtime", "clients", "flash")


def packages_of(part: str, name: str) -> list[str]:
    """The package in the folder `part`, installed as `name`, and all packages in it."""
    return [name, *(f"{name}.{inner}" for inner in find_packages(part))]


setup(
    packages=[
        *packages_of("handmap", "handmap"),
        *(package for part in PARTS for package in packages_of(part, f"handmap.{part}")),
    ],
    package_dir={"handmap": "handmap", **{f"handmap.{part}": part for part in PARTS}},
    package_data={"": ["py.typed", "kernels/*", "assets/*", "data/*", "c/*.h", "csharp/HandMap.cs"]},
)
