"""Files are read by `handmap.files.reading` and written by `handmap.files.atomic`: nowhere else are the bare calls."""

import ast
from pathlib import Path

import pytest

from tests.support.one_module import PARTS

ROOT = Path(__file__).resolve().parent.parent
METHODS = {
    "read_bytes", "read_text", "write_bytes", "write_text", "mkdir", "makedirs", "rmtree", "rename", "touch", "mkdtemp",
    "mkstemp", "NamedTemporaryFile", "copyfile", "copytree", "copyfileobj", "move", "unpack_archive", "savefig", "tofile",
    "fromfile", "memmap", "safe_load",
}  # fmt: skip
FUNCTIONS = {
    "open", "io.open", "os.open", "os.remove", "json.load", "json.loads", "json.dump", "msgspec.json.decode", "np.load",
    "np.save", "np.savez", "np.savez_compressed", "torch.load", "torch.save", "torch.jit.load", "onnx.load", "onnx.save",
    "yaml.load", "zipfile.ZipFile", "pickle.load", "pickle.loads",
}  # fmt: skip
OPENS = {"open", "os.open", "path.open", "file.open", "zstd.open", "target.open"}
IN_MEMORY = {"buffer", "content", "io.BytesIO"}  # what a call may write to or read from anywhere
HOMES = {  # a folder's name stands for all in it
    "handmap/files": "the one reader and the one writer",
    "handmap/recording": "recordings are read and written as streams",
    "clients/packet_file.py": "recordings of packets are written and read as streams",
    "handmap/engines/gpu.py": "a source of this package",
    "training/network/geodesic_kernel.py": "a source of this package",
    "handmap/skeleton/hand_shape.py": "a source of this package",
    "handmap/system/version.py": "a file of this package, for setup.py too",
    "handmap/system/jetpack.py": "files of the kernel and the system",
    "runtime/thermal.py": "files of the kernel",
    "runtime/bench.py": "files of the kernel",
    "runtime/doctor/machine.py": "files of the machine that it examines",
    "runtime/log_writer.py": "/dev/null",
    "export/engine_store.py": "the lock of the engine cache, and what killed builds left in it",
    "training/compiled.py": "the folder of numba's cache, which may be missing",
    "training/samples/sample_cache.py": "shards are memory-mapped",
    "training/samples/disk_array.py": "arrays are memory-mapped, in room that is reserved",
    "training/samples/labeled_cache.py": "samples are memory-mapped",
    "training/samples/labeled_hands.py": "samples are memory-mapped",
    "training/samples/labeled_palms.py": "samples are memory-mapped",
    "training/hand": "the hand asset, made by a developer",
    "flash": "the staging folder of a package, and the file system of an image",
}


def bare_calls(path: Path) -> list[str]:
    """Every call in a file that reads or writes files, as line and text."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        is_open = method == "open" and (name in OPENS or isinstance(node.func.value, ast.BinOp | ast.Call))  # type: ignore[attr-defined]  # an attribute has it
        is_bare = name in FUNCTIONS or method in METHODS or is_open
        places = {ast.unparse(argument).partition("(")[0] for argument in node.args[:2]}
        if is_bare and not places & IN_MEMORY:
            found.append(f"{node.lineno}: {ast.unparse(node)}")
    return found


SOURCES = sorted(path for part in ("handmap", *PARTS) for path in (ROOT / part).rglob("*.py"))


def home_of(path: Path) -> str | None:
    name = path.relative_to(ROOT).as_posix()
    return next((home for home in HOMES if name == home or name.startswith(f"{home}/")), None)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_are_read_and_written_at_home(path: Path) -> None:
    assert home_of(path) is not None or bare_calls(path) == []


@pytest.mark.parametrize("home", HOMES)
def test_a_home_is_lived_in(home: str) -> None:
    assert any(bare_calls(path) for path in SOURCES if home_of(path) == home)


@pytest.mark.parametrize(
    "line",
    [
        'open("f", "w")',
        'path.open("rb")',
        '(folder / "f").open("w")',
        'Path(name).open("w")',
        'path.write_text("x")',
        "path.read_bytes()",
        "json.loads(path.read_bytes())",
        "json.dump(facts, file)",
        "shutil.rmtree(path)",
        "np.load(path)",
        "torch.load(path)",
        "onnx.save(model, path)",
        "folder.mkdir(parents=True)",
        "figure.savefig(path)",
    ],
)
def test_a_bare_call_is_found(tmp_path: Path, line: str) -> None:
    (tmp_path / "module.py").write_text(f"def work():\n    {line}\n")

    assert bare_calls(tmp_path / "module.py")


@pytest.mark.parametrize(
    "line", ["np.load(io.BytesIO(content))", "figure.savefig(buffer)", "source.open()", 'name.replace("a", "b")']
)
def test_what_touches_no_file_is_not_found(tmp_path: Path, line: str) -> None:
    (tmp_path / "module.py").write_text(f"def work():\n    {line}\n")

    assert bare_calls(tmp_path / "module.py") == []


def test_paths_of_options_are_of_one_type() -> None:
    """`click.Path` checks a path itself and exits with 2."""
    others = [path for path in SOURCES if path.name != "options.py" and "click.Path(" in path.read_text()]

    assert others == []
