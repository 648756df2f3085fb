"""The cache of engines: the key changes with everything it stands for, and each kind of unusable engine has its own message."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from handmap.bundle.manifest import Bundle
from handmap.engines.cache import SIDECAR_FILE, find_engine, list_sidecars
from handmap.engines.cache_dir import engine_cache_dir
from handmap.engines.cuda_driver import DeviceFacts
from handmap.engines.engine_keys import BuilderOptions, EngineKey, describe_platform, engine_key, key_name
from handmap.types.errors import BundleError, EngineUnusable
from tests.support.bounded import within
from tests.support.stored_engines import CONTENT, KEY, ORIN, store, wanted_in
from tests.support.tiny_bundle import write_bundle

replace = msgspec.structs.replace
OTHER_KEYS = {
    "graph": replace(KEY, graph_sha256="b" * 64),
    "batch": replace(KEY, batch=2),
    "workspace": replace(KEY, options=BuilderOptions(workspace_mb=1024)),
    "recipe": replace(KEY, options=replace(KEY.options, recipe=KEY.options.recipe + 1)),
    "tensorrt": replace(KEY, platform=replace(ORIN, tensorrt="tensorrt 10.7.0")),
    "gpu": replace(KEY, platform=replace(ORIN, gpu="Thor")),
    "sm count": replace(KEY, platform=replace(ORIN, sm_count=16)),
    "compute capability": replace(KEY, platform=replace(ORIN, compute_capability="11.0")),
    "l4t": replace(KEY, platform=replace(ORIN, l4t="36.5.0")),
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_bundle(tmp_path_factory.mktemp("bundle") / "bundle")


def test_the_same_inputs_give_the_same_key(bundle: Bundle) -> None:
    device = DeviceFacts("Orin", 8, (8, 7))
    graph = (bundle.path / "hand.fp32.onnx").read_bytes()

    keys = [
        engine_key(bundle, "fp32", 1, describe_platform("tensorrt 10.3.0", device, "36.4.3"), BuilderOptions())
        for _ in range(2)
    ]

    assert keys[0] == EngineKey(hashlib.sha256(graph).hexdigest(), 1, BuilderOptions(), ORIN)
    assert key_name(keys[0]) == key_name(keys[1])


def test_a_key_requires_a_precision_in_the_bundle(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="no int8 file"):
        engine_key(bundle, "int8", 1, ORIN, BuilderOptions())


def test_the_key_holds_every_fact_that_the_matrix_changes() -> None:
    fields = {*EngineKey.__struct_fields__, *BuilderOptions.__struct_fields__, *type(ORIN).__struct_fields__}

    assert len(OTHER_KEYS) == len(fields - {"options", "platform"})
    assert len({key_name(key) for key in (KEY, *OTHER_KEYS.values())}) == len(OTHER_KEYS) + 1


def test_nothing_changed_is_a_hit(tmp_path: Path) -> None:
    store(wanted_in(tmp_path))

    found = find_engine(wanted_in(tmp_path))

    assert found.path.read_bytes() == CONTENT
    assert found.sidecar.key == KEY


@pytest.mark.parametrize("changed", OTHER_KEYS)
def test_anything_changed_is_a_miss(tmp_path: Path, changed: str) -> None:
    store(wanted_in(tmp_path))

    with pytest.raises(EngineUnusable):
        find_engine(wanted_in(tmp_path, OTHER_KEYS[changed]))


def write_sidecar(folder: Path, **changes: object) -> None:
    path = folder / SIDECAR_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def state_key(folder: Path, name: str) -> None:
    write_sidecar(folder, key=msgspec.to_builtins(OTHER_KEYS[name]))


SPOILED: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "sidecar missing": (
        lambda folder: (folder / SIDECAR_FILE).unlink(), "half-written", "sidecar.json cannot be read .*did not finish",
    ),
    "engine missing": (
        lambda folder: (folder / "hand.engine").unlink(), "half-written", "hand.engine cannot be read .*did not finish",
    ),
    "sidecar cut": (
        lambda folder: (folder / SIDECAR_FILE).write_bytes((folder / SIDECAR_FILE).read_bytes()[:99]),
        "unreadable sidecar", "sidecar.json is not a sidecar of format 1",
    ),
    "sidecar of another format": (
        lambda folder: write_sidecar(folder, format=3), "unreadable sidecar", "not a sidecar of format 1 or 2: .*format",
    ),
    "sidecar with an unknown key": (
        lambda folder: write_sidecar(folder, mood="good"), "unreadable sidecar", "not a sidecar of format 1 or 2: .*mood",
    ),
    "empty": (lambda folder: (folder / "hand.engine").write_bytes(b""), "empty", "hand.engine is empty, wanted 4096 bytes"),
    "truncated": (
        lambda folder: (folder / "hand.engine").write_bytes(CONTENT[:4000]), "truncated", "is truncated: 4000 bytes, wanted 4096",
    ),
    "one bit flipped": (
        lambda folder: (folder / "hand.engine").write_bytes(CONTENT[:-1] + b"\xfe"), "corrupt", "was changed: sha256",
    ),
    "longer": (lambda folder: (folder / "hand.engine").write_bytes(CONTENT + b"x"), "corrupt", "was changed: sha256"),
    "of another TensorRT": (
        lambda folder: state_key(folder, "tensorrt"), "foreign TensorRT",
        "was built for TensorRT tensorrt 10.7.0, wanted TensorRT tensorrt 10.3.0",
    ),
    "of another GPU": (
        lambda folder: state_key(folder, "gpu"), "foreign GPU",
        "was built for the GPU Thor with 8 SMs of compute capability 8.7, wanted the GPU Orin with 8 SMs",
    ),
    "of another L4T": (
        lambda folder: state_key(folder, "l4t"), "foreign L4T", "was built for L4T 36.5.0, wanted L4T 36.4.3",
    ),
    "of another batch": (
        lambda folder: state_key(folder, "batch"), "other key", "was built for batch 2, wanted batch 1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", SPOILED)
def test_each_kind_of_damaged_engine_has_its_own_message(tmp_path: Path, how: str) -> None:
    spoil, cause, sentence = SPOILED[how]
    spoil(store(wanted_in(tmp_path)))

    with pytest.raises(EngineUnusable, match=sentence) as refused:
        find_engine(wanted_in(tmp_path))

    assert refused.value.cause == cause
    command = f"handmap build-engine --bundle /opt/handmap/bundle --precision fp16 --batch 1 --cache-dir {tmp_path}"
    assert str(refused.value).endswith(command)


def test_an_empty_cache_says_that_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(EngineUnusable, match="there is none for this graph") as refused:
        find_engine(wanted_in(tmp_path / "never made"))

    assert refused.value.cause == "absent"


@pytest.mark.parametrize(
    ("changed", "cause"),
    [("tensorrt", "foreign TensorRT"), ("gpu", "foreign GPU"), ("l4t", "foreign L4T"), ("batch", "other key")],
)
def test_a_missing_engine_names_what_the_existing_one_was_built_for(tmp_path: Path, changed: str, cause: str) -> None:
    store(wanted_in(tmp_path, OTHER_KEYS[changed]))

    with pytest.raises(EngineUnusable, match="it was built for") as refused:
        find_engine(wanted_in(tmp_path))

    assert refused.value.cause == cause


def test_leftovers_of_a_killed_build_are_ignored(tmp_path: Path) -> None:
    wanted = wanted_in(tmp_path)
    store(wanted).rename(tmp_path / f".{wanted.folder.name}.abc.tmp")

    with pytest.raises(EngineUnusable, match="there is none for this graph"):
        find_engine(wanted)

    assert list_sidecars(tmp_path) == {}


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({"CACHE_DIRECTORY": "/var/cache/handmap", "XDG_CACHE_HOME": "/home/a/.cache"}, "/var/cache/handmap/engines"),
        ({"CACHE_DIRECTORY": "/var/cache/handmap:/var/cache/other"}, "/var/cache/handmap/engines"),
        ({"XDG_CACHE_HOME": "/home/a/cache"}, "/home/a/cache/handmap/engines"),
        ({"XDG_CACHE_HOME": "cache"}, str(Path.home() / ".cache/handmap/engines")),
        ({}, str(Path.home() / ".cache/handmap/engines")),
    ],
)
def test_engines_are_kept_where_the_service_or_the_user_keeps_caches(environment: dict[str, str], wanted: str) -> None:
    assert str(engine_cache_dir(environment)) == wanted


@pytest.mark.parametrize(
    "damage", [b"", b"{", b'{"said": "\xff"}', b"[" * 100_000, b'{"format": ' + b"9" * 5000 + b"}"], ids=range(5)
)
def test_a_bad_sidecar_is_the_fault_of_its_engine_alone(
    damage: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sound = wanted_in(tmp_path)
    bad = wanted_in(tmp_path, msgspec.structs.replace(KEY, batch=2))
    absent = wanted_in(tmp_path, msgspec.structs.replace(KEY, batch=3))
    store(sound)
    (store(bad) / SIDECAR_FILE).write_bytes(damage)

    for _ in range(2):
        assert list(list_sidecars(tmp_path)) == [sound.folder]
        assert find_engine(sound).path.parent == sound.folder
        with pytest.raises(EngineUnusable, match="batch 3"):
            find_engine(absent)
    with pytest.raises(EngineUnusable) as refused:
        find_engine(bad)

    assert refused.value.cause == "unreadable sidecar"
    assert [str(bad.folder) in record.getMessage() for record in caplog.records] == [True]


def test_a_named_pipe_for_a_sidecar_or_engine_is_not_waited_for(tmp_path: Path) -> None:
    for number, name in enumerate((SIDECAR_FILE, "hand.engine"), start=1):
        wanted = wanted_in(tmp_path, msgspec.structs.replace(KEY, batch=number))
        file = store(wanted) / name
        file.unlink()
        os.mkfifo(file)

        with within(20), pytest.raises(EngineUnusable, match="named pipe"):
            find_engine(wanted)
