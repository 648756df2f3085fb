"""The programs in clients/c: the example of docs/codecs.md, the receiver that subscribes, the benchmark and the fuzz target."""

import dataclasses
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from handmap.protocol.authentication import KeyRing
from handmap.protocol.control import ControlMessage, decode_control, encode_control
from handmap.protocol.fields import ControlType, HandFlags
from handmap.protocol.packet import encode
from tests.handmap.protocol.test_packet import GOLDEN, KEYS, joints_packet, plain_hand
from tests.support.codec_cases import write_seeds
from tests.support.compiled import compile_program

SOURCES = Path(__file__).resolve().parents[3] / "clients/c"
FUZZ_RUNS = 10_000
TOKEN = bytes(range(100, 116))


@pytest.fixture(scope="module")
def listen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled receiver."""
    return compile_program(SOURCES / "listen.c", tmp_path_factory.mktemp("c") / "listen", "gcc", "-std=c99", "-O1")


@pytest.fixture
def daemon() -> Iterator[socket.socket]:
    """A control port that a test answers at."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        control.bind(("127.0.0.1", 0))
        control.settimeout(30)
        yield control


def started(*command: object) -> "subprocess.Popen[str]":
    """A program whose lines can be read."""
    return subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def free_udp_port() -> int:
    """A port that nobody has now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def send_until_done(running: "subprocess.Popen[str]", port: int, timeout_s: float = 10) -> None:
    """Packets of one stream to a port, until the program ends."""
    end_s = time.monotonic() + timeout_s
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        for sequence in range(10**6):
            packet = dataclasses.replace(joints_packet(plain_hand(3)), sequence=sequence, frame_number=sequence)
            out.sendto(encode(packet), ("127.0.0.1", port))
            time.sleep(0.02)
            if running.poll() is not None:
                return
            assert time.monotonic() < end_s, "still running"


def answer(control: socket.socket, keys: KeyRing | None, stream_id: int) -> tuple[ControlMessage, tuple[str, int]]:
    """Answers one question as a daemon does; the question, and who asked."""
    data, asker = control.recvfrom(2000)
    question = decode_control(data, keys)
    is_ping = question.message_type is ControlType.PING
    reply = dataclasses.replace(
        question, message_type=ControlType.PONG if is_ping else ControlType.SUBSCRIBED, stream_id=stream_id,
        token=TOKEN, received_ns=1, sent_ns=2,
    )  # fmt: skip
    control.sendto(encode_control(reply, keys), asker)
    return question, asker


def test_packets_sent_to_a_port_are_printed(listen: Path) -> None:
    port = free_udp_port()
    with started(listen, "--count", 3, port) as running:
        send_until_done(running, port)
        assert running.stdout is not None
        lines = running.stdout.read().splitlines()

    assert lines[0].endswith(": tracking, hands 1")
    assert lines[1] == "  right, track 3, wrist 0.000 -0.000 0.500 m, confidence 0.50"
    assert len([line for line in lines if line.startswith("frame")]) == 3 and running.returncode == 0


@pytest.mark.parametrize("has_key", [False, True], ids=["no key", "key"])
def test_a_subscription_is_asked_for_with_the_token_and_gets_packets(
    listen: Path, daemon: socket.socket, tmp_path: Path, has_key: bool
) -> None:
    (tmp_path / "key").write_text(f"# new\n{bytes(range(32)).hex()}\n")
    keys, options = (KEYS, ("--key", tmp_path / "key")) if has_key else (None, ())
    packet = joints_packet(dataclasses.replace(plain_hand(9), flags=HandFlags.NONE))
    replayed = dataclasses.replace(packet, stream_id=99, frame_number=98)
    with started(listen, *options, "--count", 1, f"127.0.0.1:{daemon.getsockname()[1]}") as running:
        ping, _ = answer(daemon, keys, packet.stream_id)
        subscribe, asker = answer(daemon, keys, packet.stream_id)
        if has_key:
            daemon.sendto(encode(packet), asker)  # not authentic
            daemon.sendto(encode(replayed, keys), asker)  # of a stream that no PONG has named
        daemon.sendto(encode(packet, keys), asker)
        out, errors = running.communicate(timeout=60)

    assert ping.token == bytes(16) and ping.message_type is ControlType.PING
    assert (subscribe.message_type, subscribe.token, subscribe.lease_s) == (ControlType.SUBSCRIBE, TOKEN, 10)
    assert out.splitlines()[0] == "frame 99: tracking, hands 1"
    assert out.splitlines()[1].endswith("not valid") and running.returncode == 0
    assert ("refused: the datagram is not authenticated" in errors) == has_key


@pytest.mark.parametrize(
    ("arguments", "sentence", "code"),
    [
        ((), "usage", 64),
        (("--key", "/nowhere", "localhost:1"), "64 hexadecimal digits", 1),
        (("99999999",), "99999999", 1),
    ],
)
def test_a_wrong_command_is_answered_in_one_line(
    listen: Path, arguments: tuple[str, ...], sentence: str, code: int
) -> None:
    done = subprocess.run([listen, *arguments], capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stderr.count("\n")) == (code, 1)
    assert sentence in done.stderr


def test_the_example_follows_a_right_hand(tmp_path: Path) -> None:
    example = compile_program(SOURCES / "example.c", tmp_path / "example", "gcc", "-std=c99")
    port = free_udp_port()
    with started(example, port) as running:
        assert running.stdout is not None
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            for sequence in range(60):
                packet = dataclasses.replace(joints_packet(plain_hand()), sequence=sequence)
                out.sendto(encode(packet), ("127.0.0.1", port))
                time.sleep(0.01)
        running.kill()
        lines = running.stdout.read().splitlines()

    assert lines[0] == "0.125 -0.125 0.625 m, follow it by 0 %"
    assert "0.125 -0.125 0.625 m, follow it by 100 %" in lines


def test_the_benchmark_prints_sizes_and_times(tmp_path: Path) -> None:
    bench = compile_program(SOURCES / "bench.c", tmp_path / "bench", "gcc", "-std=c99", "-O2")
    line = next(line for line in GOLDEN.read_text().splitlines() if line.startswith("left_and_right "))

    done = subprocess.run([bench], input=line, capture_output=True, text=True, check=True)

    name, size, decode_ns, encode_ns = done.stdout.split()
    assert (name, size) == ("left_and_right", "768")
    assert 10 < int(decode_ns) < 20_000 and 10 < int(encode_ns) < 20_000  # far from both, whatever else runs here


def test_the_fuzz_target_runs(tmp_path: Path) -> None:
    if shutil.which("clang") is None:
        pytest.skip("needs clang on PATH, whose libFuzzer is used; on Debian .ci/compilers installs it")
    options = ("-std=c99", "-g", "-O1", "-fsanitize=fuzzer,address,undefined")
    fuzz = compile_program(SOURCES / "fuzz.c", tmp_path / "fuzz", "clang", *options)
    seeds = tmp_path / "seeds"
    write_seeds(seeds)

    limits = ["-max_len=1210", f"-runs={FUZZ_RUNS}", "-seed=1", "-max_total_time=20"]
    done = subprocess.run([fuzz, *limits, "-detect_leaks=0", seeds], capture_output=True, text=True, cwd=tmp_path)

    assert done.returncode == 0, done.stderr[-3000:]
    assert "Done" in done.stderr


def test_the_page_shows_parts_of_the_examples() -> None:
    page = (SOURCES.parents[1] / "docs/codecs.md").read_text()
    examples = {"c": SOURCES / "example.c", "csharp": SOURCES.parent / "csharp/Example.cs"}

    blocks = re.findall(r"```(c|csharp)\n(.*?)```", page, re.DOTALL)

    assert [language for language, _ in blocks] == ["c", "csharp"]
    for language, block in blocks:
        assert block in examples[language].read_text()
