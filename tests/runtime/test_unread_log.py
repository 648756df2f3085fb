"""A log that nobody reads costs lines, and nothing else: not the rate, not the heartbeats, not the end."""

import logging
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

from handmap.bundle.manifest import Bundle
from handmap.protocol.fields import DaemonState, MessageType
from runtime.log_writer import MAX_LINES, LogWriter
from tests.support.processes import COMMAND, ROOT, drain, listening, port_of, receive
from tests.support.tiny_bundle import write_config

PIPE_BYTES = 65536


def fill(descriptor: int) -> None:
    """Leaves a pipe without room for a single byte."""
    os.set_blocking(descriptor, False)
    try:
        while True:
            os.write(descriptor, b"x" * 512)
    except BlockingIOError:
        os.set_blocking(descriptor, True)


def record(number: int) -> logging.LogRecord:
    return logging.LogRecord("handmap.x", logging.INFO, "", 0, "line=%d", (number,), None)


def test_a_daemon_whose_log_nobody_reads_goes_on_and_stops(tmp_path: Path, bundle: Bundle, recording: Path) -> None:
    unread, log = os.pipe()
    fill(log)
    with listening() as sink:
        config = write_config(tmp_path / "c.yaml", bundle.path, recording, port_of(sink))
        process = subprocess.Popen([*COMMAND, "run", "--config", str(config)], cwd=ROOT, stderr=log)
        try:
            while not receive(sink).hands:
                pass
            packets = [receive(sink) for _ in range(60)]
            process.send_signal(signal.SIGTERM)
            code = process.wait(10)
        finally:
            process.kill()
            process.wait()
        last = drain(sink)[-1]
    os.close(unread)
    os.close(log)

    frames = [packet for packet in packets if packet.message_type is MessageType.JOINTS]
    assert len(frames) > 45  # the rest are heartbeats, two a second
    assert {packet.state for packet in packets} == {DaemonState.TRACKING}
    assert code == 0 and last.state is DaemonState.STOPPING


def test_lines_that_found_no_room_are_counted_in_the_log() -> None:
    reading, writing = os.pipe()
    fill(writing)
    log = LogWriter(writing)

    start_s = time.monotonic()
    for number in range(MAX_LINES + 50):
        log.handle(record(number))
    log.flush()
    waited_s = time.monotonic() - start_s

    text = b""
    while b"lines_dropped" not in text and time.monotonic() < start_s + 20:
        text = (text + os.read(reading, PIPE_BYTES)).lstrip(b"x")
    lines = text.decode().split("\n")
    assert waited_s < 5
    assert lines[0] == "line=0"
    (said,) = [line for line in lines if "lines_dropped" in line]
    assert int(said.split("lines_dropped=")[1].split()[0]) in (49, 50)  # one line was already being written


def test_lines_arrive_whole_and_in_order_before_the_end() -> None:
    reading, writing = os.pipe()
    log = LogWriter(writing)

    for number in range(100):
        log.handle(record(number))
    log.flush()

    assert os.read(reading, PIPE_BYTES).decode() == "".join(f"line={number}\n" for number in range(100))


def test_after_the_end_of_a_stuck_log_nothing_blocks() -> None:
    reading, writing = os.pipe()
    fill(writing)
    log = LogWriter(writing)
    log.handle(record(1))

    log.silence_if_stuck()
    last_words = threading.Thread(target=os.write, args=(writing, b"handmap: a sentence"), daemon=True)
    last_words.start()
    last_words.join(30)

    assert not last_words.is_alive()
    os.close(reading)
