"""Selects a small, varied set of calibration crops. Deterministic for the same sources and seed."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np

from handmap.bundle.manifest import Bundle, read_bundle
from handmap.engines.factory import open_engines
from handmap.recording.stated import NOTHING_STATED, Stated
from handmap.tracking.fitted_hands import UNFITTED
from handmap.tracking.smooth import UNSMOOTHED
from handmap.tracking.tracker_settings import TrackingConfig, tracker_settings
from handmap.types.arrays import Float32
from handmap.types.errors import ConfigError, DatasetError
from handmap.types.joints import HAND21

from .calibration_set import (
    FORMAT,
    CalibrationSamples,
    Crops,
    Item,
    SetManifest,
    SourceEntry,
    refuse_foreign_set,
    write_set,
)
from .candidates import Candidate, Found, find_candidates
from .contact_sheet import draw_contact_sheet
from .detector_inputs import join_inputs
from .frame_source import FrameSource, RecordingSource, open_source, refuse_other_hand
from .idle_options import refuse_idle_options
from .overlap import refuse_held_out_sources, refuse_shared_frames

MIN_FRAMES: Final = 500
CANDIDATES_A_FRAME: Final = 6
HELD_OUT_SHARE: Final = 5  # one in five recordings, if there are three or more
EMPTY_BELOW: Final = 0.01  # fraction of filled pixels
TWIN_MM: Final = 1.0  # two crops, pooled to 16 by 16, with a smaller mean difference are duplicates
NOISE_ABOVE: Final = (
    0.5  # mean step between neighbors over the standard deviation: 1.1 for noise, 0.05-0.2 for the depth of a hand
)


@dataclass(frozen=True)
class SelectRequest:
    """What to select from and how many; if held_out is empty, the seed picks the recordings to hold out."""

    bundle: Path
    frame_sources: tuple[str, ...]
    held_out: tuple[str, ...]
    frames: int
    seed: int
    hand: Literal["right", "left"]
    is_forced: bool
    stated: Stated = NOTHING_STATED  # about every recording


@dataclass(frozen=True)
class Spread:
    """The selected candidates, and the number of dropped ones by reason."""

    chosen: list[Candidate]
    dropped: Counter[str]


def select_set(request: SelectRequest, out: Path) -> SetManifest:
    """Writes the set at `out` and returns its manifest.

    Raises DatasetError for an unsuitable set, unless forced; the manifest then lists the problems. Frames for the gate that are
    also selected from are refused even so.
    """
    refuse_foreign_set(out)
    bundle = read_bundle(request.bundle)
    if bundle.hand.joint_names != HAND21:
        raise ConfigError(
            f"bundle {str(bundle.path)!r}: selection needs hand21 joints, found others; map them to hand21 first"
        )
    frame_sources, is_held_out = _open_all(request)
    found = _find_all(bundle, frame_sources, request)
    refuse_shared_frames(found, [one.name for one in frame_sources], is_held_out)
    random = np.random.default_rng(request.seed)
    calibrating = [
        one for source, held in zip(found, is_held_out, strict=True) if not held for one in source.candidates
    ]
    held = [one for source, held in zip(found, is_held_out, strict=True) if held for one in source.candidates]
    if not calibrating:
        raise _no_hand_found(out, frame_sources)
    spread = spread_out(calibrating, request.frames, bundle.hand.cube_mm, random)
    held_spread = spread_out(held, max(request.frames // 4, 1), bundle.hand.cube_mm, random)
    forced = complaints(spread.chosen)
    if forced and not request.is_forced:
        raise DatasetError(
            f"calibration set {str(out)!r}: {'; '.join(forced)}; add recordings, or override with --force"
        )
    manifest = SetManifest(
        format=FORMAT,
        seed=request.seed,
        cube_mm=bundle.hand.cube_mm,
        selected_by=bundle.hand.precisions["fp32"].sha256,
        sources=tuple(
            SourceEntry(one.name, each.sha256, len(one), len(each.candidates), held)
            for one, each, held in zip(frame_sources, found, is_held_out, strict=True)
        ),
        coverage=coverage(spread.chosen),
        dropped={"no hand": sum(each.empty for each in found), **spread.dropped},
        forced=tuple(forced),
        items=tuple(_item(one) for one in spread.chosen),
        files={},
    )
    samples = _samples(spread.chosen)
    write_set(out, manifest, samples, _samples(held_spread.chosen), draw_contact_sheet(samples.crops.depth))
    return manifest


def spread_out(candidates: list[Candidate], wanted: int, cube_mm: float, random: np.random.Generator) -> Spread:
    """Up to `wanted` candidates, each time the one with the least filled bins; empty crops and duplicates are dropped first."""
    dropped: Counter[str] = Counter()
    kept: list[Candidate] = []
    seen = np.empty((len(candidates), 256), np.float32)
    for place in random.permutation(len(candidates)):
        one = candidates[place]
        small = one.depth.reshape(16, 8, 16, 8).mean(axis=(1, 3)).reshape(-1)
        if float((one.depth < 1).mean()) < EMPTY_BELOW:
            dropped["empty"] += 1
        elif kept and float(np.abs(seen[: len(kept)] - small).mean(axis=1).min()) * cube_mm / 2 < TWIN_MM:
            dropped["twin"] += 1
        else:
            seen[len(kept)] = small
            kept.append(one)
    return Spread(_least_filled_first(kept, wanted), dropped)


def complaints(chosen: list[Candidate]) -> list[str]:
    """The problems of a set, as clauses; empty for a good one."""
    found = []
    if len(chosen) < MIN_FRAMES:
        found.append(f"{len(chosen)} useful frames, wanted at least {MIN_FRAMES}")
    if chosen and float(np.median([roughness(one.depth) for one in chosen])) > NOISE_ABOVE:
        found.append("the crops are noise, wanted depth images of hands")
    if len({one.bins["distance"] for one in chosen}) == 1:
        found.append("all hands are at one distance, wanted several bins of 100 mm")
    return found


def roughness(depth: Float32) -> float:
    """Mean step between filled neighbors over the spread of all filled pixels of a crop (128, 128)."""
    is_filled = depth < 1
    both = is_filled[:, 1:] & is_filled[:, :-1]
    if not both.any():
        return 1.0
    steps = np.abs(np.diff(depth, axis=1))[both]
    return float(steps.mean() / max(float(depth[is_filled].std()), 1e-6))


def coverage(chosen: list[Candidate]) -> dict[str, dict[str, int]]:
    """The number of crops in each bin of each quality."""
    qualities = list(chosen[0].bins) if chosen else []
    counts = {quality: Counter(one.bins[quality] for one in chosen) for quality in qualities}
    return {quality: {str(where): count[where] for where in sorted(count)} for quality, count in counts.items()}


def _least_filled_first(kept: list[Candidate], wanted: int) -> list[Candidate]:
    if not kept:
        return []
    bins = np.array([list(one.bins.values()) for one in kept])  # (N, Q)
    filled = np.zeros((bins.shape[1], int(bins.max()) + 1))
    columns = np.arange(bins.shape[1])
    is_open = np.ones(len(kept), bool)
    order: list[int] = []
    for _ in range(min(wanted, len(kept))):
        gain = np.where(is_open, (1 / (1 + filled[columns, bins])).sum(axis=1), -1)
        best = int(np.argmax(gain))  # ties go to the first; `kept` is in seeded order
        order.append(best)
        is_open[best] = False
        filled[columns, bins[best]] += 1
    return [kept[index] for index in order]


def _no_hand_found(out: Path, frame_sources: list[FrameSource]) -> DatasetError:
    reasons = [
        (one.name, why) for one in frame_sources if isinstance(one, RecordingSource) and (why := one.why_no_hand())
    ]
    told = "; ".join(f"in {name!r} {why}" for name, why in reasons) or "name recordings that show hands"
    return DatasetError(f"calibration set {str(out)!r}: no hand was found in {len(frame_sources)} sources; {told}")


def _open_all(request: SelectRequest) -> tuple[list[FrameSource], list[bool]]:
    """All sources, and those held out: the named ones, else one in five recordings."""
    names = (*request.frame_sources, *request.held_out)
    refuse_held_out_sources(request.frame_sources, request.held_out)
    refuse_idle_options(names, request.stated)
    frame_sources = [open_source(name, request.stated) for name in names]
    if not request.frame_sources:
        raise ConfigError("calibration set: no source was given; name recordings or data sets to select from")
    for one in frame_sources:
        refuse_other_hand(one, request.hand)
    if request.held_out:
        return frame_sources, [index >= len(request.frame_sources) for index in range(len(frame_sources))]
    recordings = [index for index, one in enumerate(frame_sources) if one.is_moving]
    count = max(len(recordings) // HELD_OUT_SHARE, 1) if len(recordings) >= 3 else 0
    held = set(np.random.default_rng(request.seed).permutation(recordings)[:count].tolist())
    return frame_sources, [index in held for index in range(len(frame_sources))]


def _find_all(bundle: Bundle, frame_sources: list[FrameSource], request: SelectRequest) -> list[Found]:
    total = sum(len(one) for one in frame_sources)
    stride = max(total // (CANDIDATES_A_FRAME * request.frames), 1)
    settings = tracker_settings(bundle, TrackingConfig(handedness=request.hand), UNSMOOTHED, UNFITTED)
    with open_engines(bundle) as engines:
        return [
            find_candidates(one, source, engines, settings, stride if one.is_moving else 1)
            for source, one in enumerate(frame_sources)
        ]


def _item(one: Candidate) -> Item:
    return Item(one.source, one.frame, one.frame_sha256, one.distance_mm, one.bins)


def _samples(chosen: list[Candidate]) -> CalibrationSamples:
    pictures = join_inputs([one.picture for one in chosen])
    if not chosen:
        return CalibrationSamples(
            Crops(np.empty((0, 1, 128, 128), np.float32), np.empty((0, len(HAND21), 3), np.float32)), pictures
        )
    crops = Crops(np.stack([one.depth for one in chosen])[:, None], np.stack([one.truth for one in chosen]))
    return CalibrationSamples(crops, pictures)
