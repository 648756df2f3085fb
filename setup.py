"""Packaging: in the checkout the parts are top-level folders; installed, they live in `handmap`."""

from setuptools import setup

PARTS = ("training", "export", "calibration", "runtime", "clients", "flash")

setup(
    packages=["handmap", *(f"handmap.{part}" for part in PARTS)],
    package_dir={"handmap": "handmap", **{f"handmap.{part}": part for part in PARTS}},
    package_data={
        "handmap": ["py.typed", "kernels/*"],
        "handmap.training": ["assets/*", "kernels/*"],
        "handmap.flash": ["data/*"],
    },
)
