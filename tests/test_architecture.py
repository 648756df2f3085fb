"""The picture of imports that design and decisions state: parts meet only in `handmap`, heavy libraries have homes."""

import ast
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.one_module import PARTS, held_twice

ROOT = Path(__file__).resolve().parent.parent
PLOTS = {
    "training/plots.py", "training/trainer/legend_names.py", "training/evaluation/fitted_sheet.py",
    "training/evaluation/report_plots.py", "training/labeling/sheet.py",
    "training/trainer/learning_curves.py",
    "calibration/plots.py",
}  # fmt: skip
HOMES = {  # the only files that may import each heavy library; a folder's name stands for all in it
    "cupy": {"handmap/engines/gpu.py", "training/network/geodesic_kernel.py"},
    "pycuda": {"handmap/engines/mapped_memory.py"},
    "tensorrt": {"handmap/engines/tensorrt_engine.py", "export/to_engine.py"},
    "tensorrt_rtx": {"export/to_engine.py"},
    "onnxruntime": {"handmap/engines/onnx_engine.py"},
    "onnx": {"handmap/bundle/graph_lint.py", "handmap/bundle/graph_view.py", "export", "calibration"},
    "onnxsim": {"export"},
    "onnxconverter_common": {"export/fp16.py"},
    "rosbags": {
        f"handmap/recording/{name}.py"
        for name in ("bag_files", "checked_writer", "flight_file", "mcap_file", "message_bag", "ros1_file", "writer")
    },
    "PIL": {"handmap/files/images.py", "clients/page/depth_picture.py"},
    "rich": {"handmap/system/progress.py", "runtime/status_table.py", "runtime/status_watch.py"},
    "pyrealsense2": {"runtime/cameras/realsense.py"},
    "prometheus_client": {"runtime/metric_families.py", "runtime/prometheus_metrics.py"},
    "numba": {"training/compiled.py"},
    "torch": {
        "training",
        "export/to_onnx.py",
        "export/other_forms.py",
        "export/fp16.py",
        "export/palm.py",
        "clients/retarget.py",
    },
    "matplotlib": PLOTS,
    "tensorboard": {"training/trainer/tensorboard_log.py"},
    "scipy": {"training"},
    "viser": {f"clients/page/{name}.py" for name in ("panel", "server", "space")},
    "zeroconf": {"runtime/discovery.py", "handmap/client/discovery.py"},
    "dex_retargeting": {"clients/retarget.py"},
    "nlopt": {"clients/retarget.py"},
    "pinocchio": set(),
    "pyarrow": {"clients/lerobot_files.py"},
    "anny": set(),
}
ROOMS = {  # what lives in each is in its `__init__`; in `handmap` and `training` a room never imports one that stands after it
    "handmap": (
        "types", "files", "system", "bundle", "geometry", "engines", "recording", "skeleton", "tracking", "metrics",
        "protocol", "client",
    ),
    "training": ("hand", "synthesis", "datasets", "network", "samples", "trainer", "evaluation", "labeling"),
    "runtime": ("cameras", "doctor", "faults", "flight"),
}  # fmt: skip
ORDERED = ("handmap", "training")
OUTSIDE_ROOMS = {  # of the parts whose modules otherwise all have one; compiled.py and seed_domains.py are what rooms of training stand on
    "handmap": {"__init__.py", "__main__.py", "py.typed"},
    "training": {"__init__.py", "__main__.py", "commands.py", "compiled.py", "plots.py", "seed_domains.py"},
}
LONGEST_LINES = 250


def imported_roots(path: Path) -> set[str]:
    """Every absolute top-level module named by an import anywhere in `path`, lazy ones included."""
    roots: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(), filename=str(path))):
        if isinstance(node, ast.Import):
            roots.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            roots.add(node.module.split(".")[0])
    return roots


def module_level_roots(path: Path) -> set[str]:
    """Top-level modules that are imported when `path` is."""
    roots: set[str] = set()
    for node in ast.parse(path.read_text(), filename=str(path)).body:
        if isinstance(node, ast.Import):
            roots.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            roots.add(node.module.split(".")[0])
    return roots


SOURCES = sorted(path for part in ("handmap", *PARTS) for path in (ROOT / part).rglob("*.py"))
COMMANDS = sorted(path for path in SOURCES if path.name in ("commands.py", "__main__.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def module_of(path: Path) -> str:
    """The dotted name of a file in the checkout."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in SOURCES}


def imported_modules(path: Path) -> set[str]:
    """Every module of this checkout named by an import anywhere in `path`, lazy ones included."""
    package = module_of(path.parent)
    named: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(), filename=str(path))):
        if isinstance(node, ast.Import):
            named.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            named.update(inner if (inner := f"{base}.{alias.name}") in MODULES else base for alias in node.names)
    return named & set(MODULES)


def room_of(module: str) -> str:
    """The room of a module, or nothing."""
    part, *rest = module.split(".")
    return rest[0] if rest and rest[0] in ROOMS.get(part, ()) else ""


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_imports_stay_home(path: Path) -> None:
    name = name_of(path)
    roots = imported_roots(path)

    assert not roots & set(PARTS), f"{name} imports a part by name"
    for library, homes in HOMES.items():
        at_home = name in homes or name.split("/")[0] in homes
        assert library not in roots or at_home, f"{library} belongs in {sorted(homes)}, not in {name}"


@pytest.mark.parametrize(("library", "home"), [(name, home) for name in HOMES for home in sorted(HOMES[name])])
def test_a_home_is_lived_in(library: str, home: str) -> None:
    files = [path for path in SOURCES if name_of(path) == home or name_of(path).startswith(f"{home}/")]

    assert any(library in imported_roots(path) for path in files), f"nothing in {home} imports {library}"


@pytest.mark.parametrize("path", COMMANDS, ids=name_of)
def test_commands_need_no_heavy_library_for_help(path: Path) -> None:
    heavy = module_level_roots(path) & (set(HOMES) | {"numpy"})

    assert not heavy, f"{name_of(path)} imports {sorted(heavy)} when it is imported"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_files_stay_small(path: Path) -> None:
    lines = len(path.read_text().splitlines())

    assert lines <= LONGEST_LINES, f"{name_of(path)} has {lines} lines; split it by what it does"


@pytest.mark.parametrize("part", sorted(ROOMS))
def test_every_folder_is_a_room_and_says_what_lives_there(part: str) -> None:
    folders = {path.name for path in (ROOT / part).iterdir() if path.is_dir() and path.name != "__pycache__"}
    silent = [
        room
        for room in ROOMS[part]
        if not ast.get_docstring(ast.parse((ROOT / part / room / "__init__.py").read_text()))
    ]

    assert folders == set(ROOMS[part])
    assert silent == []


@pytest.mark.parametrize("part", sorted(OUTSIDE_ROOMS))
def test_every_module_has_a_room(part: str) -> None:
    outside = {path.name for path in (ROOT / part).iterdir() if path.is_file()}

    assert outside == OUTSIDE_ROOMS[part]


@pytest.mark.parametrize("part", ORDERED)
def test_no_room_imports_one_below_it(part: str) -> None:
    order = ("", *ROOMS[part])
    upwards = [
        f"{module} imports {other}"
        for module, path in MODULES.items()
        for other in imported_modules(path)
        if module.split(".")[0] == other.split(".")[0] == part
        and room_of(module)
        and order.index(room_of(other)) > order.index(room_of(module))
    ]

    assert upwards == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    TopologicalSorter(
        {module: imported_modules(path) for module, path in MODULES.items()}
    ).prepare()  # raises CycleError


def test_a_file_that_was_loaded_under_both_of_its_names_is_found_out() -> None:
    one, other, same = ModuleType("runtime.a"), ModuleType("handmap.runtime.a"), ModuleType("runtime.b")
    held = {
        "runtime.a": one,
        "handmap.runtime.a": other,
        "runtime.b": same,
        "handmap.runtime.b": same,
        "handmap.a": one,
    }

    assert held_twice(held) == ["runtime.a"]


def test_in_tests_both_names_of_a_file_are_one_module() -> None:
    assert import_module("handmap.runtime.state") is import_module("runtime.state")
