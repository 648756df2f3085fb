"""Changes every field of a manifest and of model metadata, one at a time, and sees whether anything comes of it.

The fields are found by walking the structs, so a new one cannot be forgotten. A field may change the joints or the packet, or be
refused by a sentence that names it; only those declared in PROVENANCE may do neither.

python -m tests.support.field_mutations        prints the table of all fields, and exits with 1 if one is ignored
"""

import dataclasses
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import inspect as types

from export.conventions import standard_facts, to_standard
from handmap.bundle.facts import PROVENANCE
from handmap.bundle.manifest import MANIFEST, Bundle, Manifest, read_bundle
from handmap.bundle.manifest_hash import MANIFEST_HASH, manifest_hash
from handmap.bundle.model_metadata import ModelMetadata
from handmap.engines.engine import Engine, EngineOutput, Engines
from handmap.engines.factory import EngineConfig, open_engines
from handmap.protocol.fields import DaemonState, MessageType
from handmap.protocol.packet import Packet, encode, hand_from_pose
from handmap.recording.reader import open_recording
from handmap.system.timing import StageClock
from handmap.tracking.tracker import TrackerState, track_hands
from handmap.tracking.tracker_settings import TrackingConfig, tracker_settings
from handmap.types.arrays import Array
from handmap.types.errors import Fatal
from handmap.types.values import DepthFrame
from tests.support.field_reads import unread_settings
from tests.support.one_module import import_by_folder
from tests.support.struct_fields import Mutation, mutations, struct_fields

ROOT: Final = Path(__file__).resolve().parents[2]
SHIPPED: Final = ROOT / "models" / "handmap-hand21"
RECORDING: Final = ROOT / "models" / "demo_recording"
SMALL_PALM_MM, LARGE_PALM_MM = 60.0, 140.0  # hands so small and so large that both ends of the cube's range are met
TABLES: Final = {
    "guidance": [0.0, 0.5, 1.0], "expected_error_mm": [40.0, 20.0, 5.0],
    "hand_peak": [0.0, 0.5, 1.0], "hand_probability": [0.4, 0.7, 0.99],
}  # fmt: skip


class Verdict(NamedTuple):
    """What came of a field: changed, refused, recorded or IGNORED, and the sentence of a refusal."""

    field: str
    what: str
    said: str = ""


class WithoutSpread:
    """The shipped engine as a network without votes gives its output: for the tables that such a network has."""

    def __init__(self, inner: Engine) -> None:
        self.inner, self.batch, self.precision, self.tensors = inner, inner.batch, inner.precision, inner.tensors

    def infer(self, depth: Array) -> EngineOutput:
        """See `handmap.engines.engine.Engine`."""
        return dataclasses.replace(self.inner.infer(depth), spread=None)

    def close(self) -> None:
        """See `handmap.engines.engine.Engine`."""
        self.inner.close()


def _is_recorded(path: tuple[str, ...]) -> bool:
    places = {path[-1], ".".join(path[-2:]), *path}
    return bool(places & PROVENANCE)


class Observer:
    """What a bundle makes of the first frames of the demo recording, and of its int8 graphs."""

    def __init__(self, has_spread: bool) -> None:
        self._engines = open_engines(read_bundle(SHIPPED), EngineConfig())
        self._hand: Engine = self._engines.hand if has_spread else WithoutSpread(self._engines.hand)
        frames = iter(open_recording(RECORDING))
        self._frames: list[DepthFrame] = [next(frames), next(frames)]

    def packets(self, bundle: Bundle) -> list[bytes]:
        """The hands of two frames, and of the second again as a very small and a very large hand, as they are on the wire."""
        settings = tracker_settings(bundle, TrackingConfig())
        engines = Engines(self._hand, self._engines.palm, bundle.palm.min_score if bundle.palm else 1.0)
        found, state = [], TrackerState()
        for frame in self._frames:
            poses, state = track_hands(frame, state, engines, settings, StageClock())
            found.append(_packet(poses))
        for palm_mm in (SMALL_PALM_MM, LARGE_PALM_MM):
            active = tuple(dataclasses.replace(one, frames=100, palm_mm=palm_mm) for one in state.tracks.active)
            sized = dataclasses.replace(state, tracks=dataclasses.replace(state.tracks, active=active))
            found.append(_packet(track_hands(self._frames[1], sized, engines, settings, StageClock())[0]))
        return found

    def int8(self, bundle: Bundle) -> list[str]:
        """The precisions of the engines that are opened if int8 is asked for, or why they are refused."""
        try:
            with open_engines(bundle, EngineConfig(precision="int8")) as engines:
                return [engines.hand.precision, engines.palm.precision if engines.palm else ""]
        except Fatal as error:
            return [str(error)]


def _packet(poses: list[Any]) -> bytes:
    hands = tuple(hand_from_pose(pose) for pose in poses)
    return encode(Packet(MessageType.JOINTS, DaemonState.TRACKING, 1, 0, 0, 0, 0, hands))


def _judge(mutation: Mutation, apply: Callable[[Any], bool]) -> Verdict:
    """What came of a changed field; `apply` returns whether anything changed, or raises what refuses it."""
    name = f"{mutation.struct}.{mutation.field}"
    try:
        is_changed = apply(mutation.content)
    except (Fatal, msgspec.ValidationError) as error:
        is_named = any(part in str(error) for part in mutation.path[-2:])
        return Verdict(name, "refused" if is_named else "IGNORED", str(error))
    if is_changed:
        return Verdict(name, "changed")
    return Verdict(name, "recorded" if _is_recorded(mutation.path) else "IGNORED")


def manifest_verdicts(has_spread: bool) -> Iterator[Verdict]:
    """One verdict for every changed field of the shipped manifest, or of one for a network without votes."""
    content = msgspec.json.decode((SHIPPED / MANIFEST).read_bytes())
    if not has_spread:
        hand = content["graphs"]["hand"]
        hand["confidence"] = TABLES
        hand["tensors"]["outputs"] = [one for one in hand["tensors"]["outputs"] if one["name"] != "spread"]
    observer = Observer(has_spread)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "bundle"
        shutil.copytree(SHIPPED, copy)
        _state(copy, content)
        before = observer.packets(read_bundle(copy)), observer.int8(read_bundle(copy))

        def apply(changed: Any) -> bool:
            _state(copy, changed)
            bundle = read_bundle(copy)
            return observer.packets(bundle) != before[0] or observer.int8(bundle) != before[1]

        yield from _verdicts(types.type_info(Manifest), content, apply)


def _state(folder: Path, manifest: Any) -> None:
    """Writes plain values as a bundle's manifest, with its hash."""
    content = msgspec.json.encode(manifest)
    (folder / MANIFEST).write_bytes(content)
    (folder / MANIFEST_HASH).write_bytes(manifest_hash(MANIFEST, content))


def metadata_verdicts() -> Iterator[Verdict]:
    """One verdict for every changed field of model metadata: it changes the graph, or what the manifest states."""
    import onnx

    content = msgspec.json.decode((ROOT / "models" / "handmap-hand21.json").read_bytes())
    model = onnx.load(SHIPPED / "hand.fp32.onnx")

    def outcome(stated: Any) -> tuple[bytes, bytes]:
        facts = msgspec.convert(stated, ModelMetadata)
        in_manifest = msgspec.structs.replace(standard_facts(facts), provenance={})
        return msgspec.json.encode(in_manifest), to_standard(model, facts).SerializeToString(deterministic=True)

    before = outcome(content)
    yield from _verdicts(types.type_info(ModelMetadata), content, lambda changed: outcome(changed) != before)
    tables = {**content, "confidence": TABLES}
    of_tables = outcome(tables)
    yield from _verdicts(types.type_info(ModelMetadata), tables, lambda changed: outcome(changed) != of_tables)


def _verdicts(kind: Any, content: Any, apply: Callable[[Any], bool]) -> Iterator[Verdict]:
    """One verdict for each field: that of the first change with an effect."""
    found: dict[str, Verdict] = {}
    for mutation in mutations(kind, content):
        name = f"{mutation.struct}.{mutation.field}"
        if found.get(name, Verdict(name, "IGNORED")).what in ("IGNORED", "recorded"):
            verdict = _judge(mutation, apply)
            if name not in found or verdict.what != "IGNORED":
                found[name] = verdict
    yield from found.values()


def all_verdicts() -> dict[str, list[Verdict]]:
    """The verdict for every field by file: those that no change reached are IGNORED too."""
    manifest = _merged(Manifest, [*manifest_verdicts(True), *manifest_verdicts(False)])
    metadata = _merged(ModelMetadata, [*metadata_verdicts()])
    settings = [Verdict(name, "read" if is_read else "IGNORED") for name, is_read in unread_settings().items()]
    return {"manifest.json": manifest, "model metadata": metadata, "configuration": settings}


def _merged(struct: type, verdicts: list[Verdict]) -> list[Verdict]:
    best = {
        f"{owner}.{field}": Verdict(f"{owner}.{field}", "IGNORED", "no change reached it")
        for owner, field in struct_fields(types.type_info(struct))
    }
    for verdict in verdicts:
        if best[verdict.field].what == "IGNORED":
            best[verdict.field] = verdict
    return list(best.values())


def as_text(verdicts: dict[str, list[Verdict]]) -> str:
    """The table, and the count."""
    lines = []
    for file, found in verdicts.items():
        lines += [f"{file:<16}{one.what:<10}{one.field}" for one in found]
    for file, found in verdicts.items():
        counts = {what: sum(one.what == what for one in found) for what in dict.fromkeys(one.what for one in found)}
        lines.append(f"{file}: {len(found)} fields: {', '.join(f'{count} {what}' for what, count in counts.items())}")
    ignored = sum(one.what == "IGNORED" for found in verdicts.values() for one in found)
    lines.append(f"{sum(map(len, verdicts.values()))} fields, {ignored} ignored")
    return "\n".join(lines)


if __name__ == "__main__":
    import_by_folder()
    verdicts = all_verdicts()
    print(as_text(verdicts))  # noqa: T201  this is what the command is for
    sys.exit(any(one.what == "IGNORED" for found in verdicts.values() for one in found))
