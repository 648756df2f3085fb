"""Recordings of the page: taken while it shows, and played forward, from any place, and standing still."""

import errno
import socket
import time
from pathlib import Path

import pytest

from clients.packet_file import read_messages
from clients.page.playback import Playback
from clients.page.take import Take
from handmap.client.receiver import open_receiver
from handmap.client.session import Received
from handmap.protocol.packet import encode
from handmap.types.errors import RecordingError
from handmap.types.values import Handedness
from tests.clients.test_show import make_hand, make_received
from tests.support.previews import hand_picture

GAP_S = 0.05


def recorded(folder: Path, packets: int = 10) -> Path:
    """A recording of packets 50 ms apart, with a picture after every second one."""
    with open_receiver("127.0.0.1", 0) as receiver, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        take = Take(folder, receiver)
        take.start()
        assert take.problem == ""
        for sequence in range(packets):
            out.sendto(encode(make_received(make_hand(), sequence=sequence).packet), ("127.0.0.1", receiver.port))
            found = receiver.wait(2)
            assert found is not None
            take.saw(found)
            if sequence % 2:
                take.saw_picture(hand_picture(Handedness.RIGHT))
            time.sleep(GAP_S)
        take.stop()
    assert take.path is not None and not take.is_running and "written" in take.text
    return take.path


def sequences(playback: Playback, seconds: float) -> list[int]:
    end_s, found = time.monotonic() + seconds, []
    while time.monotonic() < end_s:
        received = playback.wait(0.02)
        if isinstance(received, Received):
            found.append(received.packet.sequence)
    return found


def test_what_was_recorded_is_played_at_its_pace_and_then_stands_still(tmp_path: Path) -> None:
    playback = Playback(recorded(tmp_path / "new folder"))

    assert playback.duration_s == pytest.approx(9 * GAP_S, abs=0.2)
    assert sequences(playback, playback.duration_s + 0.3) == list(range(10))
    assert playback.take() is not None and playback.take() is None
    assert not playback.is_playing and not playback.has_ended
    assert playback.place_s == playback.duration_s
    playback.play(True)
    assert sequences(playback, playback.duration_s + 0.3) == list(range(10)), "from the beginning again"


def test_it_goes_to_any_place_and_shows_what_was_there_while_it_stands(tmp_path: Path) -> None:
    playback = Playback(recorded(tmp_path))
    playback.play(False)
    sequences(playback, 0.1)

    for place_s in (5.5 * GAP_S, 0.0, playback.duration_s):
        playback.seek(place_s)
        shown = sequences(playback, 0.15)
        assert shown, "standing still, it shows what was there"
        assert playback.place_s == pytest.approx(place_s, abs=1e-3)
    assert shown[-1] == 9
    assert playback.counts.lost == 0


def test_pictures_and_packets_are_in_one_file(tmp_path: Path) -> None:
    messages = list(read_messages(recorded(tmp_path)))

    assert sum(one.host is None for one in messages) == 5
    assert [one.host for one in messages if one.host is not None] == ["127.0.0.1"] * 10


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
