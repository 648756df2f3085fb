"""The picture of imports that design and decisions state: parts meet only in `handmap`, heavy libraries have homes."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("training", "export", "calibration", "runtime", "clients", "flash")
PLOTS = {"training/plots.py", "calibration/plots.py"}
HOMES = {  # the only files that may import each heavy library; a folder's name stands for all in it
    "cupy": {"handmap/engines/gpu.py", "training/network/geodesic_kernel.py"},
    "pycuda": {"handmap/engines/mapped_memory.py"},
    "tensorrt": {"handmap/engines/tensorrt_engine.py", "export/to_engine.py"},
    "tensorrt_rtx": {"export/to_engine.py"},
    "onnxruntime": {"handmap/engines/onnx_engine.py"},
    "onnx": {"handmap/bundle/graph_lint.py", "handmap/bundle/graph_view.py", "export", "calibration"},
    "onnxsim": {"export"},
    "onnxconverter_common": {"export/half.py"},
    "rosbags": {"handmap/recording/bag_topics.py", "handmap/recording/reader.py", "handmap/recording/writer.py"},
    "PIL": {"handmap/files/images.py"},
    "rich": {"handmap/system/progress.py"},
    "pyrealsense2": {"runtime/cameras/realsense.py"},
    "prometheus_client": {"runtime/telemetry.py"},
    "numba": {"training/compiled.py"},
    "torch": {"training", "export/to_onnx.py", "export/half.py", "export/palm.py"},
    "matplotlib": PLOTS,
    "scipy": {"training"},
    "viser": {"clients/view.py"},
    "anny": set(),
}
LONGEST_LINES = 260


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
