"""The page of a recording, without a browser: what it says and shows is that of the place where it stands."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import viser

from clients.packet_file import PacketRecorder
from clients.page.panel import PAUSE, PLAY, RECORD, STOP
from clients.page.playback import Playback
from clients.page.view_options import ViewOptions
from clients.page.viewer import HandViewer
from handmap.protocol.fields import DaemonState, MessageType
from handmap.protocol.packet import encode
from handmap.protocol.preview import LENGTH_BYTES, encode_preview
from handmap.types.values import Handedness
from tests.clients.test_show import make_hand, make_received
from tests.support.previews import hand_picture

# What was seen in each stretch of 10 s: its state, the hands, and the time between packets.
STRETCHES = (
    (DaemonState.TRACKING, (Handedness.LEFT,), 0.1),
    (DaemonState.NO_HAND, (), 0.05),
    (DaemonState.NO_CAMERA, None, 1.0),
    (DaemonState.TRACKING, (), None),
    (DaemonState.DEGRADED, (Handedness.LEFT, Handedness.RIGHT), 0.04),
)
STRETCH_S = 10.0


def recorded(path: Path) -> Path:
    """A recording of STRETCHES: None for hands is heartbeats alone, None for the time is silence; the first has pictures."""
    recorder, sequence = PacketRecorder(path), 0
    for number, (state, sides, gap_s) in enumerate(STRETCHES):
        for step in range(round(STRETCH_S / gap_s) if gap_s else 0):
            hands = [dataclasses.replace(make_hand(), handedness=side) for side in sides or ()]
            packet = make_received(*hands, state=state, sequence=sequence).packet
            if sides is None:
                packet = dataclasses.replace(packet, message_type=MessageType.HEARTBEAT)
            came_ns = round((number * STRETCH_S + step * (gap_s or 0)) * 1e9)
            recorder.take_datagram(encode(packet), ("127.0.0.1", 0), came_ns)
            if number == 0:
                recorder.take_picture(encode_preview(hand_picture(Handedness.LEFT))[LENGTH_BYTES:], came_ns)
            sequence += 1
    recorder.close()
    return path


@contextmanager
def standing(folder: Path) -> Iterator[tuple[HandViewer, Playback]]:
    """A page of a recording that stands still at its beginning."""
    playback = Playback(recorded(folder / "a.mcap"))
    viewer = HandViewer(playback, ViewOptions("127.0.0.1", None, folder, "nothing arrived"))
    try:
        viewer._play(False)
        yield viewer, playback
    finally:
        viewer.close()


def go_to(viewer: HandViewer, place_s: float) -> tuple[str, str, int, bool]:
    """The state, the rest of the text, the number of hands and whether there are points, once it has come to a place."""
    viewer._seek(place_s)
    for _ in range(400):
        viewer.step()
        if viewer._playback is not None and not viewer._playback.is_catching_up:
            break
    hands = sum(hand._joints.visible for hand in viewer._space._hands)
    return viewer._panel._state.content, viewer._panel._text.content, hands, len(viewer._space._points.points) > 1


def test_after_a_jump_the_words_and_the_hands_are_those_of_the_place(tmp_path: Path) -> None:
    with standing(tmp_path) as (viewer, _):
        for place_s, state, words, hands, has_points in (
            (5.0, "**TRACKING**", ("rate 10.0 Hz", "left hand #3"), 1, True),
            (45.0, "**DEGRADED**", ("rate 25.0 Hz", "left hand #3", "right hand #3"), 2, False),
            (15.0, "**NO_HAND**", ("rate 20.0 Hz",), 0, False),
            (5.0, "**TRACKING**", ("rate 10.0 Hz", "left hand #3"), 1, True),
            (25.5, "**NO_CAMERA**", ("rate 0.0 Hz",), 0, False),
            (35.0, "**no packets**: nothing arrived", (), 0, False),
        ):
            state_shown, text, *shown = go_to(viewer, place_s)

            assert state_shown == state
            assert all(word in text for word in words) and text.count("hand #") == hands
            assert shown == [hands, has_points], place_s


def test_what_stands_still_grows_no_older(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with standing(tmp_path) as (viewer, playback):
        before = go_to(viewer, 5.0)
        began_ns = time.monotonic_ns()
        for name, late in (("monotonic_ns", began_ns + 10**11), ("monotonic", began_ns / 1e9 + 100)):
            monkeypatch.setattr(f"clients.page.viewer.time.{name}", lambda late=late: late)
        viewer._refresh()

        assert viewer._panel._state.content == before[0] and viewer._panel._text.content == before[1]
        assert viewer._space._hands[0]._joints.visible
        assert playback.place_s == pytest.approx(5.0, abs=1e-3)


def test_from_the_end_it_begins_again_with_nothing_of_the_end(tmp_path: Path) -> None:
    with standing(tmp_path) as (viewer, playback):
        go_to(viewer, playback.duration_s)
        viewer._play(True)
        until(viewer, lambda: viewer._panel._state.content == "**TRACKING**")

        assert playback.place_s < 5.0
        assert "right hand" not in viewer._panel._text.content


def test_a_button_has_the_icon_of_what_it_says(tmp_path: Path) -> None:
    def shown(button: viser.GuiButtonHandle) -> tuple[str, object]:
        return button.label, button.icon

    with standing(tmp_path) as (viewer, _):
        panel = viewer._panel
        go_to(viewer, 5.0)
        still = shown(panel._play)
        viewer._play(True)
        viewer._refresh()
        panel.add_record(lambda is_start: None)
        idle = shown(panel._record)
        panel.show_record(True, "")
        running = shown(panel._record)
        panel.show_record(False, "")

        assert (still, shown(panel._play)) == (PLAY, PAUSE)
        assert (idle, running, shown(panel._record)) == (RECORD, STOP, RECORD)


def until(viewer: HandViewer, is_so: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < end_s, "it did not come to be"
        viewer.step()
