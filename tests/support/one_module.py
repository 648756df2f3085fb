"""One file is one module: in the checkout a part is imported by its folder's name, installed as part of `handmap`.

Entry points name the installed one. In the process of the tests both names lead to the module of the folder, so that no class exists twice.
"""

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType

PARTS = ("training", "export", "calibration", "runtime", "clients", "flash")


class FolderLoader(Loader):
    """Gives the module of the folder where the installed one is asked for."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The folder's module, loaded if it was not yet."""
        module = import_module(spec.name.removeprefix("handmap."))
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is left to run; the module goes on saying that it is the folder's."""
        if module.__spec__ is not None:
            module.__spec__ = module.__spec__.loader_state


class FolderFinder(MetaPathFinder):
    """Finds `handmap.<part>` and all in it in the part's folder."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The spec of a part's module by its installed name, else nothing."""
        outer, *inner = name.split(".")
        is_ours = outer == "handmap" and bool(inner) and inner[0] in PARTS
        return spec_from_loader(name, FolderLoader()) if is_ours else None


def import_by_folder() -> None:
    """From now on both names of a part's module are one module in this process."""
    sys.meta_path.insert(0, FolderFinder())


def held_twice(modules: Mapping[str, ModuleType]) -> list[str]:
    """The modules of parts that were loaded under both names and are two."""
    return sorted(
        name
        for name, module in modules.items()
        if name.split(".")[0] in PARTS and modules.get(f"handmap.{name}", module) is not module
    )
