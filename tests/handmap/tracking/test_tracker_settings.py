"""What a bundle's model and the configuration make of the tracker's settings."""

from pathlib import Path

import pytest

from handmap.bundle.manifest import read_bundle
from handmap.tracking.fitted_hands import DEFAULT_SKELETON, UNFITTED
from handmap.tracking.smooth import DEFAULT_SMOOTHING, UNSMOOTHED
from handmap.tracking.tracker_settings import TrackingConfig, tracker_settings
from handmap.types.errors import ConfigError
from handmap.types.values import Handedness
from tests.support.processes import ROOT
from tests.support.tiny_bundle import write_bundle


def test_every_key_of_the_configuration_reaches_the_tracker() -> None:
    bundle = read_bundle(ROOT / "models/handmap-hand21")
    config = TrackingConfig("left", 2, 200.0, 800.0, 3, True, 0.7)

    found = tracker_settings(bundle, config, UNSMOOTHED, UNFITTED)

    assert (found.handedness, found.max_hands, found.range_mm) == (Handedness.LEFT, 2, (200.0, 800.0))
    assert (found.max_proposals, found.assume_hand_present, found.min_confidence) == (3, True, 0.7)
    assert found.smoothing is UNSMOOTHED and found.skeleton is UNFITTED
    assert (found.cube_mm, found.cube_mm_range) == (bundle.hand.cube_mm, bundle.hand.cube_mm_range)
    assert found.confidence is bundle.hand.confidence
    assert tracker_settings(bundle, config).smoothing is DEFAULT_SMOOTHING
    assert tracker_settings(bundle, config).skeleton is DEFAULT_SKELETON


def test_either_hand_can_be_asked_for_only_of_a_model_that_tells_them_apart(tmp_path: Path) -> None:
    plain, shipped = write_bundle(tmp_path / "plain"), read_bundle(ROOT / "models/handmap-hand21")

    assert tracker_settings(shipped, TrackingConfig("any")).handedness is Handedness.UNKNOWN
    assert tracker_settings(shipped, TrackingConfig("right")).handedness is Handedness.RIGHT
    assert tracker_settings(shipped, TrackingConfig()).handedness is Handedness.UNKNOWN
    assert tracker_settings(plain, TrackingConfig()).handedness is Handedness.RIGHT
    assert tracker_settings(plain, TrackingConfig("left")).handedness is Handedness.LEFT
    with pytest.raises(ConfigError, match=r"tracking\.handedness is any; set it to right or left"):
        tracker_settings(plain, TrackingConfig("any"))


@pytest.mark.parametrize(("near", "far"), [(300.0, 300.0), (400.0, 300.0)])
def test_a_range_that_holds_nothing_is_refused(near: float, far: float) -> None:
    with pytest.raises(ValueError, match="must be below"):
        TrackingConfig(min_depth_mm=near, max_depth_mm=far)


def test_the_defaults_are_one_hand_within_arm_s_reach() -> None:
    assert TrackingConfig() == TrackingConfig(None, 1, 150.0, 1000.0, 6, False, 0.3)
