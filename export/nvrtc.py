"""NVRTC, NVIDIA's runtime compiler, on a machine without a GPU or driver: compiles CUDA C++ to a cubin.

Through ctypes, because two major versions of the library are needed and the bindings package supports only one.
"""

import ctypes
from collections.abc import Sequence
from pathlib import Path

from handmap.types.errors import DependencyError, Fatal

_SUCCESS = 0


class Nvrtc:
    """One version of the library; see https://docs.nvidia.com/cuda/nvrtc for its functions."""

    def __init__(self, library: Path) -> None:
        """Raises DependencyError if `library` is missing or does not load."""
        try:
            # NVRTC opens these by name only, so they must be loaded before it compiles.
            for builtins in library.parent.glob("libnvrtc-builtins.so.*"):
                ctypes.CDLL(str(builtins))
            self._library = ctypes.CDLL(str(library))
        except OSError as error:
            raise DependencyError(
                f"NVRTC {str(library)!r} cannot be loaded ({error}); install it with: make kernels"
            ) from error
        major, minor = ctypes.c_int(), ctypes.c_int()
        self._library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
        self.version = f"{major.value}.{minor.value}"

    def compile(self, source: bytes, name: str, architecture: str, options: Sequence[str]) -> bytes:
        """The cubin of `source` for an architecture such as sm_87; `name` is the file name in messages.

        Raises Fatal with the compiler's log if it rejects the source.
        """
        program = ctypes.c_void_p()
        self._library.nvrtcCreateProgram(ctypes.byref(program), source, name.encode(), 0, None, None)
        try:
            flags = [f"--gpu-architecture={architecture}".encode(), *(option.encode() for option in options)]
            code = self._library.nvrtcCompileProgram(program, len(flags), (ctypes.c_char_p * len(flags))(*flags))
            if code != _SUCCESS:
                log = self._text(program, "ProgramLog").rstrip(b"\0").decode(errors="replace").strip()
                raise Fatal(
                    f"kernel {name!r}: NVRTC {self.version} could not compile it for {architecture} (code {code}); "
                    f"fix what its log names: {log}"
                )
            return self._text(program, "CUBIN")
        finally:
            self._library.nvrtcDestroyProgram(ctypes.byref(program))

    def _text(self, program: ctypes.c_void_p, what: str) -> bytes:
        size = ctypes.c_size_t()
        getattr(self._library, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        getattr(self._library, f"nvrtcGet{what}")(program, buffer)
        return buffer.raw
