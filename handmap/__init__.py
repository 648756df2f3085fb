"""HandMap Edge: 21 metric hand joints from a depth camera, as a library and as a service.

What `__all__` names is public: it stays, or is refused by name for a release before it goes. Everything else may change. Names are
imported when they are first used, so that `import handmap` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from handmap.bundle.manifest import Bundle, read_bundle
    from handmap.engines.engine import Engines
    from handmap.engines.factory import EngineConfig, open_engines
    from handmap.protocol.packet import Packet, PacketHand
    from handmap.recording.datasets import open_dataset
    from handmap.recording.reader import open_recording
    from handmap.recording.writer import RecordingWriter
    from handmap.system.timing import StageClock
    from handmap.tracking.fitted_hands import SkeletonConfig
    from handmap.tracking.smooth import SmoothingConfig
    from handmap.tracking.tracker import TrackerState, track_hands
    from handmap.tracking.tracker_settings import TrackerSettings, TrackingConfig, tracker_settings
    from handmap.types.errors import HandmapError
    from handmap.types.intrinsics import Intrinsics
    from handmap.types.joints import BONES, HAND21
    from handmap.types.values import DepthFrame, Handedness, HandPose

    __version__: str

__all__ = [
    "read_bundle", "Bundle", "open_engines", "EngineConfig", "Engines",
    "open_recording", "RecordingWriter", "open_dataset", "DepthFrame", "Intrinsics",
    "track_hands", "TrackerState", "tracker_settings", "TrackerSettings", "TrackingConfig", "SmoothingConfig", "SkeletonConfig",
    "StageClock",
    "HandPose", "Handedness", "HAND21", "BONES", "Packet", "PacketHand", "HandmapError",
]  # fmt: skip

_MODULES = {
    "bundle.manifest": ("Bundle", "read_bundle"),
    "engines.engine": ("Engines",),
    "engines.factory": ("EngineConfig", "open_engines"),
    "protocol.packet": ("Packet", "PacketHand"),
    "recording.datasets": ("open_dataset",),
    "recording.reader": ("open_recording",),
    "recording.writer": ("RecordingWriter",),
    "system.timing": ("StageClock",),
    "tracking.fitted_hands": ("SkeletonConfig",),
    "tracking.smooth": ("SmoothingConfig",),
    "tracking.tracker": ("TrackerState", "track_hands"),
    "tracking.tracker_settings": ("TrackerSettings", "TrackingConfig", "tracker_settings"),
    "types.errors": ("HandmapError",),
    "types.intrinsics": ("Intrinsics",),
    "types.joints": ("BONES", "HAND21"),
    "types.values": ("DepthFrame", "HandPose", "Handedness"),
}
_HOMES = {name: f"handmap.{module}" for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "__version__":  # in a checkout this asks git, which costs milliseconds
        return import_module("handmap.system.version").version()
    if name not in _HOMES:
        raise AttributeError(f"module 'handmap' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
