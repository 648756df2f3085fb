"""clients/csharp/HandMap.cs against the reference codec, compiled as C# 7 and run by Mono. Unity and the .NET SDK are not run."""

import dataclasses
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from handmap.protocol.packet import encode
from tests.handmap.protocol.test_packet import GOLDEN, joints_packet, plain_hand
from tests.support.codec_cases import golden, kind_of, line_of, lines_of_mutated, mutated, without_errors, write_records
from tests.support.codec_events import (
    TIMINGS,
    arguments_of,
    assert_same_lines,
    draw_events,
    lines_of_events,
    write_events,
)
from tests.support.codec_faults import FAULTS, FAULTY, SEALED_FAULTS

ROOT = Path(__file__).resolve().parents[3]
SOURCE = ROOT / "clients/csharp/HandMap.cs"
ROUNDS = 20_000


def compiled(out: Path, *sources: Path) -> Path:
    """A program of C# files, without a warning; the test is skipped where Mono is missing."""
    if shutil.which("mcs") is None or shutil.which("mono") is None:
        pytest.skip("needs mcs and mono on PATH; on Debian .ci/compilers installs them")
    command = ["mcs", "-langversion:7", "-warn:4", "-warnaserror", "-optimize", f"-out:{out}", *map(str, sources)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def check(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The check program."""
    return compiled(tmp_path_factory.mktemp("check") / "Check.exe", SOURCE, Path(__file__).parent / "Check.cs")


def printed(check: Path, *arguments: object) -> list[str]:
    """The lines that it prints; a failed check fails the test."""
    done = subprocess.run(["mono", check, *map(str, arguments)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout.splitlines()


def test_golden_datagrams_are_written_again_and_refused_when_any_bit_is_flipped_or_they_are_cut(check: Path) -> None:
    changes = sum(9 * len(data) for data in golden().values())

    assert printed(check, "golden", GOLDEN) == [f"golden {len(golden())} refused {changes} failures 0"]


def test_golden_datagrams_and_mutations_are_read_as_in_python(check: Path, tmp_path: Path) -> None:
    records = [(kind_of(name), data) for name, data in golden().items()]
    write_records(tmp_path / "records", [*records, *mutated()])

    lines = without_errors("\n".join(printed(check, "decode", tmp_path / "records")))

    expected = [*(line_of(record) for record in records), *lines_of_mutated()]
    for record, line, wanted in zip([*records, *mutated()], lines, expected, strict=True):
        assert line == wanted, f"{record[0]} {record[1].hex()}"


def test_each_fault_has_its_error(check: Path, tmp_path: Path) -> None:
    names = re.findall(r"\w+", SOURCE.read_text().split("public enum Error")[1].split("}")[0])
    write_records(tmp_path / "records", FAULTY)

    lines = printed(check, "decode", tmp_path / "records")

    found = [names[int(line.removeprefix("refused "))] for line in lines]
    assert found == [name.title().replace("_", "") for name in (*FAULTS, *SEALED_FAULTS)]
    assert re.findall(r'case Error\.(\w+): return "', SOURCE.read_text()) == names


@pytest.mark.parametrize("has_key", [False, True], ids=["no key", "key"])
@pytest.mark.parametrize("seed", range(len(TIMINGS)))
def test_a_receiver_makes_of_packets_what_ours_does(check: Path, tmp_path: Path, seed: int, has_key: bool) -> None:
    events = draw_events(seed, has_key)
    write_events(tmp_path / "events", events)

    lines = printed(check, "state", tmp_path / "events", *arguments_of(TIMINGS[seed], has_key))

    assert_same_lines(lines, lines_of_events(events, TIMINGS[seed], has_key))


def test_reading_writing_and_following_hands_allocates_nothing(check: Path) -> None:
    line = printed(check, "allocated", GOLDEN, ROUNDS)[0]

    assert line.startswith("allocated 0 "), line


def test_nothing_in_it_is_unsafe() -> None:
    text = SOURCE.read_text()

    assert re.findall(r"\b(?:unsafe|fixed|stackalloc|Linq|Span)\b", text.replace("without unsafe code", "")) == []


def test_the_example_follows_a_right_hand(tmp_path: Path) -> None:
    example = compiled(tmp_path / "Example.exe", SOURCE, ROOT / "clients/csharp/Example.cs")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with subprocess.Popen(["mono", example, str(port)], stdout=subprocess.PIPE, text=True) as running:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            for sequence in range(150):
                packet = dataclasses.replace(joints_packet(plain_hand()), sequence=sequence)
                out.sendto(encode(packet), ("127.0.0.1", port))
                time.sleep(0.01)
        running.kill()
        assert running.stdout is not None
        lines = running.stdout.read().splitlines()

    assert "0.125 -0.125 0.625 m, follow it by 100 %" in lines
