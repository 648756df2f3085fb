"""handmap-engine.service with the real verb: NVIDIA's own builder (TensorRT-RTX, which needs no GPU) in the place of a board's TensorRT."""

import json
import time
from collections.abc import Iterator

import pytest

from tests.system.conftest import BUILDER, CONFIG, LIBRARIES
from tests.system.container import Container, until

UNIT = "handmap-engine"
CACHE = "/var/cache/handmap/engines"
ENGINE = "engine: {backend: tensorrt, precision: fp16}\n"
VERB = "/usr/bin/handmap build-engine --config /etc/handmap/engine.yaml --backend rtx"
REAL = f"""\
[Unit]
StartLimitBurst=40
[Service]
Environment=PYTHONPATH=/opt/builder
ExecCondition=
ExecCondition={VERB} --is-needed
ExecStart=
ExecStart={VERB}
RestartSec=1
"""

BOTH = ["hand fp16", "palm fp16"]


@pytest.fixture
def builder(machine: Container) -> Iterator[Container]:
    """The container with an empty cache and an engine configured; the daemon is off and has its own configuration."""
    if not all((LIBRARIES / name).is_dir() for name in BUILDER):
        pytest.skip("needs NVIDIA's tensorrt_rtx wheel for Python 3.11 in .venv: make setup")
    machine.systemctl("stop", "handmap.target", UNIT)
    machine.write("/etc/handmap/engine.yaml", CONFIG + ENGINE)
    machine.drop_in(f"{UNIT}.service", REAL)
    machine.run("sh", "-c", f"rm -rf {CACHE}")
    machine.systemctl("reset-failed")
    yield machine
    machine.systemctl("stop", UNIT)
    machine.drop_in(f"{UNIT}.service", "")


def engines(machine: Container) -> dict[str, str]:
    """Folders of the cache with graph and precision in their sidecar; half-written ones too."""
    listed = machine.run("sh", "-c", f"cd {CACHE} 2>/dev/null && ls -A -d */ .*.tmp/ 2>/dev/null").stdout.split()
    sidecars = {name: machine.run("cat", f"{CACHE}/{name}sidecar.json").stdout for name in listed}
    facts = {name: json.loads(text) if text else {} for name, text in sidecars.items()}
    return {name: f"{one['graph']} {one['precision']}" if one else "none" for name, one in facts.items()}


def is_over(machine: Container) -> bool:
    return machine.show(UNIT, "ActiveState") in ("inactive", "failed")


def test_an_engine_is_built_once_and_again_for_another_graph(builder: Container) -> None:
    builder.systemctl("start", UNIT)
    first = engines(builder)
    result = builder.show(UNIT, "Result")
    hand = next((name for name, built in first.items() if built.startswith("hand")), "")
    owner = builder.run("stat", "-c", "%U %a", "/var/cache/handmap", f"{CACHE}/{hand}hand.engine").stdout

    builder.systemctl("start", UNIT)
    second = engines(builder), builder.show(UNIT, "Result")
    builder.write("/etc/handmap/engine.yaml", CONFIG + ENGINE.replace("fp16", "fp32"))
    builder.systemctl("start", UNIT)

    assert (sorted(first.values()), result) == (BOTH, "success")
    assert owner.splitlines()[0] == "handmap 700"
    assert owner.splitlines()[1].startswith("handmap ")
    assert second == (first, "exec-condition")
    assert sorted(engines(builder).values()) == ["hand fp16", "hand fp32", "palm fp16", "palm fp32"]


def test_starting_the_daemon_builds_what_it_lacks_and_does_not_wait_for_it(builder: Container) -> None:
    builder.drop_in(f"{UNIT}.service", REAL + "ExecStartPre=/bin/sleep 8\n")

    builder.systemctl("start", "handmap")
    is_building = builder.show(UNIT, "ActiveState") == "activating"
    until(lambda: is_over(builder), "the engine is built", 120)

    assert is_building
    assert sorted(engines(builder).values()) == BOTH
    assert builder.show("handmap", "ActiveState") == "active"


def test_a_killed_build_leaves_nothing_and_is_tried_again(builder: Container) -> None:
    builder.systemctl("start", "--no-block", UNIT)
    for kill in range(3):
        until(lambda: builder.show(UNIT, "SubState") == "start", "a build runs", 90)
        time.sleep(0.1 * kill)  # far less than a build takes
        builder.systemctl("kill", "--signal=KILL", UNIT)
        until(lambda: builder.show(UNIT, "SubState") == "auto-restart", "it waits for the next try", 90)
        assert [name for name in engines(builder) if not name.startswith(".")] == []
    until(lambda: is_over(builder), "it has ended", 120)

    assert builder.show(UNIT, "Result") == "success"
    assert sorted(engines(builder).values()) == BOTH  # and no half-written one
    assert int(builder.show(UNIT, "NRestarts")) == 3


def test_a_hung_build_is_killed_and_a_slow_one_gets_more_time(builder: Container) -> None:
    builder.drop_in(f"{UNIT}.service", REAL + "TimeoutStartSec=4\n")
    builder.run("sh", "-c", f"mkdir -p {CACHE} && chown handmap: {CACHE}")

    # The lock of the cache makes the real verb wait, and ask for more time, for longer than its limit.
    with builder.started("runuser", "-u", "handmap", "--", "flock", f"{CACHE}/build.lock", "sleep", "7"):
        start_s = time.monotonic()
        builder.systemctl("start", UNIT)
        slow = time.monotonic() - start_s, builder.show(UNIT, "Result"), builder.show(UNIT, "NRestarts")
    builder.run("sh", "-c", f"rm -rf {CACHE}")
    builder.drop_in(f"{UNIT}.service", REAL + "TimeoutStartSec=4\nRestart=no\nExecStart=\nExecStart=/bin/sleep 60\n")
    builder.run("systemctl", "start", UNIT)

    assert slow[0] > 5 and slow[1:] == ("success", "0")
    assert builder.show(UNIT, "Result") == "timeout"


def test_a_builder_that_always_dies_is_given_up_and_the_daemon_runs(builder: Container) -> None:
    dying = REAL.replace("StartLimitBurst=40\n", "").replace("RestartSec=1\n", "RestartSec=0.1\n")
    builder.drop_in(f"{UNIT}.service", dying + "ExecStart=\nExecStart=/bin/sh -c 'kill -SEGV $$$$'\n")

    builder.systemctl("start", "handmap")
    until(lambda: builder.show(UNIT, "ActiveState") == "failed", "it is given up", 120)
    tries = builder.show(UNIT, "NRestarts")

    assert 5 <= int(tries) <= 6
    assert builder.show("handmap", "ActiveState") == "active"


def test_a_bundle_that_cannot_be_built_is_not_tried_again(builder: Container) -> None:
    builder.drop_in(f"{UNIT}.service", REAL.replace(f"ExecCondition={VERB} --is-needed\n", ""))
    builder.write("/etc/handmap/engine.yaml", CONFIG.replace("handmap-hand21", "none") + ENGINE)

    builder.run("systemctl", "start", UNIT)

    assert builder.show(UNIT, "ExecMainStatus") == "78"
    assert (builder.show(UNIT, "ActiveState"), builder.show(UNIT, "NRestarts")) == ("failed", "0")
