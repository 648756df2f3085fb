"""What was received, recorded and played again: the same packets at the same pace, whatever ended the recording."""

import dataclasses
import json
import signal
import socket
import time
from pathlib import Path

import pytest

from clients.packet_file import PacketPlayer, PacketRecorder, read_datagrams
from handmap.client.receiver import open_receiver
from handmap.protocol.authentication import KeyRing
from handmap.protocol.packet import encode
from handmap.recording.message_file import MessageStream
from handmap.types.errors import RecordingError
from tests.handmap.protocol.test_packet import KEYS, joints_packet, plain_hand, with_skeleton
from tests.support.processes import free_port, handmap, started

PACE_S = 0.02


def datagrams(count: int, keys: KeyRing | None = None) -> list[bytes]:
    hand = with_skeleton(plain_hand())
    return [encode(dataclasses.replace(joints_packet(hand), sequence=number), keys) for number in range(count)]


def recorded(path: Path, sent: list[bytes]) -> None:
    with open_receiver("127.0.0.1", 0) as receiver, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        recorder = PacketRecorder(path)
        receiver.tap = recorder.take_datagram
        for data in sent:
            out.sendto(data, ("127.0.0.1", receiver.port))
            time.sleep(PACE_S)
            received = receiver.wait(0.5)
            if received is not None:
                recorder.take(received)
        recorder.close()


def test_a_recording_is_played_as_it_arrived(tmp_path: Path) -> None:
    sent = datagrams(20)
    recorded(tmp_path / "hands.mcap", [*sent[:8], *sent[10:], sent[12]])

    player = PacketPlayer(tmp_path / "hands.mcap")
    start_s, came = time.monotonic(), []
    while not player.has_ended:
        received = player.wait(0.5)
        if received is not None:
            came.append(received)
    took_s = time.monotonic() - start_s

    assert [received.packet.sequence for received in came] == [*range(8), *range(10, 20)]
    assert (player.counts.lost, player.counts.repeated) == (2, 1)
    assert [encode(received.packet) for received in came] == [*sent[:8], *sent[10:]]
    assert all(received.is_same_machine for received in came)
    # Of a clock of another day, times would be meaningless: packets leave when they arrive.
    assert all(received.latency_ms == pytest.approx(received.sender_ms, abs=1e-6) for received in came)
    assert 17 * PACE_S < took_s < 30


def test_a_sealed_recording_is_played_without_its_key(tmp_path: Path) -> None:
    recorded(tmp_path / "hands.mcap", datagrams(3, KEYS))

    assert (tmp_path / "hands.mcap").stat().st_mode & 0o777 == 0o600
    assert len([data for _, _, data in read_datagrams(tmp_path / "hands.mcap")]) == 3
    assert PacketPlayer(tmp_path / "hands.mcap").wait(0.5) is not None


@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
def test_a_file_cut_short_is_played_as_far_as_it_goes(tmp_path: Path, share: float) -> None:
    recorded(tmp_path / "hands.mcap", datagrams(10))
    whole = (tmp_path / "hands.mcap").read_bytes()
    (tmp_path / "cut.mcap").write_bytes(whole[: int(len(whole) * share)])

    found = [data for _, _, data in read_datagrams(tmp_path / "cut.mcap")]

    assert found == datagrams(10)[: len(found)] and found


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.mcap").write_text("hello")
    recorded(tmp_path / "empty.mcap", [])

    with pytest.raises(RecordingError, match="is not an MCAP file"):
        next(read_datagrams(tmp_path / "text.mcap"))
    with pytest.raises(RecordingError, match="No such file"):
        next(read_datagrams(tmp_path / "none.mcap"))
    with pytest.raises(RecordingError, match="has no packets"):
        PacketPlayer(tmp_path / "empty.mcap")
    with pytest.raises(RecordingError, match="never overwritten"):
        PacketRecorder(tmp_path / "text.mcap")
    with pytest.raises(RecordingError, match="folder that exists"):
        PacketRecorder(tmp_path / "no" / "where.mcap")


def test_a_full_disk_is_one_sentence() -> None:
    with (
        Path("/dev/full").open("wb", buffering=0) as file,
        pytest.raises(RecordingError, match=r"No space left.*stays"),
    ):
        MessageStream(file, "full.mcap", "what was recorded until now stays")


def test_the_verb_records_and_plays_and_a_kill_costs_a_second_at_most(tmp_path: Path) -> None:
    port, sent = free_port(), datagrams(150)
    with (
        started("listen", "--port", str(port), "--record", tmp_path / "hands.mcap") as listening,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out,
    ):
        end_s = time.monotonic() + 60
        while not (tmp_path / "hands.mcap").exists() and time.monotonic() < end_s:
            time.sleep(0.05)
        for data in sent:
            out.sendto(data, ("127.0.0.1", port))
            time.sleep(PACE_S)
        listening.send_signal(signal.SIGKILL)
        listening.wait(30)

    kept = [data for _, _, data in read_datagrams(tmp_path / "hands.mcap")]
    played = handmap("listen", "--replay", tmp_path / "hands.mcap", "--json")

    assert kept == sent[: len(kept)] and len(kept) * PACE_S > len(sent) * PACE_S - 1.5
    lines = [json.loads(line) for line in played.stdout.splitlines()]
    assert [line["sequence"] for line in lines] == list(range(len(kept)))
    assert lines[0]["hands"][0]["skeleton"]["is_size_held"] is True


def test_the_verb_keeps_no_recording_of_nothing_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "hands.mcap"
    done = handmap("listen", "--port", str(free_port()), "--record", path, "--seconds", "0.2")

    assert done.returncode == 0 and not path.exists()
    assert f"{path}: no packets arrived; no file was kept" in done.stderr.splitlines()


def test_statistics_of_a_recording_are_exact(tmp_path: Path) -> None:
    sent = datagrams(30)
    recorded(tmp_path / "hands.mcap", [*sent[:10], *sent[13:], sent[20]])

    done = handmap("listen", "--replay", tmp_path / "hands.mcap", "--stats", "--json")

    facts = json.loads(done.stdout)
    assert (facts["frames"], facts["packets"], facts["lost"], facts["repeated"]) == (27, 27, 3, 1)
    assert facts["lost_percent"] == 10.0
    assert 1000 / facts["rate_hz"] == pytest.approx(facts["interval_ms"]["p50"], rel=0.5)
    table = handmap("listen", "--replay", tmp_path / "hands.mcap", "--stats").stdout
    assert "27 packets, 3 lost (10.00 %)" in table and "jitter" in table


@pytest.mark.parametrize(
    "options",
    [
        ("--replay", "f", "--port", "1"),
        ("--from", "a", "--bind", "any"),
        ("--replay", "f", "--key", "k"),
        ("--replay", "f", "--from", "a"),
    ],
)
def test_two_sources_at_once_are_refused(options: tuple[str, ...]) -> None:
    done = handmap("listen", *options)

    assert done.returncode == 2 and "leave out" in done.stderr
