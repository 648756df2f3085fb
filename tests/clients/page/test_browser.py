"""The page in headless Chromium: what must be there is there, nothing is fetched from elsewhere, and nothing is complained of.

HANDMAP_SCREENSHOTS=FOLDER keeps a picture of each scene, to be looked at.
"""

import io
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from clients.page.panel import PLOTS
from clients.page.playback import Playback
from clients.page.view_options import ViewOptions
from clients.page.viewer import HandViewer
from clients.preview_client import PreviewClient
from handmap.client.receiver import open_receiver
from handmap.protocol.fields import DaemonState, MessageType
from handmap.protocol.packet import Packet, encode, hand_from_pose
from handmap.types.errors import NoAnswer
from handmap.types.values import Handedness, HandPose
from tests.clients.page.test_playback import paced
from tests.support.previews import Fed, fed_preview, hand_frame, hand_pose

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium; on Debian: apt-get install chromium")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
]  # fmt: skip
WAIT_MS = 60_000
DESK_PX, PHONE_PX = (1100, 800), (390, 844)
PICTURE = "img[src^='blob:']"


@dataclass
class Scene:
    """What the daemon sees: hands of these sides, or no camera."""

    sides: Sequence[Handedness] = ()
    has_camera: bool = True

    def send(self, number: int, fed: Fed, port: int) -> None:
        """One frame, or a heartbeat: a packet, and what the main loop offers to the preview."""
        poses = [
            moved(replace(hand_pose(side), track_id=place + 1), 170.0 * place) for place, side in enumerate(self.sides)
        ]
        state = DaemonState.TRACKING if poses else DaemonState.NO_HAND if self.has_camera else DaemonState.NO_CAMERA
        kind = MessageType.JOINTS if self.has_camera else MessageType.HEARTBEAT
        now_ns = time.monotonic_ns()
        hands = tuple(hand_from_pose(pose) for pose in poses)
        packet = Packet(kind, state, 5, number, number, now_ns - 20_000_000, now_ns, hands, control_port=5655)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            out.sendto(encode(packet), ("127.0.0.1", port))
        if self.has_camera:
            fed.preview.offer(hand_frame(number), poses, [], fed.status, fed.clock)


def moved(pose: HandPose, right_mm: float) -> HandPose:
    """The pose somewhere else, cube and all."""
    by = np.array([right_mm, 0, 0], np.float32)
    roi = pose.roi._replace(center_mm=pose.roi.center_mm + by)
    return replace(pose, xyz_camera_mm=pose.xyz_camera_mm + by, roi=roi)


@dataclass
class Shown:
    """A page in the browser, with what it asked for and what it complained of."""

    page: "Page"
    requests: list[str]
    complaints: list[str]

    def has(self, text: str) -> None:
        """Waits until this is on the page."""
        self.page.get_by_text(text).first.wait_for()

    def eventually(self, is_so: Callable[[], bool]) -> None:
        """Waits until this is so."""
        end_s = time.monotonic() + WAIT_MS / 1000
        while not is_so():
            assert time.monotonic() < end_s, "it did not come to be"
            self.page.wait_for_timeout(50)

    def keep(self, name: str) -> None:
        """Keeps a picture of it, if that is wanted."""
        folder = os.environ.get("HANDMAP_SCREENSHOTS")
        if folder:
            self.page.wait_for_timeout(4000)
            self.page.screenshot(path=Path(folder) / f"{name}.png")


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def running(step: Callable[[], None], pause_s: float = 0.0) -> Iterator[None]:
    """Calls this over and over in a thread."""
    done = threading.Event()

    def run() -> None:
        while not done.wait(pause_s):
            step()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextmanager
def opened(browser: "Browser", address: str, is_phone: bool = False) -> Iterator[Shown]:
    width, height = PHONE_PX if is_phone else DESK_PX
    context = browser.new_context(viewport={"width": width, "height": height}, has_touch=is_phone, is_mobile=is_phone)
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    shown = Shown(page, [], [])

    def complain(message: "ConsoleMessage") -> None:
        # A picture that is followed by the next one before a slow browser has loaded it is no fault.
        if message.type == "error" and not message.location["url"].startswith("blob:"):
            shown.complaints.append(message.text)

    page.on("console", complain)
    page.on("pageerror", lambda error: shown.complaints.append(str(error)))
    page.on("request", lambda request: shown.requests.append(request.url))
    page.goto(address)
    try:
        yield shown
    finally:
        context.close()


@contextmanager
def live(
    browser: "Browser",
    folder: Path,
    scene: Scene,
    is_phone: bool = False,
    is_dark: bool = False,
    ask: Callable[[int], None] | None = None,
) -> Iterator[Shown]:
    """A page of a daemon that sees this."""
    with ExitStack() as stack:
        fed = stack.enter_context(fed_preview())
        receiver = stack.enter_context(open_receiver("127.0.0.1", 0))
        preview = PreviewClient("127.0.0.1", fed.port)
        stack.callback(preview.close)
        viewer = HandViewer(receiver, ViewOptions("127.0.0.1", None, folder, is_dark=is_dark), preview, ask)
        stack.callback(viewer.close)
        numbers = iter(range(10**9))
        stack.enter_context(running(lambda: scene.send(next(numbers), fed, receiver.port), 0.05))
        stack.enter_context(running(viewer.step))
        yield stack.enter_context(opened(browser, viewer.address, is_phone))


def is_own(url: str) -> bool:
    return url.startswith(("http://localhost:", "ws://localhost:", "blob:http://localhost:", "data:"))


def brightness(shown: Shown) -> float:
    """Of the whole page as it is seen, 0 to 255."""
    return float(np.asarray(Image.open(io.BytesIO(shown.page.screenshot())).convert("L")).mean())


def colored(shown: Shown, top: int, bottom: int) -> int:
    """How many pixels of these rows are in color, as hands are and the ground is not."""
    pixels = np.asarray(Image.open(io.BytesIO(shown.page.screenshot())).convert("RGB"))[top:bottom].astype(int)
    return int(((pixels.max(axis=2) - pixels.min(axis=2)) > 30).sum())


def test_tracking(browser: "Browser", tmp_path: Path) -> None:
    with live(browser, tmp_path, Scene([Handedness.RIGHT])) as shown:
        for text in ("TRACKING", "right hand #1: confidence 0.80", "rate ", "latency ", "lost 0", "left hand"):
            shown.has(text)
        picture = shown.page.locator(PICTURE)
        picture.wait_for()
        assert picture.evaluate("image => image.naturalWidth") == 480
        assert shown.page.locator("canvas").count() >= 1, "the scene"
        shown.keep("tracking")
        shown.page.get_by_text("Last minute").click()
        shown.page.locator(".u-title").nth(4).wait_for()
        assert shown.page.locator(".u-title").all_inner_texts() == [title for title, _ in PLOTS]
        shown.keep("last_minute")

        assert [url for url in shown.requests if not is_own(url)] == []
        assert shown.complaints == []


def test_two_hands(browser: "Browser", tmp_path: Path) -> None:
    with live(browser, tmp_path, Scene([Handedness.LEFT, Handedness.RIGHT])) as shown:
        shown.has("left hand #1")
        shown.has("right hand #2")
        shown.keep("two_hands")


def test_no_hand(browser: "Browser", tmp_path: Path) -> None:
    with live(browser, tmp_path, Scene()) as shown:
        shown.has("NO_HAND")
        shown.page.locator(PICTURE).wait_for()
        assert shown.page.get_by_text("right hand #").count() == 0
        shown.keep("no_hand")


def test_no_camera(browser: "Browser", tmp_path: Path) -> None:
    with live(browser, tmp_path, Scene(has_camera=False)) as shown:
        shown.has("NO_CAMERA")
        shown.keep("no_camera")
        assert shown.complaints == []


def test_phone(browser: "Browser", tmp_path: Path) -> None:
    with live(browser, tmp_path, Scene([Handedness.RIGHT]), is_phone=True) as shown:
        shown.has("TRACKING")
        box = shown.page.locator(PICTURE).bounding_box()
        assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 390
        assert shown.page.evaluate("document.documentElement.scrollWidth") <= 390
        assert shown.page.get_by_role("button", name="Record").is_visible()
        title = shown.page.get_by_text("HandMap").bounding_box()
        assert title is not None
        top = int(title["y"]) - 20  # of the panel
        shown.page.locator(".mantine-Notification-closeButton").tap()  # of the notice about drawing without a GPU
        shown.eventually(lambda: colored(shown, 0, top) > 4000 and colored(shown, top - 25, top) == 0)
        shown.keep("phone")
        shown.page.get_by_text("HandMap").tap()
        shown.page.locator(PICTURE).wait_for(state="hidden")


def test_dark_and_light(browser: "Browser", tmp_path: Path) -> None:
    found = []
    for is_dark in (True, False):
        with live(browser, tmp_path, Scene([Handedness.RIGHT]), is_dark=is_dark) as shown:
            shown.has("TRACKING")
            shown.keep("dark" if is_dark else "light")
            found.append(brightness(shown))

    assert found[0] < 80 < 170 < found[1]


def test_the_button_records_what_can_be_played(browser: "Browser", tmp_path: Path) -> None:
    with live(browser, tmp_path / "taken", Scene([Handedness.LEFT])) as shown:
        shown.has("TRACKING")
        shown.page.get_by_role("button", name="Record").click()
        shown.page.get_by_role("button", name="Stop recording").wait_for()
        shown.page.wait_for_timeout(1500)
        shown.page.get_by_role("button", name="Stop recording").click()
        shown.has("written:")

    (path,) = (tmp_path / "taken").iterdir()
    playback = Playback(path)
    assert playback.duration_s > 1
    received = [one for one in (playback.wait(0.05) for _ in range(20)) if one is not None]
    assert received and received[0].hands[0].handedness is Handedness.LEFT
    assert playback.take() is not None


def test_the_daemon_is_asked_for_a_snapshot_and_its_answer_is_shown(browser: "Browser", tmp_path: Path) -> None:
    asked: list[int] = []

    def ask(port: int) -> None:
        asked.append(port)
        if len(asked) > 1:
            raise NoAnswer("no daemon answers there")

    with live(browser, tmp_path, Scene(), ask=ask) as shown:
        shown.has("NO_HAND")
        button = shown.page.get_by_role("button", name="Snapshot on the board")
        button.click()
        shown.has("the daemon writes a snapshot")
        button.click()
        shown.has("no daemon answers there")

    assert asked == [5655, 5655]


def test_a_recording_has_a_time_bar(browser: "Browser", tmp_path: Path) -> None:
    playback = Playback(paced(tmp_path / "long.mcap", packets=600, gap_s=1.0))
    viewer = HandViewer(playback, ViewOptions("127.0.0.1", None, tmp_path))
    try:
        with running(viewer.step), opened(browser, viewer.address) as shown:
            shown.has("time, s")
            shown.has("right hand #3")
            assert shown.page.get_by_role("button", name="Record").count() == 0
            click_bar(shown)
            shown.eventually(lambda: 250 < playback.place_s < 400)
            shown.page.get_by_role("button", name="Pause").click()
            shown.page.get_by_role("button", name="Play").wait_for()  # from then on the page moves the bar no more
            assert not playback.is_playing
            go_to(shown, "450")
            shown.eventually(lambda: playback.place_s == pytest.approx(450, abs=0.01))
            shown.keep("playback")
            shown.page.get_by_role("button", name="Play").click()
            shown.eventually(lambda: playback.place_s > 450.5)
            shown.page.get_by_role("button", name="Pause").wait_for()
    finally:
        viewer.close()


def click_bar(shown: Shown) -> None:
    """Clicks the middle of the time bar."""
    bar = shown.page.locator(".mantine-Slider-root").last.bounding_box()
    assert bar is not None
    shown.page.mouse.click(bar["x"] + bar["width"] / 2, bar["y"] + bar["height"] / 2)


def go_to(shown: Shown, place_s: str) -> None:
    """Types a place into the time bar's field."""
    field = shown.page.locator("input").last
    field.fill(place_s)
    field.press("Enter")
