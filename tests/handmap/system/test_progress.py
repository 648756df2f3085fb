"""Progress where there is a terminal but nothing to draw on it with."""

import io
import sys

import pytest

from handmap.system.progress import track_progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_without_rich_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setitem(sys.modules, "rich", None)

    with track_progress("fp16 engine", 100, "percent") as advance:
        advance(100, "stored")

    assert terminal.getvalue().startswith("fp16 engine: 100 of 100 percent")
