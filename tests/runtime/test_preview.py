"""Depth pictures over TCP: who gets them, how many, and that nobody who looks can slow the main loop."""

import asyncio
import dataclasses
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import numpy as np
import pytest

from clients.preview_client import PreviewClient
from handmap.protocol.authentication import KeyRing, make_key
from handmap.protocol.preview import (
    LENGTH_BYTES,
    VERSION,
    Ask,
    Hello,
    Message,
    Picture,
    Refusal,
    decode_preview,
    encode_preview,
    inflate,
    message_bytes,
)
from handmap.types.values import HandRoi
from runtime.outlet import open_outlet
from runtime.preview import Preview
from runtime.preview_picture import look, picture_of
from runtime.publish_config import PublishConfig, TargetConfig
from runtime.settings import PreviewConfig
from tests.support.previews import CENTER_MM, Fed, fed_preview, hand_frame, hand_pose
from tests.support.running import free_port


def until(is_so: Callable[[], bool], feed: Callable[[], None] = lambda: None, timeout_s: float = 10.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < end_s
        feed()
        time.sleep(0.005)


class Viewer:
    """A viewer by hand: reads only when told to."""

    def __init__(self, port: int, ask: Message | bytes | None = None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 5)
        self.socket.settimeout(30)
        self.hello = self.read()
        wanted = Ask(VERSION, 60.0) if ask is None else ask
        self.socket.sendall(wanted if isinstance(wanted, bytes) else encode_preview(wanted))

    def read(self) -> Message:
        return decode_preview(self.exactly(message_bytes(self.exactly(LENGTH_BYTES))))

    def exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                raise EOFError
            data += part
        return data


@contextmanager
def viewers(port: int, count: int) -> Iterator[list[Viewer]]:
    found = [Viewer(port) for _ in range(count)]
    try:
        yield found
    finally:
        for one in found:
            one.socket.close()


@contextmanager
def feeding(fed: Fed) -> Iterator[None]:
    """Frames as they come in the daemon, from another thread."""
    done = threading.Event()

    def feed() -> None:
        while not done.wait(0.005):
            fed.feed()

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_a_picture_is_the_frame_reduced_with_its_hands() -> None:
    frame, pose, proposal = hand_frame(5), hand_pose(), HandRoi(np.array([1.0, 2, 300], np.float32), 180.0, False)
    with fed_preview() as fed:
        picture = picture_of(
            look(frame, [pose], [proposal], fed.status, fed.clock, ((1, 0, 0, 0.5), (0, 1, 0, 0), (0, 0, 1, 0)))
        )

    (hand,) = picture.hands
    assert np.array_equal(inflate(picture), frame.depth[::2, ::2])
    assert (picture.frame_number, picture.depth_unit_mm, picture.state) == (5, 0.25, fed.status.state)
    assert np.allclose(hand.joints_mm, pose.xyz_camera_mm) and hand.cube.center_mm == pytest.approx(CENTER_MM)
    assert picture.proposals[0].center_mm == (1.0, 2.0, 300.0) and picture.camera_to_frame is not None
    # The same point of the scene is at half the pixel.
    assert picture.cx_px == frame.intrinsics.cx_px / 2 and picture.fx_px == frame.intrinsics.fx_px / 2


def test_the_frame_is_copied() -> None:
    frame = hand_frame()
    with fed_preview() as fed:
        seen = look(frame, [], [], fed.status, fed.clock, None)
    before = seen.depth.copy()
    frame.depth[:] = 1

    assert np.array_equal(seen.depth, before)


def test_nothing_is_copied_while_nobody_looks() -> None:
    with fed_preview() as fed:
        for _ in range(100):
            fed.feed()
        assert fed.preview.pictures == 0
        with viewers(fed.port, 1):
            until(lambda: fed.preview.pictures > 0, fed.feed)
        until(lambda: fed.preview.viewers == 0)
        before = fed.preview.pictures
        for _ in range(100):
            fed.feed()
        assert fed.preview.pictures <= before + 1


def test_a_client_gets_pictures_and_comes_back_after_a_restart() -> None:
    with fed_preview() as fed:
        client = PreviewClient("127.0.0.1", fed.port)
        time.sleep(0.2)
        assert fed.preview.viewers == 0, "it has not been asked yet"
        client.want(True)
        until(lambda: client.take() is not None, fed.feed)
        assert client.problem == ""
        client.want(False)
        until(lambda: fed.preview.viewers == 0)
        client.want(True)
        until(lambda: client.take() is not None, fed.feed)
    until(lambda: "is the daemon running" in client.problem)
    client.close()


def test_pictures_come_at_the_rate_that_is_allowed() -> None:
    with fed_preview(max_hz=5.0) as fed, viewers(fed.port, 1) as (viewer,), feeding(fed):
        viewer.read()
        numbers = [
            picture.frame_number for picture in (viewer.read() for _ in range(5)) if isinstance(picture, Picture)
        ]
        made = fed.preview.pictures

    assert numbers == sorted(set(numbers))
    assert made <= 8 and fed.number > 10 * made, "frames that are not shown are not copied"


def test_one_too_many_is_told_so() -> None:
    with fed_preview(max_viewers=2) as fed, viewers(fed.port, 2):
        until(lambda: fed.preview.viewers == 2)
        third = Viewer(fed.port)
        answer = third.read()
        third.socket.close()

        assert isinstance(answer, Refusal) and "2 viewers look already" in answer.reason
        assert fed.preview.refused == 1


def test_viewers_that_do_not_read_get_no_more_than_a_buffer_and_stop_nobody() -> None:
    with fed_preview(max_viewers=16) as fed, viewers(fed.port, 15), viewers(fed.port, 1) as (reader,), feeding(fed):
        until(lambda: fed.preview.viewers == 16)
        numbers = [
            picture.frame_number for picture in (reader.read() for _ in range(30)) if isinstance(picture, Picture)
        ]

    assert len(set(numbers)) == 30


def test_a_slow_viewer_gets_new_pictures_not_old_ones() -> None:
    with fed_preview() as fed, ExitStack() as stack:
        slow = Viewer(fed.port)
        stack.callback(slow.socket.close)
        with feeding(fed):
            until(lambda: fed.number > 400, timeout_s=60)
        shown = fed.number
        first = slow.read()
        numbers: list[int] = []
        while not numbers or numbers[-1] < shown - 100:  # what was in buffers comes first
            fed.feed()
            picture = slow.read()
            assert isinstance(picture, Picture)
            numbers.append(picture.frame_number)

    assert isinstance(first, Picture)
    assert len(numbers) < 200, "it was not sent everything"


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (Ask(VERSION + 1, 10.0), "version 1"),
        (Hello(VERSION, b"x" * 32, False), "version 1"),
        (b"GET / HTTP/1.1\r\n\r\n", "is that port a preview's"),
        ((3).to_bytes(4, "little") + b"\xc1\xc1\xc1", "found no message"),
    ],
)
def test_what_is_no_request_is_answered_with_a_sentence(ask: Message | bytes, words: str) -> None:
    with fed_preview() as fed:
        viewer = Viewer(fed.port, ask)
        answer = viewer.read()
        viewer.socket.close()

    assert isinstance(answer, Refusal) and words in answer.reason


def test_a_key_is_asked_for_and_checked() -> None:
    keys = KeyRing((make_key(b"k" * 32),))
    outlet = open_outlet(PublishConfig(targets=(TargetConfig("127.0.0.1"),)))
    with fed_preview() as fed:
        fed.preview.follow(dataclasses.replace(outlet, keys=keys))
        clients = [PreviewClient("127.0.0.1", fed.port, ring) for ring in (None, KeyRing((make_key(b"o" * 32),)), keys)]
        for client in clients:
            client.want(True)
        until(lambda: clients[2].take() is not None, fed.feed)
        until(lambda: "pass --key" in clients[0].problem and "exchange the keys" in clients[1].problem)
        assert fed.preview.viewers == 1
        bare = Viewer(fed.port)
        answer = bare.read()
        for client in clients:
            client.close()
        bare.socket.close()
    outlet.close()

    assert isinstance(bare.hello, Hello) and bare.hello.is_keyed
    assert isinstance(answer, Refusal) and "pass --key" in answer.reason


def test_a_port_that_is_taken_is_logged_once_and_tried_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.preview.BIND_AGAIN_S", 0.05)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with Preview(PreviewConfig(port=port)) as preview:
            until(lambda: preview.problem != "not opened yet")
            time.sleep(0.3)
            warnings = [record for record in caplog.records if record.levelname == "WARNING"]
            assert len(warnings) == 1 and "another program" in warnings[0].getMessage()
            other.close()
            until(lambda: preview.problem == "")


def test_another_configuration_moves_it_and_none_closes_it() -> None:
    with fed_preview() as fed, viewers(fed.port, 1) as (viewer,):
        until(lambda: fed.preview.viewers == 1)
        elsewhere = free_port()
        fed.preview.configure(PreviewConfig(port=elsewhere))
        with pytest.raises((EOFError, ConnectionError)):
            while True:
                viewer.read()
        until(lambda: is_open(elsewhere))
        fed.preview.configure(None)
        until(lambda: not is_open(elsewhere))
        fed.feed()


def test_a_viewer_whose_cancellation_is_lost_does_not_keep_it_open() -> None:
    """Before Python 3.12, `asyncio.wait_for` loses one that comes when its own wait is just over."""
    lost: list[str] = []

    async def forgetful() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        lost.append("once")
        await asyncio.sleep(60)

    def join_them(preview: Preview) -> None:
        task = asyncio.ensure_future(forgetful())
        preview._clients.add(task)
        task.add_done_callback(preview._leave)

    with fed_preview() as fed:
        fed.preview._call(join_them, fed.preview)
        until(lambda: bool(fed.preview._clients))

    assert lost == ["once"] and not fed.preview._thread.is_alive()


def is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("width", [160, 320, 424, 848, 1280])
def test_any_camera_is_reduced_to_about_a_small_picture(width: int) -> None:
    with fed_preview() as fed:
        picture = picture_of(look(hand_frame(width=width), [], [], fed.status, fed.clock, None))

    assert min(width, 200) <= picture.width_px <= 430
