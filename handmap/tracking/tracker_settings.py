"""Which hands to track and where: the `tracking` section of a configuration, combined with the bundle's model facts."""

from dataclasses import dataclass
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
import numpy as np

from handmap.bundle.confidence import ConfidenceTable
from handmap.bundle.manifest import Bundle
from handmap.tracking.fitted_hands import DEFAULT_SKELETON, SkeletonConfig
from handmap.tracking.smooth import DEFAULT_SMOOTHING, SmoothingConfig
from handmap.types.arrays import ArrayModule
from handmap.types.errors import ConfigError
from handmap.types.values import Handedness

HandChoice: TypeAlias = Literal["any", "right", "left"]


class TrackingConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which hands to track, and where."""

    # which hand to expect; any: the model decides; null: any if the model can tell, else right
    handedness: HandChoice | None = None
    max_hands: Annotated[int, msgspec.Meta(ge=1, le=2)] = 1  # most hands to track at once
    min_depth_mm: Annotated[float, msgspec.Meta(ge=50, le=5000)] = 150.0  # depth nearer than this is ignored
    max_depth_mm: Annotated[float, msgspec.Meta(ge=100, le=5000)] = 1000.0  # depth beyond this is ignored
    max_proposals: Annotated[int, msgspec.Meta(ge=1, le=12)] = (
        6  # most region proposals to try when searching for hands
    )
    assume_hand_present: bool = (
        False  # true: a hand is always in view, so publish the best candidate; false: only sure ones
    )
    min_confidence: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.3  # candidates with a lower probability are rejected

    def __post_init__(self) -> None:
        if self.min_depth_mm >= self.max_depth_mm:
            raise ValueError(
                f"min_depth_mm must be below max_depth_mm, found {self.min_depth_mm} and {self.max_depth_mm}"
            )


HANDEDNESS: Final[dict[HandChoice, Handedness]] = {
    "any": Handedness.UNKNOWN,
    "right": Handedness.RIGHT,
    "left": Handedness.LEFT,
}
HAND_CHOICES: Final = {handedness: choice for choice, handedness in HANDEDNESS.items()}


@dataclass(frozen=True)
class TrackerSettings:
    """What `track_hands` needs to know about model and device; handedness is UNKNOWN if the model decides it."""

    xp: ArrayModule
    cube_mm: float
    cube_mm_range: tuple[float, float]
    confidence: ConfidenceTable
    handedness: Handedness
    max_hands: int
    range_mm: tuple[float, float]
    max_proposals: int
    min_confidence: float
    assume_hand_present: bool = False
    smoothing: SmoothingConfig = DEFAULT_SMOOTHING
    skeleton: SkeletonConfig = DEFAULT_SKELETON


def tracker_settings(
    bundle: Bundle,
    config: TrackingConfig,
    smoothing: SmoothingConfig = DEFAULT_SMOOTHING,
    skeleton: SkeletonConfig = DEFAULT_SKELETON,
    xp: ArrayModule = np,
) -> TrackerSettings:
    """Settings for a bundle's model on this device.

    Raises ConfigError if the configuration leaves handedness to a model that does not predict it.
    """
    tells_handedness = "side" in {tensor.name for tensor in bundle.hand.tensors.outputs}
    handedness = config.handedness or ("any" if tells_handedness else "right")
    if handedness == "any" and not tells_handedness:
        raise ConfigError(
            f"bundle {str(bundle.path)!r}: its model does not predict handedness, but tracking.handedness is any; set it to right or left"
        )
    return TrackerSettings(
        xp=xp,
        cube_mm=bundle.hand.cube_mm,
        cube_mm_range=bundle.hand.cube_mm_range,
        confidence=bundle.hand.confidence,
        handedness=HANDEDNESS[handedness],
        max_hands=config.max_hands,
        range_mm=(config.min_depth_mm, config.max_depth_mm),
        max_proposals=config.max_proposals,
        min_confidence=config.min_confidence,
        assume_hand_present=config.assume_hand_present,
        smoothing=smoothing,
        skeleton=skeleton,
    )
