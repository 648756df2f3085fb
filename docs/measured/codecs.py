"""Nanoseconds that reading and writing a datagram takes, in C, C# and Python, of three golden datagrams and their sealed ones.

`python -m docs.measured.codecs` on a quiet machine, half a minute. C is compiled by gcc -O2 and by clang -O2, where they are, C# by
mcs; times are those of the fastest of many runs (C, Python) or the mean of 100,000 (C#). JSON.
"""

import json
import subprocess
import timeit
from pathlib import Path
from tempfile import TemporaryDirectory

from handmap.protocol.packet import decode, encode
from tests.handmap.protocol.test_packet import GOLDEN, KEYS

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("no_hand", "left_and_right", "two_skeletons", "sealed_left_and_right", "sealed_two_skeletons")
ROUNDS = 100_000


def measure() -> dict[str, object]:
    """Bytes, and nanoseconds to read and to write, by codec and datagram."""
    golden = dict(line.split(" ", 1) for line in GOLDEN.read_text().splitlines())
    with TemporaryDirectory() as folder:
        return {
            "bytes": {name: len(golden[name]) // 2 for name in NAMES},
            "columns": ["decode_ns", "encode_ns"],
            "gcc": in_c("gcc", golden, Path(folder)),
            "clang": in_c("clang", golden, Path(folder)),
            "mono, two_skeletons": in_csharp(Path(folder)),
            "python": {name: in_python(bytes.fromhex(golden[name]), name.startswith("sealed")) for name in NAMES},
        }


def in_c(compiler: str, golden: dict[str, str], folder: Path) -> dict[str, list[int]]:
    """What clients/c/bench.c says."""
    program = folder / compiler
    subprocess.run([compiler, "-std=c99", "-O2", ROOT / "clients/c/bench.c", "-o", program], check=True)
    lines = "".join(f"{name} {golden[name]}\n" for name in NAMES)
    done = subprocess.run([program], input=lines, capture_output=True, text=True, check=True)
    rows = [line.split() for line in done.stdout.splitlines()]
    return {name: [int(decode_ns), int(encode_ns)] for name, _, decode_ns, encode_ns in rows}


def in_csharp(folder: Path) -> str:
    """What the check program says: allocated bytes and times."""
    program = folder / "Check.exe"
    sources = [ROOT / "clients/csharp/HandMap.cs", ROOT / "tests/clients/csharp/Check.cs"]
    subprocess.run(["mcs", "-optimize", f"-out:{program}", *map(str, sources)], check=True)
    command = ["mono", str(program), "allocated", str(GOLDEN), str(ROUNDS)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def in_python(data: bytes, is_sealed: bool) -> list[int]:
    """The reference codec."""
    keys = KEYS if is_sealed else None
    packet = decode(data, keys)
    read_s = min(timeit.repeat(lambda: decode(data, keys), number=200, repeat=20)) / 200
    write_s = min(timeit.repeat(lambda: encode(packet, keys), number=200, repeat=20)) / 200
    return [round(read_s * 1e9), round(write_s * 1e9)]


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))  # noqa: T201
