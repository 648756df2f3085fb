"""The metrics of quality as Prometheus reads them from a real daemon that tracks the hand of the demo recording."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from handmap.bundle.manifest import Bundle
from handmap.engines.engine import GpuMemory
from runtime.gpu_watch import GpuWatch
from tests.support.processes import ROOT, started
from tests.support.running import free_port, wait_for
from tests.support.scraping import Samples, scraped
from tests.support.tiny_bundle import write_config

A_FRAME = 1  # the page may be made while one is being counted
CHANGES = ("started", "lost", "found_again")
SHIPPED, DEMO = ROOT / "models" / "handmap-hand21", ROOT / "models" / "demo_recording"


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Samples]:
    """A scrape once the hand has been tracked for a while."""
    port = free_port()
    config = write_config(tmp_path_factory.mktemp("demo") / "c.yaml", SHIPPED, DEMO, 9, telemetry=port)
    text = config.read_text().replace("skeleton: {enabled: false}", "skeleton: {enabled: true}")
    config.write_text(text)
    with started("run", "--config", config):
        wait_for(port, lambda now: now.state == "TRACKING" and now.published >= 60, 60)
        yield scraped(port)


def total(samples: Samples, name: str) -> float:
    return sum(value for (found, _), value in samples.items() if found == name)


def mean(samples: Samples, name: str) -> float:
    return total(samples, f"{name}_sum") / total(samples, f"{name}_count")


def test_every_published_hand_is_in_each_distribution(samples: Samples) -> None:
    hands = total(samples, "handmap_hands_published_total")

    assert hands >= 50
    for name in ("confidence_ratio", "expected_error_meters", "hand_distance_meters", "fit_residual_meters"):
        count = total(samples, f"handmap_{name}_count")
        assert count == pytest.approx(hands, abs=A_FRAME)
        assert samples[f"handmap_{name}_bucket", (("le", "+Inf"),)] == count
    assert total(samples, "handmap_joints_published_total") == pytest.approx(21 * hands, abs=21 * A_FRAME)


def test_values_are_those_of_a_well_seen_hand(samples: Samples) -> None:
    assert 0.7 < mean(samples, "handmap_confidence_ratio") <= 1
    assert 0.002 < mean(samples, "handmap_expected_error_meters") < 0.02
    assert 0.25 < mean(samples, "handmap_hand_distance_meters") < 0.9
    assert 0.0005 < mean(samples, "handmap_fit_residual_meters") < 0.02
    assert 0 <= mean(samples, "handmap_missing_depth_ratio") < 0.6
    hands = total(samples, "handmap_hands_published_total")
    assert total(samples, "handmap_hands_valid_total") == pytest.approx(hands, abs=A_FRAME)
    assert total(samples, "handmap_joints_in_image_total") >= 0.9 * total(samples, "handmap_joints_published_total")


def test_frames_tracks_and_camera_are_counted(samples: Samples) -> None:
    published, with_hand = (
        total(samples, "handmap_frames_published_total"),
        total(samples, "handmap_frames_with_hand_total"),
    )

    assert 0.8 * published < with_hand <= published + A_FRAME
    assert samples["handmap_track_changes_total", (("change", "started"),)] >= 1
    assert total(samples, "handmap_camera_frames_total") >= published
    assert samples["handmap_camera_asked_rate_hertz", ()] == pytest.approx(30, abs=0.5)
    assert samples["handmap_camera_rate_hertz", ()] > 0


def test_the_engine_is_a_label_and_without_a_gpu_there_is_no_memory_of_one(samples: Samples) -> None:
    (labels,) = (dict(labels) for name, labels in samples if name == "handmap_info")

    assert (labels["engine"], labels["precision"]) == ("onnx", "fp32")
    assert not any("gpu" in name for name, _ in samples)


def test_the_memory_of_a_gpu_is_read_now_and_then_and_not_while_engines_are_opened() -> None:
    class Engine:
        """Runs on a GPU that fills up."""

        batch, precision, tensors, reads = 1, "fp16", None, 0

        def infer(self, depth: object) -> object: ...
        def close(self) -> None: ...
        def gpu_memory(self) -> GpuMemory:
            self.reads += 1
            return GpuMemory(self.reads, 100)

    watch, engine = GpuWatch(), Engine()
    assert watch.read() is None

    watch.watch(engine)  # type: ignore[arg-type]  # only its memory is asked for
    assert [watch.read(), watch.read()] == [GpuMemory(1, 100)] * 2
    assert engine.reads == 1

    watch.watch(None)
    assert watch.read() is None


@pytest.mark.parametrize("fault", ["unplugged", "stalled"])
def test_without_a_camera_there_are_no_hands_and_their_tracks_are_lost(
    tmp_path: Path, bundle: Bundle, recording: Path, fault: str
) -> None:
    port = free_port()
    config = write_config(tmp_path / "c.yaml", bundle.path, recording, 9, telemetry=port)
    camera = f"{{kind: replay, path: {recording}}}"
    text = config.read_text().replace(
        f"{{kind: replay, path: {recording}, pace: recorded, loop: true}}",
        f"{{kind: faulty, camera: {camera}, faults: [{{kind: {fault}, start_s: 4}}]}}",
    )
    config.write_text(text)
    with started("run", "--config", config):
        tracking = wait_for(port, lambda now: bool(now.hand_qualities))
        gone = wait_for(port, lambda now: now.state == "NO_CAMERA" and now.camera_rate_hz == 0)
        samples = scraped(port)

    assert (tracking.asked_rate_hz, tracking.engine) == (30.0, "onnx")
    assert gone.hand_qualities == ()
    assert samples["handmap_track_changes_total", (("change", "lost"),)] >= 1
    changes = {change: samples["handmap_track_changes_total", (("change", change),)] for change in CHANGES}
    assert changes["lost"] == changes["started"] + changes["found_again"]
