"""clients/c/handmap.h against the reference codec: the same bytes, the same verdicts, the same hands; under sanitizers."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.handmap.protocol.test_packet import GOLDEN
from tests.support.codec_cases import (
    golden,
    kind_of,
    line_of,
    lines_of_mutated,
    mutated,
    without_errors,
    write_records,
)
from tests.support.codec_events import (
    TIMINGS,
    arguments_of,
    assert_same_lines,
    draw_events,
    lines_of_events,
    write_events,
)
from tests.support.codec_faults import FAULTS, FAULTY, SEALED_FAULTS
from tests.support.compiled import compile_program

ROOT = Path(__file__).resolve().parents[3]
HEADER = ROOT / "clients/c/handmap.h"
CHECK = Path(__file__).parent / "check.c"
C99 = ("gcc", "clang")
CPP17 = ("g++", "clang++")
SANITIZED = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
NO_LEAK_CHECK = {"ASAN_OPTIONS": "detect_leaks=0"}  # which wants to trace the process, and containers forbid that


@pytest.fixture(scope="session", params=C99)
def check(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The check program of one compiler, under its sanitizers."""
    out = tmp_path_factory.mktemp("check") / "check"
    return compile_program(CHECK, out, request.param, "-std=c99", *SANITIZED, "-I", str(HEADER.parent))


def printed(check: Path, *arguments: object) -> list[str]:
    """The lines that it prints; a failed check, or a fault that a sanitizer finds, fails the test."""
    done = subprocess.run([check, *map(str, arguments)], capture_output=True, text=True, env=NO_LEAK_CHECK)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout.splitlines()


def test_golden_datagrams_are_written_again_and_refused_when_any_bit_is_flipped_or_they_are_cut(check: Path) -> None:
    sealed_bits = sum(8 * (len(data) - 4) for name, data in golden().items() if name.startswith("sealed_"))
    plain = sum(9 * len(data) for data in golden().values())
    assert sealed_bits > 40_000 and plain > 100_000

    assert printed(check, "golden", GOLDEN) == [f"golden {len(golden())} refused {plain} failures 0"]


@pytest.mark.parametrize("compiler", CPP17)
def test_it_is_also_cpp17(compiler: str, tmp_path: Path) -> None:
    options = ("-x", "c++", "-std=c++17", "-I", str(HEADER.parent))
    check = compile_program(CHECK, tmp_path / "check", compiler, *options)

    assert printed(check, "golden", GOLDEN)[0].endswith("failures 0")


def test_golden_datagrams_hold_the_values_that_python_reads(check: Path, tmp_path: Path) -> None:
    records = [(kind_of(name), data) for name, data in golden().items()]
    write_records(tmp_path / "records", records)

    lines = without_errors("\n".join(printed(check, "decode", tmp_path / "records")))

    assert lines == [line_of(record) for record in records]


def test_mutations_get_the_same_verdict_and_values_as_in_python(check: Path, tmp_path: Path) -> None:
    write_records(tmp_path / "records", mutated())

    lines = without_errors("\n".join(printed(check, "decode", tmp_path / "records")))

    assert sum(line == "refused" for line in lines) > 1500 and sum(line != "refused" for line in lines) > 1500
    for record, line, wanted in zip(mutated(), lines, lines_of_mutated(), strict=True):
        assert line == wanted, f"{record[0]} {record[1].hex()}"


def error_names() -> list[str]:
    """Those of the header, in order."""
    return re.findall(r"HANDMAP_(\w+)", HEADER.read_text().split("typedef enum handmap_error {")[1].split("}")[0])


def test_each_fault_has_its_error(check: Path, tmp_path: Path) -> None:
    write_records(tmp_path / "records", FAULTY)

    lines = printed(check, "decode", tmp_path / "records")

    found = [error_names()[int(line.removeprefix("refused "))] for line in lines]
    assert found == [*FAULTS, *SEALED_FAULTS]
    assert [line_of(record) for record in FAULTY] == ["refused"] * len(FAULTY)


def test_every_error_has_a_sentence() -> None:
    texts = re.findall(r'case HANDMAP_(\w+): return "(.+)";', HEADER.read_text())

    assert [name for name, _ in texts] == error_names()
    assert len({text for _, text in texts}) == len(texts)


def test_the_events_reach_all_that_can_happen() -> None:
    for has_key in (False, True):
        seeds = [lines_of_events(draw_events(seed, has_key), TIMINGS[seed], has_key) for seed in range(len(TIMINGS))]
        lines = [line.split() for found in seeds for line in found]

        assert {line[1] for line in lines if line[0] == "hands"} == {"none", "0", "1", "2"}
        for place in range(1, 8):
            assert any(int(line[place]) for line in lines if line[0] == "counts") or (place == 6 and not has_key), place


@pytest.mark.parametrize("has_key", [False, True], ids=["no key", "key"])
@pytest.mark.parametrize("seed", range(len(TIMINGS)))
def test_a_receiver_makes_of_packets_what_ours_does(check: Path, tmp_path: Path, seed: int, has_key: bool) -> None:
    events = draw_events(seed, has_key)
    write_events(tmp_path / "events", events)
    expected = lines_of_events(events, TIMINGS[seed], has_key)

    lines = printed(check, "state", tmp_path / "events", *arguments_of(TIMINGS[seed], has_key))

    assert_same_lines(lines, expected)
