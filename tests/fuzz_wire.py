"""`make fuzz`: everything that reads datagrams, under a coverage-guided fuzzer; any exception but PacketError ends it.

Run `python -m tests.fuzz_wire SECONDS FOLDER`: FOLDER keeps what reached new code, and the datagram that ended the run.
"""

import sys
import zlib
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["handmap.protocol", "handmap.client", "runtime.control"]):
    from handmap.client.session import Session
    from handmap.protocol.authentication import KeyRing, make_key
    from handmap.protocol.control import decode_control, encode_control
    from handmap.protocol.info import decode_info
    from handmap.protocol.packet import decode, encode
    from handmap.types.errors import PacketError
    from runtime.control import ControlPort
    from runtime.publish_config import ControlConfig

ROOT = Path(__file__).resolve().parent.parent
KEYS = KeyRing((make_key(bytes(range(32))),))
HERE, ELSEWHERE = ("127.0.0.1", 5000), ("192.0.2.1", 5000)


def accepts(read: Any, *arguments: Any) -> Any:
    """What a reader makes of the datagram, or None if it refuses it as it should."""
    try:
        return read(*arguments)
    except PacketError:
        return None


class Target:
    """One run of the fuzzer; sessions and control port keep their state from datagram to datagram."""

    def __init__(self) -> None:
        self.sessions = [Session(), Session(KEYS), Session(None, ELSEWHERE)]
        self.ports = [ControlPort(ControlConfig(port=1), keys, 7, lambda: b"{}") for keys in (None, KEYS)]
        for port in self.ports:
            port.close()
        self.now_ns = 0

    def __call__(self, noise: bytes) -> None:
        """Reads the bytes as they are, and with magic, version and checksum put right."""
        body = b"HMAP\x01" + noise
        for data in (noise, body + zlib.crc32(body).to_bytes(4, "little")):
            self.read(data)

    def read(self, data: bytes) -> None:
        """Gives the datagram to everything that reads one."""
        self.now_ns += 1_000_000
        for keys in (None, KEYS):
            packet = accepts(decode, data, keys)
            if packet is not None:
                accepts(encode, packet)
            message = accepts(decode_control, data, keys)
            if message is not None:
                again = accepts(encode_control, message)  # information can be longer than what fits beside a trailer
                assert again is None or decode_control(again) == message
                accepts(decode_info, message.info)
        for session in self.sessions:
            for address in (HERE, ELSEWHERE):
                session.handle(data, address, self.now_ns)
            session.due(self.now_ns)
        for port in self.ports:
            answer = port.answer(data, ELSEWHERE, self.now_ns)
            assert answer is None or len(answer) <= len(data)


def main() -> None:
    """Fuzzes for so many seconds, starting from the golden datagrams."""
    seconds, folder = int(sys.argv[1]), Path(sys.argv[2])
    seeds = folder / "seeds"
    seeds.mkdir(parents=True, exist_ok=True)
    golden = ROOT / "tests" / "handmap" / "protocol" / "golden_packets.txt"
    for line in golden.read_text().splitlines():
        name, data = line.split()
        (seeds / name).write_bytes(bytes.fromhex(data)[5:-4])
    options = [f"-max_total_time={seconds}", "-max_len=1300", f"-artifact_prefix={folder}/", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *options, str(seeds)], Target())
    atheris.Fuzz()


if __name__ == "__main__":
    main()
