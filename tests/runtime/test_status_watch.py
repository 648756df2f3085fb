"""`handmap status --watch`: on a terminal, in a pipe, and while the daemon is away."""

import io
import json
import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from handmap.bundle.manifest import Bundle
from handmap.engines.engine import GpuMemory
from runtime.ask_daemon import Answer
from runtime.port_facts import PreviewFacts
from runtime.quality import HandQuality
from runtime.snapshot import ReloadFacts, Snapshot, StageTimes, TargetFacts, ThermalState
from runtime.status_table import History, draw
from runtime.status_watch import as_json_line, as_line
from tests.support.processes import COMMAND, ROOT, started
from tests.support.running import free_port, wait_for
from tests.support.tiny_bundle import write_config

HAND = HandQuality(7, "left", 0.93, 6.25, 512.0, True, 20, 0.1, 3.5)
FACTS = Snapshot(
    version="1", pid=1, config="/c.yaml", uptime_s=75.0, state="TRACKING", reason="", bundle="abc", precision="fp32",
    camera="a [red]camera[/red] with quite a long name indeed, longer than any line", rate_hz=29.9, hands=1, published=1234,
    dropped=5, skipped=0, throttled=0, late=1, refused=0, inferences=1300, restarts={"camera": 2, "engine": 0, "hung": 0},
    stages={"total": StageTimes(14.1, 19.9, 25.0), "age": StageTimes(21.0, 30.0, 41.0)},
    targets=(TargetFacts("127.0.0.1:9", 1300, 1, 0, True),),
    thermal=ThermalState("COOL", 1, {"cpu": 61.5}, None, {}, {}, {}), reload=ReloadFacts(0, 0, ""),
    hand_qualities=(HAND,), engine="onnx", camera_rate_hz=30.0, asked_rate_hz=30.0,
    gpu_memory=GpuMemory(4_000_000_000, 8_000_000_000),
)  # fmt: skip


def drawn(
    answer: Answer, history: History, width: int = 80, before: Snapshot | None = None, encoding: str = "utf-8"
) -> list[str]:
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=out, width=width, height=24, force_terminal=False)
    history.add(answer.facts)
    console.print(draw(answer, before, history, "port 9400", console))
    out.flush()
    return out.buffer.getvalue().decode(encoding).splitlines()


def test_a_table_fits_80_by_24_and_says_what_matters_first() -> None:
    lines = drawn(Answer(FACTS), History())

    assert len(lines) < 24 and max(map(len, lines)) <= 80
    assert lines[0].startswith("TRACKING  running for 1 min 15 s")
    text = "\n".join(lines)
    for words in (
        "29.9",
        "30.0 of 30.0 frames/s; a [red]camera[/red]",
        "1234 published, 5 dropped, 1 late",
        "FAILING NOW",
    ):
        assert words in text
    assert "skipped" not in text
    (hand,) = (line.split() for line in lines if line.startswith("left 7"))
    assert hand == ["left", "7", "6.2", "3.5", "0.51", "0.93", "10", "%", "20", "of", "21"]
    assert "4.0 of 8.0 GB in use" in text and "cool" not in lines[0]


@pytest.mark.parametrize(
    ("viewers", "problem", "said"),
    [(0, "", "1300 packets to 1 target, 0 errors"), (1, "", ", 1 viewer,"), (2, "", ", 2 viewers,"),
     (0, "Address already in use", ", preview not open,")],
)  # fmt: skip
def test_pages_that_look_are_counted(viewers: int, problem: str, said: str) -> None:
    facts = msgspec.structs.replace(FACTS, preview=PreviewFacts("127.0.0.1:5658", viewers, 4, 9, 0, problem))

    assert said in "\n".join(drawn(Answer(facts), History()))


@pytest.mark.parametrize("width", [20, 40, 59, 71])
def test_a_narrow_terminal_shows_fewer_columns_and_no_line_is_too_long(width: int) -> None:
    lines = drawn(Answer(FACTS), History(), width)

    assert max(map(len, lines)) <= width
    assert "confidence" not in "\n".join(lines)


@pytest.mark.parametrize("width", [40, 60, 72, 80])
def test_of_what_is_wrong_no_word_is_lost(width: int) -> None:
    warning = (
        "the camera gives a frame only every 120 ms, but 33 ms were asked for; see [usb] in docs/troubleshooting.md"
    )
    refusal = "config '/etc/handmap/a_name_of_a_file_that_is_longer_than_one_line_of_a_terminal.yaml': camera.fps: wanted 1 to 90"
    facts = msgspec.structs.replace(FACTS, warning=warning, reload=ReloadFacts(0, 1, refusal))

    lines = drawn(Answer(facts), History(), width)

    assert max(map(len, lines)) <= width and "…" not in "\n".join(lines)
    values = "".join(line[10:] if not line.startswith(("TRACKING", "q or")) else "" for line in lines)
    for text in (warning, f"refused: {refusal}", FACTS.camera, "FAILING NOW"):
        assert text.replace(" ", "") in values.replace(" ", "")


def test_without_utf_8_there_are_no_bars() -> None:
    history = History()
    history.rates_hz.extend([10.0, 20.0])

    assert "█" in "\n".join(drawn(Answer(FACTS), history))
    assert "\n".join(drawn(Answer(FACTS), history, encoding="latin-1")).isascii()


def test_what_has_grown_stands_out_unless_the_daemon_is_another() -> None:
    before = msgspec.structs.replace(FACTS, dropped=2)

    assert "5 dropped (+3)" in "\n".join(drawn(Answer(FACTS), History(), before=before))
    other = msgspec.structs.replace(before, pid=2)
    assert "(+" not in "\n".join(drawn(Answer(FACTS), History(), before=other))


def test_while_the_daemon_is_away_the_reason_and_the_last_state_are_shown() -> None:
    history = History()
    assert len(drawn(Answer(None, "status: no daemon answers"), history)) == 2
    history.add(FACTS)

    lines = drawn(Answer(None, "status: no daemon answers"), history)

    assert lines[0] == "status: no daemon answers"
    assert lines[1] == "last answer 0 s ago: TRACKING; asked every second"


def test_lines_and_json_say_what_there_is_or_why_there_is_nothing() -> None:
    now, away = datetime(2026, 1, 2, 3, 4, 5), Answer(None, "no daemon")

    assert as_line(Answer(FACTS), now) == (
        "2026-01-02T03:04:05 state=TRACKING rate_hz=29.9 camera_hz=30.0 hands=1 error_mm=6.2 age_ms=21.0/30.0"
    )
    assert as_line(away, now) == "2026-01-02T03:04:05 problem='no daemon'"
    assert json.loads(as_json_line(Answer(FACTS)))["hand_qualities"][0]["track_id"] == 7
    assert json.loads(as_json_line(away)) == {"problem": "no daemon"}


class Terminal:
    """A pseudo-terminal of 80 by 24 with the command in it; what it draws can be read, and keys be typed."""

    def __init__(self, *arguments: str) -> None:
        self._keyboard, inside = pty.openpty()
        environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
        self.process = subprocess.Popen(
            [*COMMAND, *arguments], cwd=ROOT, stdin=inside, stdout=inside, stderr=inside, env=environment,
            start_new_session=True,
        )  # fmt: skip
        os.close(inside)
        self.seen = ""

    def until(self, is_so: Callable[[str], bool], timeout_s: float = 30) -> str:
        """What it has drawn since the last call, once this holds of that."""
        end_s, first = time.monotonic() + timeout_s, len(self.seen)
        while not is_so(self.seen[first:]):
            assert time.monotonic() < end_s, self.seen[first:]
            if select.select([self._keyboard], [], [], 0.1)[0]:
                try:
                    self.seen += os.read(self._keyboard, 65536).decode(errors="replace")
                except OSError:  # it has ended
                    break
        return self.seen[first:]

    def type(self, keys: bytes) -> None:
        os.write(self._keyboard, keys)

    def wait(self) -> int:
        """The exit code, with everything drawn by then."""
        self.until(lambda _: self.process.poll() is not None)
        return self.process.wait(10)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._keyboard)


@contextmanager
def watching(*arguments: str) -> Iterator[Terminal]:
    terminal = Terminal("status", "--watch", *arguments)
    try:
        yield terminal
    finally:
        terminal.close()


def test_it_outlives_the_daemon_and_finds_it_again(tmp_path: Path, bundle: Bundle, recording: Path) -> None:
    port = free_port()
    config = write_config(tmp_path / "c.yaml", bundle.path, recording, 9, telemetry=port)
    with watching("--port", str(port)) as terminal:
        terminal.until(lambda text: "no daemon answers" in text)
        for _ in range(2):
            with started("run", "--config", config) as daemon:
                wait_for(port, lambda now: now.state == "TRACKING")
                terminal.until(lambda text: "TRACKING" in text and "replay of" in text)
                daemon.kill()
                terminal.until(lambda text: "no daemon answers" in text and "last answer" in text)

        terminal.type(b"x q")
        assert terminal.wait() == 0


@pytest.mark.parametrize("end", ["q", "ctrl-c", "SIGTERM"])
def test_however_it_ends_the_terminal_is_as_it_was(end: str) -> None:
    with watching("--port", str(free_port())) as terminal:
        terminal.until(lambda text: "\x1b[?1049h" in text and "no daemon answers" in text)
        if end == "q":
            terminal.type(b"q")
        else:
            terminal.process.send_signal(signal.SIGINT if end == "ctrl-c" else signal.SIGTERM)
        code = terminal.wait()

    assert code == 0
    assert terminal.seen.rindex("\x1b[?1049l") > terminal.seen.rindex("\x1b[?1049h")  # the screen before it
    assert terminal.seen.rindex("\x1b[?25h") > terminal.seen.rindex("\x1b[?25l")  # with its cursor
    assert "Traceback" not in terminal.seen


def test_in_a_pipe_each_answer_is_a_line(tmp_path: Path, bundle: Bundle, recording: Path) -> None:
    port = free_port()
    config = write_config(tmp_path / "c.yaml", bundle.path, recording, 9, telemetry=port)
    with started("run", "--config", config):
        wait_for(port, lambda now: now.state == "TRACKING")
        with (
            started("status", "--watch", "--config", config) as plain,
            started("status", "--watch", "--port", str(port), "--json") as objects,
        ):
            assert plain.stdout is not None and objects.stdout is not None
            lines = [plain.stdout.readline() for _ in range(2)]
            facts = [json.loads(objects.stdout.readline()) for _ in range(2)]

    assert all(" state=TRACKING rate_hz=" in line and line.endswith("\n") for line in lines)
    assert [each["state"] for each in facts] == ["TRACKING"] * 2
    assert "\x1b" not in "".join(lines)


def test_the_daemon_of_another_configuration_is_a_problem_that_can_end(
    tmp_path: Path, bundle: Bundle, recording: Path
) -> None:
    port = free_port()
    left, right = (
        write_config(tmp_path / name, bundle.path, recording, 9, telemetry=port) for name in ("l.yaml", "r.yaml")
    )
    with started("run", "--config", left):
        wait_for(port, lambda now: now.state == "TRACKING")
        with started("status", "--watch", "--config", right) as plain:
            assert plain.stdout is not None
            line = plain.stdout.readline()

    assert "problem=" in line and "uses configuration" in line
