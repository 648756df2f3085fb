"""Metric families for Prometheus made of values, totals, times and distributions; and those of the hands' quality."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from handmap.system.timing import BUCKETS_MS, StageHistogram

from .distribution import Distribution
from .quality import Quality


def quality_families(quality: Quality) -> Iterable[Metric]:
    """How good the published hands are, in meters and shares."""
    counts = quality.counts
    yield _distribution("handmap_confidence_ratio", "Probability that a published hand is one.", quality.confidence)
    yield _distribution(
        "handmap_expected_error_meters", "Error expected of a hand, mean over its joints.", quality.expected_error_m
    )
    yield _distribution(
        "handmap_hand_distance_meters", "Distance of a hand along the camera's axis.", quality.distance_m
    )
    yield _distribution(
        "handmap_missing_depth_ratio",
        "Share of a hand's joints and bones where the camera measured no depth.",
        quality.missing_depth,
    )
    yield _distribution(
        "handmap_fit_residual_meters",
        "Distance of the network's joints from the fitted hand, root mean square over a hand.",
        quality.residual_m,
    )
    yield CounterMetricFamily("handmap_frames_with_hand", "Published frames with a hand.", counts.frames_with_hand)
    sides = {"left": counts.left, "right": counts.right}
    yield total_by("handmap_hands_published", "Hands in published frames.", "side", sides)
    yield CounterMetricFamily(
        "handmap_hands_valid", "Published hands with at least half of their joints inside the image.", counts.valid
    )
    yield CounterMetricFamily("handmap_joints_published", "Joints of published hands.", counts.joints)
    yield CounterMetricFamily("handmap_joints_in_image", "Those inside the image.", counts.joints_in_image)
    changes = {
        "started": counts.tracks_started,
        "lost": counts.tracks_lost,
        "found_again": counts.tracks_found_again,
    }
    yield total_by("handmap_track_changes", "Tracks that started, were lost or found again.", "change", changes)
    yield CounterMetricFamily("handmap_side_flips", "Tracks that changed between left and right.", counts.side_flips)


def value_by(name: str, text: str, label: str, values: dict[str, float] | dict[str, bool]) -> Metric:
    """One gauge for each value of a label."""
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], float(value))
    return family


def total_by(name: str, text: str, label: str, values: dict[str, int]) -> Metric:
    """One counter for each value of a label."""
    family = CounterMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def time_histogram(name: str, text: str, label: str, stages: dict[str, StageHistogram]) -> Metric:
    """One histogram in seconds for each stage, by this label; without a label, of the only stage."""
    family = HistogramMetricFamily(name, text, labels=[label] if label else [])
    bounds = [*(f"{bound_ms / 1e3:g}" for bound_ms in BUCKETS_MS), "+Inf"]
    for key, stage in stages.items():
        sums = [sum(stage.counts[: index + 1]) for index in range(len(bounds))]
        family.add_metric([key] if label else [], list(zip(bounds, sums, strict=True)), stage.total_ns / 1e9)
    return family


def _distribution(name: str, text: str, values: Distribution) -> Metric:
    counts = values.counts
    bounds = [*(f"{bound:g}" for bound in values.bounds), "+Inf"]
    sums = [sum(counts[: index + 1]) for index in range(len(bounds))]
    return HistogramMetricFamily(name, text, buckets=list(zip(bounds, sums, strict=True)), sum_value=values.total)
