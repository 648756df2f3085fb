"""Records what the page shows into a file of its user: packets as they arrive, and depth pictures."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from handmap.client.receiver import Receiver, ignore
from handmap.client.session import Received
from handmap.files.atomic import make_folder
from handmap.protocol.preview import LENGTH_BYTES, Picture, encode_preview
from handmap.system.resolve import Address
from handmap.types.errors import HandmapError

from ..packet_file import NOT_KEPT, PacketRecorder

LONGEST_S: Final = 3600.0  # a recording that somebody forgot ends then


class Take:
    """Starts and stops recordings into a folder, each a file named by its time. problem says why one ended, empty if by the user."""

    def __init__(self, folder: Path, receiver: Receiver) -> None:
        self._folder = folder
        self._receiver = receiver
        self._recorder: PacketRecorder | None = None
        self._started_s = 0.0
        self._is_kept = True
        self.path: Path | None = None
        self.problem = ""

    @property
    def is_running(self) -> bool:
        """Whether it records."""
        return self._recorder is not None

    @property
    def seconds(self) -> float:
        """How long it has been recording."""
        return time.monotonic() - self._started_s

    @property
    def text(self) -> str:
        """What it does or has done, in Markdown."""
        if self.is_running:
            return f"{self.seconds:.0f} s in `{self.path}`"
        if self.problem:
            return f"**recording ended**: {self.problem}"
        if not self._is_kept:
            return NOT_KEPT
        return "" if self.path is None else f"written: `{self.path}`"

    def start(self) -> None:
        """Begins a new file."""
        self.stop()
        path = self._folder / time.strftime("hands-%Y-%m-%dT%H-%M-%S.mcap")
        try:
            make_folder(self._folder)
            self._recorder = PacketRecorder(path)
        except HandmapError as error:
            self.problem = str(error)
            return
        self.path, self.problem, self._started_s, self._is_kept = path, "", time.monotonic(), True
        self._receiver.tap = self._take_datagram

    def saw(self, received: Received) -> None:
        """Adds the hands of a packet."""
        self._write(lambda recorder: recorder.take(received))
        if self.is_running and self.seconds > LONGEST_S:
            self._end(f"stopped after {LONGEST_S / 60:.0f} minutes")

    def saw_picture(self, picture: Picture) -> None:
        """Adds a depth picture."""
        self._write(lambda recorder: recorder.take_picture(encode_preview(picture)[LENGTH_BYTES:], time.monotonic_ns()))

    def stop(self) -> None:
        """Ends the file."""
        self._end("")

    def _take_datagram(self, data: bytes, address: Address, received_ns: int) -> None:
        self._write(lambda recorder: recorder.take_datagram(data, address, received_ns))

    def _write(self, write: Callable[[PacketRecorder], None]) -> None:
        """Writes to the file, if there is one; ends it if that fails, as on a full disk."""
        if self._recorder is None:
            return
        try:
            write(self._recorder)
        except HandmapError as error:
            self._end(str(error))

    def _end(self, problem: str) -> None:
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            return
        self.problem = problem
        self._receiver.tap = ignore
        try:
            self._is_kept = recorder.keep_or_remove()
        except HandmapError as error:
            self.problem = problem or str(error)
