"""One percentage from TensorRT's nested phases, and what happens to the build when reporting fails."""

import pytest

from export.engine_plan import GraphSource, build_plan
from export.engine_progress import Phases, open_monitor
from handmap.bundle.tensors import Tensor, Tensors, fix_batch
from handmap.engines.engine_keys import BuilderOptions
from handmap.system.notify import Notifier
from handmap.types.errors import BuildError
from tests.support.tiny_bundle import TINY

TENSORS = Tensors(
    (Tensor("depth", "float32", ("batch", 1, 128, 128)),), (Tensor("joints", "float32", ("batch", 21, 3)),)
)
SOURCE = GraphSource("graph 'tiny'", TINY.read_bytes(), fix_batch(TENSORS, 1))


class Heard(Notifier):
    """Records what would be sent to systemd."""

    def __init__(self) -> None:
        super().__init__(None)
        self.states: list[str] = []

    def send(self, *states: str) -> None:
        """Keeps them."""
        self.states += states


def test_a_phase_spans_one_step_of_its_parent() -> None:
    phases = Phases()
    phases.start("Building engine", None, 4)

    shares = [phases.step("Building engine", 0)]
    phases.start("Timing", "Building engine", 2)
    shares += [phases.step("Timing", 0)]
    phases.start("Reformats", "Timing", 2)
    shares += [phases.step("Reformats", 0), phases.step("Reformats", 1), phases.step("Timing", 1)]
    shares += [phases.step("Building engine", 1), phases.step("Building engine", 3)]

    assert shares == pytest.approx([1 / 4, 3 / 8, 7 / 16, 1 / 2, 1 / 2, 1 / 2, 1])


def test_progress_never_decreases_and_stays_in_range() -> None:
    phases = Phases()
    phases.start("Building engine", None, 2)
    seen = [phases.step("Building engine", 0)]
    for parent in ("Building engine", "Building engine", "never started"):
        phases.start("Timing", parent, 0)  # a phase of no steps, twice within one step, once within nothing
        seen += [phases.step("Timing", 0), phases.step("Timing", 7), phases.step("unknown", 1)]
    phases.start("Another engine", None, 3)
    seen += [phases.step("Another engine", 0)]

    assert seen == sorted(seen)
    assert min(seen) >= 0.5 and max(seen) <= 1


def test_systemd_is_asked_for_more_time_during_a_build() -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="needs NVIDIA's tensorrt_rtx wheel")
    heard, now_s = Heard(), iter((0.0, 1.0, 4.9, 5.0, 6.0))
    monitor = open_monitor(trt, lambda done, note: None, heard, lambda: next(now_s))
    monitor.phase_start("Building engine", None, 5)

    for step in range(5):
        assert monitor.step_complete("Building engine", step)

    assert heard.states == [
        "EXTEND_TIMEOUT_USEC=120000000", "STATUS=building an engine, 20 %: Building engine",
        "EXTEND_TIMEOUT_USEC=120000000", "STATUS=building an engine, 80 %: Building engine",
    ]  # fmt: skip


def test_a_real_build_reports_progress_up_to_99_percent() -> None:
    pytest.importorskip("tensorrt_rtx", reason="needs NVIDIA's tensorrt_rtx wheel")
    from export.to_engine import open_backend

    backend, shown = open_backend("rtx"), list[int]()
    monitor = open_monitor(backend.trt, lambda done, note: shown.append(done), Notifier(None))
    build_plan(backend, SOURCE, BuilderOptions(), b"", monitor)

    assert len(shown) > 10
    assert shown == sorted(shown) and 75 < shown[-1] < 100


@pytest.mark.parametrize("kind", [KeyboardInterrupt, OSError])
def test_an_exception_while_reporting_cancels_the_build(kind: type[BaseException]) -> None:
    pytest.importorskip("tensorrt_rtx", reason="needs NVIDIA's tensorrt_rtx wheel")
    from export.to_engine import open_backend

    calls = []

    def fail(done: int, note: str) -> None:
        calls.append(done)
        raise kind("no terminal any more")

    backend = open_backend("rtx")
    monitor = open_monitor(backend.trt, fail, Notifier(None))

    with pytest.raises(BuildError):
        build_plan(backend, SOURCE, BuilderOptions(), b"", monitor)

    assert type(monitor.failure) is kind
    assert len(calls) < 10
