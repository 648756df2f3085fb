"""How listen and view present packets: lines, JSON, shapes and text."""

import dataclasses
import json
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from clients.demo import watch
from clients.listen import MAX_STREAMS, Limits, TextLines, as_json, print_packets, reception_summary
from clients.page.colors import SIDE_RGB, SURE_RGB, UNSURE_RGB
from clients.page.scene import Readout, drawn_hand
from clients.page.view_options import ViewOptions
from clients.page.viewer import HandViewer
from clients.statistics import ReceptionStats
from handmap.client.receiver import Receiver, open_receiver
from handmap.client.session import Received, StreamCounts
from handmap.protocol.fields import DaemonState, HandFlags, MessageType
from handmap.protocol.packet import Packet, PacketHand, encode
from handmap.types.errors import ConfigError
from handmap.types.joints import BONES
from handmap.types.values import Handedness


def make_hand(error_m: float = 0.008) -> PacketHand:
    xyz_m = np.linspace(0.1, 0.5, 63, dtype=np.float32).reshape(21, 3)
    flags = HandFlags.VALID | HandFlags.TRACKED
    return PacketHand(xyz_m, np.full(21, error_m, np.float32), 3, Handedness.RIGHT, 0.0, 0.9, flags)


def make_received(*hands: PacketHand, state: DaemonState = DaemonState.TRACKING, sequence: int = 0) -> Received:
    packet = Packet(MessageType.JOINTS, state, 1, sequence, sequence, 1_000_000, 3_000_000, hands)
    return Received(packet, 4_000_000 + sequence * 20_000_000, False, 0, True, 0)


def test_text_has_a_line_per_frame_and_one_per_change_of_state() -> None:
    lines: list[str] = []
    show = TextLines(lines.append)
    beat = make_received(state=DaemonState.NO_HAND)
    beat = dataclasses.replace(beat, packet=dataclasses.replace(beat.packet, message_type=MessageType.HEARTBEAT))

    for received in (make_received(make_hand()), make_received(make_hand(), sequence=1), beat, beat):
        show(received)
    again = make_received()
    show(dataclasses.replace(again, packet=dataclasses.replace(again.packet, stream_id=2), lost_before=2))

    assert lines == [
        "-- TRACKING",
        "frame       0     3.0 ms  right #3 wrist ( +100  +106   113) mm +-8, confidence 0.90",
        "frame       1    23.0 ms  right #3 wrist ( +100  +106   113) mm +-8, confidence 0.90",
        "-- NO_HAND",
        "-- restarted as stream 00000002",
        "-- 2 packets lost",
        "-- TRACKING",
        "frame       0     3.0 ms  no hand",
    ]


def test_json_carries_joints_in_meters() -> None:
    line = json.loads(json.dumps(as_json(make_received(make_hand()))))

    assert (line["state"], line["latency_ms"], line["joint_order"]) == ("TRACKING", 3.0, "hand21")
    (hand,) = line["hands"]
    assert np.allclose(hand["xyz_m"], make_hand().xyz_m)
    assert (hand["handedness"], hand["is_valid"], hand["is_extrapolated"]) == ("right", True, False)


def test_listening_ends_after_count_and_after_seconds() -> None:
    receiver = open_receiver("127.0.0.1", 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        for sequence in range(5):
            out.sendto(encode(make_received(sequence=sequence).packet), ("127.0.0.1", receiver.port))
    shown: list[Received] = []
    warnings: list[str] = []

    print_packets(receiver, shown.append, warnings.append, "hint", Limits(count=3))
    start_s = time.monotonic()
    print_packets(receiver, shown.append, warnings.append, "hint", Limits(seconds=0.3))

    assert [received.packet.sequence for received in shown] == [0, 1, 2, 3, 4]
    assert time.monotonic() - start_s > 0.25
    assert reception_summary(receiver.counts) == "5 packets, 0 lost, 0 late, 0 repeated, 0 restarts, 0 refused"
    assert not warnings
    receiver.close()


def test_what_is_counted_with_keys_and_many_hands_alone_is_told_where_there_is_any() -> None:
    counts = StreamCounts(received=5, incomplete=2, unproven=3)

    assert reception_summary(counts).endswith("0 restarts, 0 refused, 2 incomplete, 3 unproven")
    assert "0 refused, 2 incomplete, 3 unproven" in ReceptionStats().table(counts)
    assert ReceptionStats().as_json(counts)["incomplete"] == 2


def test_silence_is_reported_once_with_advice() -> None:
    receiver = open_receiver("127.0.0.1", 0)
    warnings: list[str] = []

    print_packets(receiver, lambda received: None, warnings.append, f"port {receiver.port}", Limits(seconds=2.2))

    (line,) = warnings
    assert "silence" in line and f"port {receiver.port}" in line
    receiver.close()


def test_two_daemons_on_one_port_are_distinguished_from_restarts() -> None:
    lines: list[str] = []
    show = TextLines(lines.append)

    for stream_id in (1, 2, 1, 2, 1):
        received = make_received()
        show(dataclasses.replace(received, packet=dataclasses.replace(received.packet, stream_id=stream_id)))

    assert [line for line in lines if line.startswith("-- ")] == [
        "-- TRACKING",
        "-- restarted as stream 00000002",
        "-- two daemons send to this port: 00000002 and 00000001; stop one",
    ]


def test_forged_stream_ids_cost_no_more_the_more_there_are() -> None:
    show = TextLines(lambda line: None)
    received = make_received()

    for stream_id in range(5_000):
        show(dataclasses.replace(received, packet=dataclasses.replace(received.packet, stream_id=stream_id)))

    assert list(show._streams) == list(range(5_000 - MAX_STREAMS, 5_000))


def test_numbers_at_the_edge_of_float32_are_shown() -> None:
    far = dataclasses.replace(make_hand(3e38), xyz_m=np.full((21, 3), -3e38, np.float32))
    lines: list[str] = []
    readout = Readout()

    TextLines(lines.append)(make_received(far))
    readout.saw(make_received(far))

    assert "right #3" in lines[-1] and "right hand #3" in readout.markdown(StreamCounts(), 4_000_000)[1]
    assert (drawn_hand(far).colors == UNSURE_RGB.astype(np.uint8)).all()
    json.dumps(as_json(make_received(far)), allow_nan=False)


@contextmanager
def shown_page(folder: Path, host: str = "127.0.0.1") -> Iterator[tuple[HandViewer, Receiver]]:
    with open_receiver("127.0.0.1", 0) as receiver:
        page = HandViewer(receiver, ViewOptions(host, None, folder))
        try:
            yield page, receiver
        finally:
            page.close()


def test_connection_without_a_request_is_not_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with shown_page(tmp_path) as (page, _):
        port = int(page.address.rpartition(":")[2])
        socket.create_connection(("127.0.0.1", port)).close()
        time.sleep(0.5)

    assert not caplog.records
    assert capfd.readouterr() == ("", "")


def test_demo_shows_the_hands_and_not_the_heartbeats_between_them(capsys: pytest.CaptureFixture[str]) -> None:
    receiver = open_receiver("127.0.0.1", 0)
    frame = make_received(make_hand()).packet
    beat = dataclasses.replace(frame, message_type=MessageType.HEARTBEAT, hands=())

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            for number in range(60):
                for step, packet in enumerate((beat, frame)):
                    data = encode(dataclasses.replace(packet, sequence=2 * number + step))
                    out.sendto(data, ("127.0.0.1", receiver.port))
                time.sleep(0.02)

    sender = threading.Thread(target=send)
    sender.start()
    hands = watch(receiver, [], 1.15)
    sender.join()
    receiver.close()

    (line,) = capsys.readouterr().out.splitlines()
    assert "right #3 wrist" in line and "frames/s" in line
    assert hands > 40


def test_page_on_an_address_of_another_machine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--web-host"), shown_page(tmp_path, "198.51.100.1"):
        pass


def test_color_runs_from_sure_to_unsure() -> None:
    assert (drawn_hand(make_hand(0.001)).colors == SURE_RGB.astype(np.uint8)).all()
    assert (drawn_hand(make_hand(0.1)).colors == UNSURE_RGB.astype(np.uint8)).all()


def test_bones_have_the_color_of_their_side() -> None:
    left = dataclasses.replace(make_hand(), handedness=Handedness.LEFT)

    for hand in (left, make_hand()):
        assert (drawn_hand(hand).capsule_colors == np.tile(SIDE_RGB[hand.handedness], (len(BONES), 1))).all()
    assert SIDE_RGB[Handedness.LEFT] != SIDE_RGB[Handedness.RIGHT]


def test_readout_shows_rate_latency_confidence_and_silence() -> None:
    readout = Readout()
    assert "no packets**: is the daemon running?" in readout.markdown(StreamCounts(), 0)[0]
    for sequence in range(50):
        readout.saw(make_received(make_hand(), sequence=sequence))
    now_ns = make_received(sequence=49).received_ns

    state, words = readout.markdown(StreamCounts(lost=4), now_ns)

    assert state == "**TRACKING**"
    assert "rate 50.0 Hz" in words and "lost 4" in words
    assert "confidence 0.90, ±8 mm" in words
    assert "no packets" in readout.markdown(StreamCounts(), now_ns + 2 * 10**9)[0]
    assert readout.rate_hz(now_ns + 2 * 10**9) == 0.0


def test_hands_go_while_only_heartbeats_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = make_received(make_hand())
    later_ns = seen.received_ns + 2 * 10**9
    beat = make_received(state=DaemonState.NO_CAMERA, sequence=1)
    beat = dataclasses.replace(
        beat, received_ns=later_ns, packet=dataclasses.replace(beat.packet, message_type=MessageType.HEARTBEAT)
    )
    with shown_page(tmp_path) as (page, _):
        monkeypatch.setattr(page, "_now_ns", lambda: seen.received_ns)
        page._show(seen)
        page._draw()
        assert page._space._hands[0]._joints.visible
        page._show(beat)
        monkeypatch.setattr(page, "_now_ns", lambda: later_ns)
        page._refresh()

        assert not page._space._hands[0]._joints.visible
        assert page._panel._state.content == "**NO_CAMERA**" and "hand #" not in page._panel._text.content


def test_a_lost_hand_disappears_and_comes_back(tmp_path: Path) -> None:
    hand = drawn_hand(make_hand())
    shown = []

    with shown_page(tmp_path) as (page, _):
        first, second = page._space._hands[:2]
        for hands in ([hand, hand], [hand], [], [hand]):
            page._space.show_hands(hands)
            shown.append([node.visible for one in (first, second) for node in (one._joints, one._bones)])

    assert shown == [[True] * 4, [True, True, False, False], [False] * 4, [True, True, False, False]]
    assert np.allclose(first._bones.batched_scales, hand.capsules.scales_m)


def test_page_is_served_and_survives_a_restart_of_the_sender(tmp_path: Path) -> None:
    with shown_page(tmp_path) as (page, receiver):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            for stream_id in (1, 2):
                packet = dataclasses.replace(make_received(make_hand()).packet, stream_id=stream_id)
                out.sendto(encode(packet), ("127.0.0.1", receiver.port))
        for _ in range(3):
            page.step()
        address = page.address.replace("localhost", "127.0.0.1")  # a browser knows that name, a fresh machine may not
        with urllib.request.urlopen(address, timeout=30) as answer:
            status = answer.status

    assert status == 200
    assert receiver.counts.restarts == 1
