"""Work on a stream: captured and launched as one, or enqueued each time if capture fails; never left half captured."""

import logging

import pytest

from handmap.engines.cuda_graph import CapturedGraph
from handmap.types.errors import EngineFailed
from tests.support.numpy_gpu import Stream


class Counter:
    """Work that counts how often it ran, and how often it was enqueued."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.asked = 0
        self.done = 0

    def __call__(self) -> None:
        self.asked += 1
        self._stream.do(self._do)

    def _do(self) -> None:
        self.done += 1


def test_a_launch_replays_the_capture_without_enqueueing_again() -> None:
    stream = Stream()
    counter = Counter(stream)
    work = CapturedGraph(stream, counter, "counting")
    asked, done = counter.asked, counter.done

    work.launch()
    work.launch()

    assert work.is_graph
    assert (counter.asked, counter.done) == (asked, done + 2)


def test_work_runs_once_before_it_is_captured() -> None:
    stream = Stream()
    seen: list[bool] = []

    CapturedGraph(stream, lambda: seen.append(stream.is_capturing), "watching")

    assert seen[:2] == [False, True]


def test_work_that_cannot_be_captured_is_enqueued_at_every_launch_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stream = Stream(refuses_graphs=True)
    counter = Counter(stream)
    with caplog.at_level(logging.INFO):
        work = CapturedGraph(stream, counter, "counting")
    asked = counter.asked

    work.launch()
    work.launch()

    assert not work.is_graph and not stream.is_capturing
    assert counter.asked == asked + 2
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "counting" in record.message and "cudaErrorStreamCaptureInvalidated" in record.message


@pytest.mark.parametrize("kind", [RuntimeError, MemoryError, EngineFailed])
def test_work_that_fails_only_during_capture_runs_eagerly(kind: type[Exception]) -> None:
    stream = Stream()

    def enqueue() -> None:
        if stream.is_capturing:
            raise kind("not in a graph")
        stream.do(lambda: None)

    work = CapturedGraph(stream, enqueue, "shy")

    assert not work.is_graph and not stream.is_capturing


def test_work_that_fails_by_itself_is_not_hidden_and_leaves_the_stream_free() -> None:
    stream = Stream()

    def enqueue() -> None:
        raise EngineFailed("never works")

    with pytest.raises(EngineFailed, match="never works"):
        CapturedGraph(stream, enqueue, "broken")

    assert not stream.is_capturing
