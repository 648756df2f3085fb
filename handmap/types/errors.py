"""Every exception of this project.

HandmapError
    Fatal              wrong configuration, bundle or request: exit 78, a supervisor must not retry
        ConfigError    a YAML file or an option
        FileError      a file or folder that cannot be read or written; also an OSError
        BundleError    a bundle on disk
        RecordingError a recording on disk
        ModelError     a trained program or graph without the contract's tensors
        DatasetError   a data set that cannot be opened
        DependencyError  a library or asset that this verb needs is not installed
        EngineUnusable no TensorRT engine in the cache that can be loaded on this device
        BuildError     an engine that TensorRT could not build, or not enough space for it
    Transient          a camera, engine or socket that can recover: back off and retry
        CameraLost
        EngineFailed
            NotFinite  its outputs are NaN or infinite
    NoAnswer           a queried daemon does not answer
    PacketError        bytes on the wire that are not a valid packet

A message is one sentence: what was being done, what was found, what was wanted, how to fix it.
"""

import errno

EXIT_CONFIG = 78  # EX_CONFIG in sysexits.h; listed in the unit's RestartPreventExitStatus


class HandmapError(Exception):
    """Base of all errors shown to users as one sentence instead of a traceback."""


class Fatal(HandmapError):
    """Retrying cannot help; a person must change something first."""


class ConfigError(Fatal):
    """A configuration file or option that cannot be used."""


class FileError(Fatal, OSError):
    """A file or folder that cannot be read or written.

    As an OSError it has what was found as `strerror`, so that a caller can word a sentence of its own.
    """

    def __init__(self, path: object, found: str, sentence: str, code: int = errno.EINVAL) -> None:
        super().__init__(code, found, str(path))
        self._sentence = sentence

    def __str__(self) -> str:
        return self._sentence


class BundleError(Fatal):
    """A bundle that is missing, incomplete or does not match its manifest."""


class RecordingError(Fatal):
    """A recording that cannot be read or written."""


class ModelError(Fatal):
    """A trained program or graph that does not satisfy the tensor contract."""


class DatasetError(Fatal):
    """A data set that cannot be opened."""


class DependencyError(Fatal):
    """A required library or asset is not installed."""


class EngineUnusable(Fatal):
    """No engine in the cache can be loaded on this device; building one fixes it."""

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause  # one of handmap.engines.cache.Cause


class BuildError(Fatal):
    """No engine could be built; the message includes TensorRT's log."""


class Transient(HandmapError):
    """Can pass by itself; the caller backs off and retries."""


class CameraLost(Transient):
    """The camera delivered no frame, or disconnected."""


class EngineFailed(Transient):
    """The engine raised, or returned values that are not finite."""


class NotFinite(EngineFailed):
    """The engine returned NaN or infinity."""


class NoAnswer(HandmapError):
    """No daemon answered the query."""


class PacketError(HandmapError):
    """Bytes that are not a whole, intact packet of a version that can be read."""
