"""The verb `bridge` as a user runs it: packets in at a port of the loopback, the other format out."""

import json
import socket
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from clients.bridge_commands import bridge
from clients.packet_file import PacketRecorder
from handmap.protocol.fields import DaemonState, MessageType
from handmap.protocol.packet import Packet, encode
from handmap.types.errors import ConfigError, RecordingError
from tests.support.adapter_checks import check_vmc_hand, hts_lines, osc_messages
from tests.support.doc_examples import ROWS, sending
from tests.support.processes import listening, port_of
from tests.support.wire_hands import wire_hand


def bridged(kind: str, *options: str) -> Result:
    with listening() as free:
        port = port_of(free)
    with sending(port):
        arguments = [kind, "--bind", "127.0.0.1", "--port", str(port), "--seconds", "0.5", *options]
        return CliRunner().invoke(bridge, arguments, catch_exceptions=False)


def arrived(sink: socket.socket) -> list[bytes]:
    """What has arrived by now."""
    sink.setblocking(False)
    datagrams = []
    try:
        while True:
            datagrams.append(sink.recv(65_535))
    except BlockingIOError:
        return datagrams


def test_openxr_prints_lines() -> None:
    done = bridged("openxr")

    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(lines) > 10 and "passing on to standard output" in done.stderr
    both = [line for line in lines if line["left"]["is_active"] and line["right"]["is_active"]]
    assert len(both) > 10
    assert max(both[-1]["right"]["location_flags"]) == 15


def test_openxr_sends_lines_where_it_is_told_to() -> None:
    with listening() as sink:
        bridged("openxr", "--send", f"127.0.0.1:{port_of(sink)}")
        lines = [json.loads(datagram) for datagram in arrived(sink)]

    assert any(line["left"]["is_active"] for line in lines)


def test_vmc_sends_bundles() -> None:
    with listening() as sink:
        done = bridged("vmc", "--send", f"127.0.0.1:{port_of(sink)}")
        datagrams = arrived(sink)

    assert done.exit_code == 0
    hands = [messages for messages in map(osc_messages, datagrams) if messages[0][0] == "/VMC/Ext/Tra/Pos"]
    check_vmc_hand(hands[0], ROWS[0], turn_error_m=2e-4)
    check_vmc_hand(hands[1], ROWS[1], turn_error_m=2e-4)


def test_hts_sends_lines_of_both_hands() -> None:
    with listening() as sink:
        bridged("hts", "--send", f"127.0.0.1:{port_of(sink)}")
        datagrams = arrived(sink)

    assert {hts_lines(datagram)["wrist"][0] for datagram in datagrams} == {"Left", "Right"}


@pytest.mark.parametrize(("kind", "file"), [("isaac", "hands.mcap"), ("ros", "metadata.yaml")])
def test_a_folder_is_written_and_never_overwritten(kind: str, file: str, tmp_path: Path) -> None:
    bridged(kind, "--out", str(tmp_path / "out"))

    assert (tmp_path / "out" / file).stat().st_size > 0
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    with pytest.raises(RecordingError, match="never overwritten"):
        bridged(kind, "--out", str(tmp_path / "out"))


def test_lerobot_writes_a_data_set(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")

    bridged("lerobot", "--out", str(tmp_path / "out"), "--fps", "20", "--task", "wave")

    info = json.loads((tmp_path / "out/meta/info.json").read_text())
    assert info["fps"] == 20 and info["total_frames"] >= 5 and info["total_episodes"] == 1


@pytest.mark.parametrize("kind", ["openxr", "vmc", "hts"])
def test_a_target_that_is_none_is_one_sentence(kind: str) -> None:
    with pytest.raises(ConfigError, match="wanted HOST or HOST:PORT"):
        CliRunner().invoke(bridge, [kind, "--send", "a/b"], catch_exceptions=False)


def test_a_recording_is_passed_on_with_the_times_of_the_replay(tmp_path: Path) -> None:
    recorder = PacketRecorder(tmp_path / "hands.mcap")
    for number in range(10):
        at_ns = (1000 + 20 * number) * 1_000_000  # by a clock of another day
        packet = Packet(
            MessageType.JOINTS, DaemonState.TRACKING, 9, number, number, at_ns, at_ns, tuple(map(wire_hand, ROWS))
        )
        recorder.take_datagram(encode(packet), ("127.0.0.1", 5656), at_ns)
    recorder.close()
    before_ns = time.monotonic_ns()

    done = CliRunner().invoke(bridge, ["openxr", "--replay", str(tmp_path / "hands.mcap")], catch_exceptions=False)

    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    times_ns = [line["left"]["time_ns"] for line in lines if line["left"]["is_active"]]
    assert len(times_ns) >= 10 and times_ns == sorted(times_ns)
    assert before_ns <= times_ns[0] and times_ns[-1] <= time.monotonic_ns()
