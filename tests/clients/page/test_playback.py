"""Recordings of the page: taken while it shows, and played forward, from any place, and standing still."""

import errno
import socket
import time
from pathlib import Path

import pytest

from clients.packet_file import PacketRecorder, read_messages
from clients.page.playback import Playback
from clients.page.take import Take
from handmap.client.receiver import open_receiver
from handmap.protocol.packet import encode
from handmap.protocol.preview import LENGTH_BYTES, encode_preview
from handmap.types.errors import RecordingError
from handmap.types.values import Handedness
from tests.clients.test_show import make_hand, make_received
from tests.support.previews import hand_picture

GAP_S = 0.05


def recorded(folder: Path, packets: int = 10) -> Path:
    """A recording of packets as the page takes it, with a picture after every second one."""
    with open_receiver("127.0.0.1", 0) as receiver, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        take = Take(folder, receiver)
        take.start()
        assert take.problem == ""
        for sequence in range(packets):
            out.sendto(hand_datagram(sequence), ("127.0.0.1", receiver.port))
            found = receiver.wait(2)
            assert found is not None
            take.saw(found)
            if sequence % 2:
                take.saw_picture(hand_picture(Handedness.RIGHT))
        take.stop()
    assert take.path is not None and not take.is_running and "written" in take.text
    return take.path


def paced(path: Path, packets: int = 10, gap_s: float = GAP_S) -> Path:
    """A recording of packets that came at exactly this pace, with a picture after every second one."""
    recorder = PacketRecorder(path)
    for sequence in range(packets):
        came_ns = round(sequence * gap_s * 1e9)
        recorder.take_datagram(hand_datagram(sequence), ("127.0.0.1", 0), came_ns)
        if sequence % 2:
            recorder.take_picture(encode_preview(hand_picture(Handedness.RIGHT))[LENGTH_BYTES:], came_ns)
    recorder.close()
    return path


def hand_datagram(sequence: int) -> bytes:
    return encode(make_received(make_hand(), sequence=sequence).packet)


def played(playback: Playback) -> list[int]:
    """The sequence numbers of all packets until it stands still."""
    found = []
    while (received := playback.wait(2 * GAP_S)) is not None or playback.is_playing:
        if received is not None:
            found.append(received.packet.sequence)
    return found


def test_what_was_recorded_is_played_at_its_pace_and_then_stands_still(tmp_path: Path) -> None:
    playback = Playback(paced(tmp_path / "a.mcap"))
    began_s = time.monotonic()

    assert playback.duration_s == pytest.approx(9 * GAP_S, abs=1e-3)
    assert played(playback) == list(range(10))
    assert time.monotonic() - began_s > 8 * GAP_S
    assert playback.take() is not None and playback.take() is None
    assert not playback.is_playing and not playback.has_ended
    assert playback.place_s == playback.duration_s
    playback.play(True)
    assert played(playback) == list(range(10)), "from the beginning again"


def test_it_goes_to_any_place_and_shows_what_was_there_while_it_stands(tmp_path: Path) -> None:
    playback = Playback(paced(tmp_path / "a.mcap"))
    playback.play(False)
    played(playback)

    for place_s in (5.5 * GAP_S, 0.0, playback.duration_s):
        playback.seek(place_s)
        shown = played(playback)
        assert shown, "standing still, it shows what was there"
        assert playback.place_s == pytest.approx(place_s, abs=1e-3)
    assert shown[-1] == 9
    assert playback.counts.lost == 0


def test_pictures_and_packets_are_in_one_file(tmp_path: Path) -> None:
    messages = list(read_messages(recorded(tmp_path / "new folder")))

    assert sum(one.host is None for one in messages) == 5
    assert [one.host for one in messages if one.host is not None] == ["127.0.0.1"] * 10


def test_a_recording_is_for_its_user_alone(tmp_path: Path) -> None:
    assert recorded(tmp_path).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("has_pictures", [False, True])
def test_a_recording_without_packets_is_not_kept_and_that_is_said(tmp_path: Path, has_pictures: bool) -> None:
    with open_receiver("127.0.0.1", 0) as receiver:
        take = Take(tmp_path / "taken", receiver)
        take.start()
        assert take.path is not None and take.path.exists()
        if has_pictures:
            take.saw_picture(hand_picture(Handedness.RIGHT))
        take.stop()
        said = take.text
        take.start()
        during = take.text
        take.stop()

    assert said == "no packets arrived; no file was kept" and " s in " in during
    assert list((tmp_path / "taken").iterdir()) == []


def test_a_full_disk_ends_the_recording_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_receiver("127.0.0.1", 0) as receiver:
        take = Take(tmp_path, receiver)
        take.start()
        assert take._recorder is not None

        def full(*arguments: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(
            take._recorder._stream, "_file", type("Full", (), {"write": full, "flush": full, "tell": lambda self: 0})()
        )
        take.saw(make_received(make_hand()))
        take.saw(make_received(make_hand()))
        take.stop()

    assert "No space left" in take.problem and "No space left" in take.text
    assert not take.is_running


def test_a_folder_that_cannot_be_is_said_and_nothing_runs(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with open_receiver("127.0.0.1", 0) as receiver:
        take = Take(tmp_path / "file", receiver)
        take.start()

    assert not take.is_running and str(tmp_path / "file") in take.problem


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mcap").write_bytes(b"\x89MCAP0\r\n")
    with pytest.raises(RecordingError, match="has no packets"):
        Playback(tmp_path / "a.mcap")
    with pytest.raises(RecordingError, match="cannot be read"):
        Playback(tmp_path / "none.mcap")
