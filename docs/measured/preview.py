"""What it costs to be looked at: the age of packets while a viewer reads depth pictures, and how soon the page shows one.

python -m docs.measured.preview age     the daemon with preview, metrics and flight recorder on, a viewer that reads without drawing and
                                        a scrape a second, in turns with the daemon without all of that, beside a client that reads
                                        zeros at the same rate; p50 and p99 of the age at arrival, and the memory of the process
python -m docs.measured.preview crowd   likewise, with twenty viewers that read nothing and one that reads 10 kB/s instead
python -m docs.measured.preview page    seconds from opening the page in headless Chromium to its first depth picture

`--seconds N` is how long each way, 60 if left out. Stop other work meanwhile; the load average is printed.
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import yaml

from clients.preview_client import PreviewClient
from handmap.client.receiver import Receiver, open_receiver
from handmap.files.atomic import write_file
from handmap.protocol.fields import MessageType
from handmap.protocol.preview import VERSION, Ask, encode_preview

ROOT: Final = Path(__file__).resolve().parents[2]
TURNS: Final = 6
START_S: Final = 60.0
WARM_S: Final = 5.0
MAX_HZ: Final = 10.0
CHUNKS_HZ: Final = 10.0


def main(arguments: list[str]) -> None:
    """Measures what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m docs.measured.preview")
    parser.add_argument("what", choices=("age", "crowd", "page"))
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each way")
    asked = parser.parse_args(arguments)
    if asked.what != "page":
        measure_age(asked.seconds, looking if asked.what == "age" else crowding)
    else:
        measure_page()


Look: TypeAlias = Callable[[], AbstractContextManager[Callable[[], int]]]


def measure_age(seconds: float, look: Look) -> None:
    """Prints the ages and the memory of both ways, measured in turns."""
    ages: dict[bool, list[float]] = {True: [], False: []}
    memory_mb: dict[bool, float] = {}
    rate = 0.0  # bytes per second that the viewer read
    for turn in range(TURNS):
        is_on = turn % 2 == 0
        with ExitStack() as stack:
            receiver = stack.enter_context(open_receiver("127.0.0.1", 0))
            daemon = stack.enter_context(running_daemon(receiver.port, is_on))
            receiver.wait(START_S)
            ages_ms(receiver, WARM_S)
            read = stack.enter_context(look() if is_on else reading_zeros(rate))
            before, started_s = read(), time.monotonic()
            ages[is_on] += ages_ms(receiver, 2 * seconds / TURNS)
            rate = (read() - before) / (time.monotonic() - started_s)
            memory_mb[is_on] = resident_mb(daemon.pid)
        say(f"{'on ' if is_on else 'off'}: {rate / 1000:.0f} kB/s read, process {memory_mb[is_on]:.1f} MB")
    for is_on, found in ages.items():
        p50_ms, p99_ms = np.percentile(found, (50, 99))
        say(f"{'on ' if is_on else 'off'}: {len(found)} packets, age p50 {p50_ms:.2f} ms, p99 {p99_ms:.2f} ms")
    ratio = np.percentile(ages[True], 99) / np.percentile(ages[False], 99)
    say(
        f"p99 {ratio:.3f} x, memory +{memory_mb[True] - memory_mb[False]:.1f} MB; load average {os.getloadavg()[0]:.2f}"
    )


def measure_page() -> None:
    """Prints how long the page takes to its first picture, three times."""
    from playwright.sync_api import sync_playwright

    with ExitStack() as stack:
        receiver = stack.enter_context(open_receiver("127.0.0.1", 0))
        stack.enter_context(running_daemon(receiver.port, True))
        receiver.close()
        command = [sys.executable, "-m", "handmap", "view", "--port", str(receiver.port), "--web-port", "18500"]
        page = stack.enter_context(ended(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)))
        assert page.stdout is not None
        address = page.stdout.readline().split()[1]
        time.sleep(WARM_S)
        flags = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
        playwright = stack.enter_context(sync_playwright())
        with closing(playwright.chromium.launch(executable_path="/usr/bin/chromium", args=flags)) as browser:
            for _ in range(3):
                tab = browser.new_page()
                started_s = time.monotonic()
                tab.goto(address)
                tab.locator("img[src^='blob:']").wait_for(timeout=60_000)
                say(f"first picture after {time.monotonic() - started_s:.2f} s")
                tab.close()
    say(f"load average {os.getloadavg()[0]:.2f}; drawn without a GPU")


@contextmanager
def running_daemon(port: int, is_on: bool) -> Iterator[subprocess.Popen[bytes]]:
    """The daemon on the demo recording at the recorded pace, with everything on, or nothing beside the hands."""
    settings: dict[str, Any] = yaml.safe_load((ROOT / "configs/laptop_demo.yaml").read_text())
    settings["publish"] = {"targets": [{"host": "127.0.0.1", "port": port}]}
    settings["bundle"] = str(ROOT / "models/handmap-hand21")
    settings["camera"]["path"] = str(ROOT / "models/demo_recording")
    if not is_on:
        settings |= {"preview": None, "telemetry": {"port": None}, "flight_recorder": {"enabled": False}}
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.yaml"
        write_file(config, yaml.safe_dump(settings).encode())
        command = [sys.executable, "-m", "handmap", "run", "--config", str(config)]
        with ended(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)) as daemon:
            yield daemon


@contextmanager
def ended(process: "subprocess.Popen[Any]") -> Iterator["subprocess.Popen[Any]"]:
    """Ends a process after the block."""
    with process:
        try:
            yield process
        finally:
            process.terminate()


@contextmanager
def looking() -> Iterator[Callable[[], int]]:
    """A viewer that reads pictures and draws nothing, and a scrape a second; gives the bytes read so far."""
    done = threading.Event()
    viewer = PreviewClient("127.0.0.1", 5658, max_hz=MAX_HZ)
    viewer.want(True)

    def scrape() -> None:
        while not done.wait(1.0):
            with closing(urllib.request.urlopen("http://127.0.0.1:9400/metrics", timeout=5)) as answer:
                answer.read()

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield lambda: viewer.received_bytes
    finally:
        done.set()
        thread.join()
        viewer.close()


@contextmanager
def crowding() -> Iterator[Callable[[], int]]:
    """Twenty viewers that ask and read nothing, and one that reads 10 kB/s; gives the bytes that one has read so far."""
    count, done = [0], threading.Event()
    with ExitStack() as stack:
        viewers = [stack.enter_context(socket.create_connection(("127.0.0.1", 5658))) for _ in range(21)]
        for viewer in viewers:
            viewer.sendall(encode_preview(Ask(VERSION, MAX_HZ)))

        def read() -> None:
            while not done.wait(0.1):
                count[0] += len(viewers[0].recv(1000))

        thread = threading.Thread(target=read)
        thread.start()
        yield lambda: count[0]
        done.set()
        thread.join()


@contextmanager
def reading_zeros(rate: float) -> Iterator[Callable[[], int]]:
    """A client that reads so many bytes per second of zeros from a process of its own; gives the bytes read so far."""
    chunk = round(rate / CHUNKS_HZ)
    source = (
        "import socket, sys, time\\n"
        "out = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\\n"
        f"while True: out.sendall(bytes({chunk})); time.sleep({1 / CHUNKS_HZ})\\n"
    )
    count = [0]
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = [sys.executable, "-c", source.replace("\\n", "\n"), str(server.getsockname()[1])]
        with ended(subprocess.Popen(command, stderr=subprocess.DEVNULL)):
            client, _ = server.accept()

            def read() -> None:
                while part := client.recv(1 << 16):
                    count[0] += len(part)

            thread = threading.Thread(target=read)
            thread.start()
            try:
                yield lambda: count[0]
            finally:
                client.shutdown(socket.SHUT_RDWR)
                thread.join()
                client.close()


def ages_ms(receiver: Receiver, seconds: float) -> list[float]:
    """The ages of the packets that arrive in this time, from capture to arrival."""
    found, end_s = [], time.monotonic() + seconds
    while (left_s := end_s - time.monotonic()) > 0:
        received = receiver.wait(left_s)
        if received is not None and received.packet.message_type is MessageType.JOINTS:
            found.append((received.received_ns - received.packet.capture_ns) / 1e6)
    return found


def resident_mb(pid: int) -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def say(text: str) -> None:
    """Prints a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
