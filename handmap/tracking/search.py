"""Hands found anew: the palm graph and geometry propose, the hand network judges."""

from typing import Protocol

import numpy as np

from handmap.engines.engine import Engines
from handmap.tracking.evidence import START_EVIDENCE, SURE_EVIDENCE, evidence
from handmap.tracking.locate import locate
from handmap.tracking.look import Clock, Look, LookSettings, look, look_again
from handmap.tracking.palm_view import PalmMap, read_palms, shrink
from handmap.types.arrays import Float32
from handmap.types.values import DepthFrame, Handedness, View

RECENTRING_PASSES = 2
SPARE_CANDIDATES = 2  # kept beside as many as there are hands to find, until the last look decides
MOST_PALMS = 4
SAME_HAND_MM = 80.0
ONE_PLACE_MM = 25.0  # candidates nearer than this are one: the better of them is kept


class SearchSettings(LookSettings, Protocol):
    """What a search needs to know beside what a look does."""

    @property
    def cube_mm(self) -> float: ...
    @property
    def handedness(self) -> Handedness: ...
    @property
    def max_hands(self) -> int: ...
    @property
    def range_mm(self) -> tuple[float, float]: ...
    @property
    def proposals(self) -> int: ...
    @property
    def min_confidence(self) -> float: ...
    @property
    def expects_hand(self) -> bool: ...


def search(
    frame: DepthFrame,
    taken_mm: list[Float32],
    palms: PalmMap | None,
    engines: Engines,
    settings: SearchSettings,
    clock: Clock,
    asks_geometry: bool = True,
) -> list[Look]:
    """Hands found anew, the surest first, none of them where one is tracked already.

    The palm graph's places (`map_palms`) are looked into first; geometry, which takes longer, is asked where they do not surely
    show enough hands and the caller can wait for it.
    """
    with clock.stage("locate"):
        places = [] if palms is None else _reported(palms, engines.least_score, settings)
    candidates = judge(frame, _apart(places, taken_mm), palms, engines, settings, clock)
    found = _choose(candidates, taken_mm, palms, settings)
    are_sure = all(evidence(one, palms) >= SURE_EVIDENCE for one in found)
    if (are_sure and len(found) + len(taken_mm) >= settings.max_hands) or not asks_geometry:
        return found
    with clock.stage("locate"):
        ends = propose_ends(frame, settings)
    candidates += judge(frame, _apart(ends, taken_mm), palms, engines, settings, clock)
    return _choose(candidates, taken_mm, palms, settings)


def map_palms(frame: DepthFrame, engines: Engines, settings: SearchSettings) -> PalmMap | None:
    """What the palm graph says of a frame; none where a bundle has no such graph."""
    if engines.palm is None:
        return None
    view = shrink(settings.xp, frame)
    return PalmMap(engines.palm.infer(view.depth_small), view.lens)


def judge(
    frame: DepthFrame,
    centres: list[Float32],
    palms: PalmMap | None,
    engines: Engines,
    settings: SearchSettings,
    clock: Clock,
) -> list[Look]:
    """The looks at the best of these places, each at a hand of its own, re-centred as everything that is followed.

    Each place is judged by a second look, centred on what the first one saw, since an end of a body lies half a hand off its
    middle.
    """
    is_mirrored = (
        settings.handedness is Handedness.LEFT
    )  # the network knows right hands; an unknown one is turned later
    views = [View(centre, settings.cube_mm, is_mirrored) for centre in centres]
    first = [seen for seen in look(frame, views, engines.hand, settings, clock) if not seen.is_empty]
    judged = look_again(frame, [turned(seen, settings) for seen in first], engines.hand, settings, clock)
    best: list[Look] = []
    for seen in sorted(judged, key=lambda one: -evidence(one, palms)):
        if len(best) < settings.max_hands + SPARE_CANDIDATES and is_apart(
            seen.centre_mm, [one.centre_mm for one in best], ONE_PLACE_MM
        ):
            best.append(seen)
    for _ in range(RECENTRING_PASSES):
        best = look_again(frame, [turned(seen, settings) for seen in best], engines.hand, settings, clock)
    return best


def _choose(
    candidates: list[Look], taken_mm: list[Float32], palms: PalmMap | None, settings: SearchSettings
) -> list[Look]:
    """As many of the candidates as there are hands to find, the surest first, each a hand of its own."""
    found: list[Look] = []
    for seen in sorted(candidates, key=lambda one: -evidence(one, palms)):
        others = [*taken_mm, *(other.centre_mm for other in found)]
        is_sure = settings.expects_hand or evidence(seen, palms) >= START_EVIDENCE
        is_wanted = len(others) < settings.max_hands and is_sure and is_hand(seen, settings)
        if is_wanted and is_apart(seen.centre_mm, others):
            found.append(seen)
    return found


def _reported(palms: PalmMap, least_score: float, settings: SearchSettings) -> list[Float32]:
    """Centres (3,) in the camera frame, mm, of the hands in range that the palm graph reports."""
    near, far = settings.range_mm
    reports = read_palms(palms.palms, palms.lens, least_score, MOST_PALMS)
    return [report.centre_mm for report in reports if near <= report.centre_mm[2] <= far]


def propose_ends(frame: DepthFrame, settings: SearchSettings) -> list[Float32]:
    """Centres (3,) in the camera frame, mm, of the ends of bodies: hands among them, the likeliest first."""
    return [one.centre_mm for one in locate(settings.xp, frame, settings.range_mm, settings.proposals)]


def turned(seen: Look, settings: SearchSettings) -> Look:
    """The look with its view mirrored as its side asks, where nobody has said which hand to expect."""
    if settings.handedness is not Handedness.UNKNOWN:
        return seen
    return seen.with_side(is_left=seen.right < 0)


def is_hand(seen: Look, settings: SearchSettings) -> bool:
    """Whether a look shows a hand that may be published: sure enough, and inside the range."""
    z_mm = float(seen.centre_mm[2])
    is_in_range = settings.range_mm[0] - settings.cube_mm / 2 < z_mm < settings.range_mm[1] + settings.cube_mm / 2
    return is_in_range and not seen.is_empty and seen.confidence >= settings.min_confidence


def _apart(places_mm: list[Float32], others_mm: list[Float32]) -> list[Float32]:
    return [place for place in places_mm if is_apart(place, others_mm)]


def is_apart(centre_mm: Float32, others_mm: list[Float32], least_mm: float = SAME_HAND_MM) -> bool:
    """Whether a place is no other hand's."""
    return all(float(np.linalg.norm(centre_mm - other)) > least_mm for other in others_mm)
