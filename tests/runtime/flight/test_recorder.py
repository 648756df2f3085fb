"""The recorder beside the loop: it never blocks it, counts what it skips, and says once what it could not write."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from handmap.protocol.fields import DaemonState
from handmap.recording.bag import Bag
from handmap.recording.flight_file import FlightFile
from handmap.recording.stated import NOTHING_STATED
from handmap.tracking.tracker import TrackerState
from runtime.flight.config import FlightRecorderConfig, snapshots_folder
from runtime.flight.model import Model
from runtime.flight.recorder import MAX_PENDING, FlightRecorder
from runtime.flight.ring import Seen
from tests.support.flights import seen
from tests.support.tiny_bundle import blob_frame


class Held(TrackerState):
    """A state that cannot be encoded until it is let go: it holds up the thread that compresses."""

    gate = threading.Event()

    @property
    def tracks(self) -> object:  # type: ignore[override]
        self.gate.wait(20)
        return TrackerState().tracks

    def __init__(self) -> None:
        pass

    fitted = TrackerState().fitted
    filters = TrackerState().filters
    intrinsics = None


def wait(is_so: Callable[[], bool], limit_s: float = 20) -> None:
    end_s = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < end_s
        time.sleep(0.01)


@contextmanager
def recording(folder: Path, stalled: Callable[[], bool] = lambda: False, **keys: object) -> Iterator[FlightRecorder]:
    config = FlightRecorderConfig(folder=folder, **keys)  # type: ignore[arg-type]
    with FlightRecorder(config, lambda: Model("b", "fp32", {}), stalled) as recorder:
        yield recorder


def feed(recorder: FlightRecorder, frames: int) -> None:
    state = TrackerState()
    for number in range(frames):
        after = TrackerState()
        before = recorder.facts.frames + recorder.facts.skipped
        recorder.saw(seen(number, state, after))
        wait(lambda before=before: recorder.facts.frames + recorder.facts.skipped > before)  # type: ignore[misc]
        state = after


def read(path: str) -> FlightFile:
    return FlightFile(Bag(Path(path), NOTHING_STATED))


def test_frames_that_come_faster_than_they_are_compressed_are_skipped_and_counted(tmp_path: Path) -> None:
    Held.gate.clear()
    with recording(tmp_path) as recorder:
        recorder.saw(Seen(blob_frame(0), Held(), TrackerState(), (), 0))
        wait(lambda: recorder._queue.empty())
        for number in range(1, 31):
            recorder.saw(seen(number, TrackerState(), TrackerState()))
        skipped = recorder.facts.skipped
        Held.gate.set()
        wait(lambda: recorder._queue.empty())

    assert skipped == 30 - MAX_PENDING


def test_a_request_is_written_with_the_lines_of_the_log(tmp_path: Path) -> None:
    with recording(tmp_path) as recorder:
        feed(recorder, 5)
        recorder.use(recorder._config, '{"a": 1}')
        logging.getLogger("handmap.somewhere").warning("camera=%s lost", "left")
        recorder.changed(DaemonState.NO_CAMERA, DaemonState.TRACKING, "no frame arrives")
        number = recorder.request("asked")
        wait(lambda: recorder.facts.written + recorder.facts.failed >= number)
        newest = recorder.facts.newest
    flight = read(newest)

    assert flight.about.frames == 5 and flight.configs == ('{"a": 1}',)
    assert [(line.name, line.text) for line in flight.logs()] == [
        ("handmap.somewhere", "camera=left lost"),
        ("handmap.state", "state=NO_CAMERA was=TRACKING reason='no frame arrives'"),
    ]


def test_degraded_is_written_once_a_minute_with_what_followed(tmp_path: Path) -> None:
    with recording(tmp_path) as recorder:
        feed(recorder, 3)
        for _ in range(4):
            recorder.changed(DaemonState.DEGRADED, DaemonState.TRACKING, "engine: failed")
            recorder.changed(DaemonState.TRACKING, DaemonState.DEGRADED, "")
        recorder.saw(seen(3, TrackerState(), TrackerState()))
        wait(lambda: recorder.facts.written == 1)
        facts = recorder.facts

    assert (facts.asked, facts.failed) == (1, 0)
    assert (read(facts.newest).about.trigger, read(facts.newest).about.frames) == ("degraded", 4)


def test_what_is_still_wanted_at_the_end_is_written(tmp_path: Path) -> None:
    with recording(tmp_path) as recorder:
        feed(recorder, 3)
        recorder.changed(DaemonState.DEGRADED, DaemonState.TRACKING, "engine: failed")

    assert recorder.facts.written == 1


@pytest.mark.parametrize("keys", [{"on_degraded": False}, {"enabled": False}])
def test_degraded_writes_nothing_where_that_is_off(tmp_path: Path, keys: Any) -> None:
    with recording(tmp_path, **keys) as recorder:
        recorder.saw(seen(0, TrackerState(), TrackerState()))
        recorder.changed(DaemonState.DEGRADED, DaemonState.TRACKING, "engine: failed")

    assert recorder.facts.asked == 0 and list(tmp_path.iterdir()) == []


def test_a_loop_that_stands_still_is_a_reason(tmp_path: Path) -> None:
    stalled = threading.Event()
    with recording(tmp_path, stalled.is_set) as recorder:
        feed(recorder, 3)
        stalled.set()
        wait(lambda: recorder.facts.asked == 1)

    assert "stands still" in read(recorder.facts.newest).about.reason


def test_what_cannot_be_written_is_said_at_once_counted_each_time_and_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING), recording(tmp_path / "file") as recorder:
        wait(lambda: "cannot be written" in recorder.facts.problem)
        assert recorder.facts.failed == 0
        feed(recorder, 2)
        for _ in range(3):
            recorder.request("asked")
        wait(lambda: recorder.facts.failed == 3)

    assert recorder.facts.written == 0 and "cannot be written" in recorder.facts.problem
    assert sum("snapshot=failed" in record.getMessage() for record in caplog.records) == 2  # at the start, and then


def test_another_reason_is_logged_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), recording(tmp_path / "shots") as recorder:
        recorder.request("asked")
        wait(lambda: recorder.facts.failed == 1)
        feed(recorder, 2)
        (tmp_path / "shots").write_text("a file where the folder was")
        recorder.request("asked")
        wait(lambda: recorder.facts.failed == 2)

    assert "no frame has been worked on" in caplog.text and "cannot be written" in caplog.text


def test_each_asker_learns_what_became_of_its_own_snapshot(tmp_path: Path) -> None:
    with recording(tmp_path) as recorder:
        none = recorder.request("early")
        wait(lambda: recorder.facts.failed == 1)
        feed(recorder, 3)
        later = recorder.request("degraded", after_s=1.0)
        now = recorder.request("asked")
        wait(lambda: len(recorder.facts.outcomes) == 3)

    outcomes = {one.number: one for one in recorder.facts.outcomes}
    assert list(outcomes) == [none, now, later]
    assert "no frame" in outcomes[none].problem and not outcomes[none].path
    assert outcomes[now].path.endswith("-asked") and outcomes[later].path.endswith("-degraded")
    assert (outcomes[now].frames, outcomes[now].problem) == (3, "")
    assert outcomes[now].seconds == pytest.approx(2 / 30, abs=0.05)
    assert Path(outcomes[now].path).stat().st_mode & 0o777 == 0o700


def test_who_asks_while_nothing_is_recorded_reads_so_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), recording(tmp_path, enabled=False) as recorder:
        assert recorder.request("signal") == 0

    assert "snapshot=refused trigger=signal" in caplog.text and "flight_recorder.enabled" in caplog.text


def test_without_a_frame_there_is_nothing_to_write(tmp_path: Path) -> None:
    with recording(tmp_path) as recorder:
        recorder.request("asked")

    assert recorder.facts.failed == 1 and "no frame" in recorder.facts.problem


def test_bounds_change_while_it_runs_and_turned_off_it_forgets(tmp_path: Path) -> None:
    with recording(tmp_path) as recorder:
        feed(recorder, 60)
        recorder.use(FlightRecorderConfig(folder=tmp_path, seconds=1), "")
        wait(lambda: 20 <= recorder.facts.frames <= 31)
        recorder.use(FlightRecorderConfig(folder=tmp_path, enabled=False), "")
        wait(lambda: recorder.facts.frames == 0)

        assert recorder.request("asked") == 0


def test_a_frame_that_cannot_be_kept_does_not_end_it(tmp_path: Path) -> None:
    with recording(tmp_path) as recorder:
        recorder.saw(Seen(None, TrackerState(), TrackerState(), (), 0))  # type: ignore[arg-type]  # no frame
        wait(lambda: recorder.facts.failed == 1)
        feed(recorder, 2)
        wait(lambda: recorder.facts.frames == 2)


def test_snapshots_go_to_the_state_folder_of_the_service_or_the_user(tmp_path: Path) -> None:
    config = FlightRecorderConfig()

    assert snapshots_folder(config, {"STATE_DIRECTORY": "/var/lib/handmap"}) == Path("/var/lib/handmap/snapshots")
    assert snapshots_folder(config, {"XDG_STATE_HOME": "/s"}) == Path("/s/handmap/snapshots")
    assert snapshots_folder(config, {"XDG_STATE_HOME": "s"}) == Path.home() / ".local/state/handmap/snapshots"
    instance = {"STATE_DIRECTORY": "/var/lib/handmap:/var/lib/handmap/left"}
    assert snapshots_folder(config, instance) == Path("/var/lib/handmap/left/snapshots")
    assert snapshots_folder(FlightRecorderConfig(folder=tmp_path), {"STATE_DIRECTORY": "/v"}) == tmp_path
