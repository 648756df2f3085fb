"""`handmap view`: shows the received hands in a browser; it survives silence and restarts of the sender."""

import queue
import time
from collections.abc import Callable
from typing import Final

from handmap.client.receiver import Receiver
from handmap.client.session import PacketReceiver, Received
from handmap.protocol.fields import MessageType
from handmap.protocol.packet import PacketHand
from handmap.protocol.preview import Picture, depth_mm_of
from handmap.types.errors import HandmapError, PacketError

from ..preview_client import PreviewClient
from .depth_picture import draw_nothing, draw_picture
from .history import History
from .panel import Panel
from .playback import Playback
from .scene import Readout, drawn_hand
from .server import address_of, close_server, open_server
from .space import Space
from .take import Take
from .view_options import ViewOptions

WAIT_S: Final = 0.05
TEXT_EVERY_S: Final = 0.2
PLOTS_EVERY_S: Final = 1.0
OLD_PICTURE_S: Final = 2.0


class HandViewer:
    """A page that shows what a receiver gets, and the preview of its daemon.

    ask_snapshot has the daemon with this control port take a snapshot, or raises HandmapError; None: there is no daemon to ask.
    """

    def __init__(
        self,
        receiver: PacketReceiver,
        options: ViewOptions,
        preview: PreviewClient | None = None,
        ask_snapshot: Callable[[int], None] | None = None,
    ) -> None:
        self._receiver = receiver
        self._playback = receiver if isinstance(receiver, Playback) else None
        self._preview = preview
        self._ask_snapshot = ask_snapshot
        self._control_port = 0  # of the daemon heard last
        self._take = Take(options.recordings, receiver) if isinstance(receiver, Receiver) else None
        self._wishes: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._server = open_server(options.host, options.port)
        self._space = Space(self._server)
        self._panel = Panel(self._server, self._wishes.put, options.is_dark)
        if self._take is not None:
            self._panel.add_record(self._record)
        if ask_snapshot is not None:
            self._panel.add_snapshot(self._snapshot)
        if self._playback is not None:
            self._panel.add_playback(self._playback.duration_s, self._seek, self._play)
        self._hint = options.hint
        self.readout = Readout(options.hint)
        self._history = History()
        self._new_hands: tuple[PacketHand, ...] | None = None  # not drawn yet
        self._shown_nothing: str | None = None
        self._picture_s = self._text_s = self._plots_s = float("-inf")

    @property
    def address(self) -> str:
        """The URL for a browser on this machine."""
        return address_of(self._server)

    def step(self) -> None:
        """Waits briefly for a packet, draws it, and does what was clicked."""
        while not self._wishes.empty():
            self._wishes.get()()
        received = self._receiver.wait(WAIT_S)
        if received is not None:
            self._show(received)
        if self._playback is None or not self._playback.is_catching_up:
            self._draw()

    def close(self) -> None:
        """Ends a recording, and stops serving."""
        if self._take is not None:
            self._take.stop()
        close_server(self._server)

    def _show(self, received: Received) -> None:
        self.readout.saw(received)
        self._control_port = received.packet.control_port
        self._history.saw(received)
        if self._take is not None:
            self._take.saw(received)
        if received.packet.message_type is MessageType.JOINTS:
            self._new_hands = received.packet.hands

    def _draw(self) -> None:
        """Draws what is new; text and plots when they are due."""
        if self._new_hands is not None:
            self._space.show_hands([drawn_hand(hand) for hand in self._new_hands])
            self._new_hands = None
        picture = self._next_picture()
        if picture is not None:
            self._show_picture(picture)
        now_s = time.monotonic()
        if now_s - self._text_s >= TEXT_EVERY_S:
            self._text_s = now_s
            self._refresh()
        if now_s - self._plots_s >= PLOTS_EVERY_S:
            self._plots_s = now_s
            self._panel.show_history(self._history, self._now_ns() / 1e9)

    def _now_ns(self) -> int:
        """By the clock of what is shown: a recording's own stands still with it, so nothing in it grows old."""
        return time.monotonic_ns() if self._playback is None else self._playback.now_ns

    def _next_picture(self) -> Picture | None:
        if self._playback is not None:
            return self._playback.take()
        if self._preview is None:
            return None
        is_recording = self._take is not None and self._take.is_running
        self._preview.want(is_recording or bool(self._server.get_clients()))
        return self._preview.take()

    def _show_picture(self, picture: Picture) -> None:
        if self._take is not None:
            self._take.saw_picture(picture)
        try:
            depth_mm = depth_mm_of(picture)
        except PacketError:
            return
        self._panel.show_picture(draw_picture(picture, depth_mm))
        self._space.show_picture(picture, depth_mm)
        now_s, self._shown_nothing = self._now_ns() / 1e9, None
        self._picture_s = now_s
        self._history.saw_stages(now_s, picture.stages_ms)

    def _refresh(self) -> None:
        now_ns = self._now_ns()
        if not self.readout.has_frame(now_ns):
            self._space.show_hands([])
        if now_ns / 1e9 - self._picture_s > OLD_PICTURE_S:
            self._show_no_picture()
        self._panel.show_text(*self.readout.markdown(self._receiver.counts, now_ns))
        if self._take is not None:
            self._panel.show_record(self._take.is_running, self._take.text)
        if self._playback is not None:
            self._panel.show_place(self._playback.place_s, self._playback.is_playing)

    def _show_no_picture(self) -> None:
        """Says in the picture's place why there is none."""
        if self._preview is not None:
            why = self._preview.problem or "the camera gives no frames"
        else:
            why = "depth pictures are off" if self._playback is None else "the recording has no depth picture here"
        if why != self._shown_nothing:
            self._shown_nothing = why
            self._panel.show_picture(draw_nothing(why))
            self._space.hide_points()

    def _record(self, is_start: bool) -> None:
        if self._take is not None:
            self._take.start() if is_start else self._take.stop()

    def _snapshot(self) -> str:
        """Has the daemon take a snapshot; what became of it, in Markdown."""
        if self._ask_snapshot is None or not self._control_port:
            return "**no snapshot**: no packets have come, or the daemon's configuration has no publish.control"
        try:
            self._ask_snapshot(self._control_port)
        except HandmapError as error:
            return f"**no snapshot**: {error}"
        return "the daemon writes a snapshot into its own folder; `handmap status` on the board names it"

    def _seek(self, place_s: float) -> None:
        if self._playback is not None:
            self._playback.seek(place_s)
            self._start_over()

    def _play(self, is_playing: bool) -> None:
        if self._playback is None:
            return
        before_s = self._playback.place_s
        self._playback.play(is_playing)
        if self._playback.place_s < before_s:  # from the end back to the beginning
            self._start_over()

    def _start_over(self) -> None:
        """Forgets what was shown: what comes next is from another place."""
        self.readout = Readout(self._hint)
        self._history.clear()
        self._new_hands = ()
        self._picture_s = self._text_s = self._plots_s = float("-inf")
