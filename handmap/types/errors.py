"""Every exception of this project.

HandmapError
    Fatal              wrong configuration, bundle or request: exit 78, a supervisor must not try again
        ConfigError    a YAML file or an option
        BundleError    a bundle on disk
        RecordingError a recording on disk
        ModelError     a trained program or graph without the contract's tensors
        DatasetError   a data set that cannot be opened
        DependencyError  a library or asset that this verb needs is not installed
        EngineUnusable no TensorRT engine in the cache that may be loaded on this device
        BuildError     an engine that TensorRT could not build, or that there is no room to build
    Transient          a camera, engine or socket that may come back: back off and try again
        CameraLost
        EngineFailed
    NoAnswer           a daemon that was asked and does not answer
    PacketError        bytes on the wire that are not a packet of ours

A message is one sentence: what was being done, what was found, what was wanted, how to mend it.
"""

EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h; the unit names it in RestartPreventExitStatus


class HandmapError(Exception):
    """Base of all errors that reach a person as one sentence instead of a traceback."""


class Fatal(HandmapError):
    """Trying again cannot help; a person must change something first."""


class ConfigError(Fatal):
    """A configuration file or option that cannot be used."""


class BundleError(Fatal):
    """A bundle that is absent, incomplete or not what its manifest says."""


class RecordingError(Fatal):
    """A recording that cannot be read or written."""


class ModelError(Fatal):
    """A trained program or graph that does not keep the tensor contract."""


class DatasetError(Fatal):
    """A data set that cannot be opened."""


class DependencyError(Fatal):
    """A library or asset that the verb needs and that is not installed."""


class EngineUnusable(Fatal):
    """No engine in the cache that may be loaded on this device; building one mends it."""

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause  # one of handmap.engines.cache.Cause


class BuildError(Fatal):
    """No engine could be built; the message carries what TensorRT said."""


class Transient(HandmapError):
    """May pass by itself; the caller backs off and tries again."""


class CameraLost(Transient):
    """The camera gave no frame, or went away."""


class EngineFailed(Transient):
    """The engine raised or gave values that are not finite."""


class NoAnswer(HandmapError):
    """No daemon answers where one was asked."""


class PacketError(HandmapError):
    """Bytes that are not a whole, intact packet of a version that can be read."""
