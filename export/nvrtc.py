"""NVIDIA's run-time compiler on a machine without a GPU or a driver: CUDA C++ in, a cubin out.

By ctypes: two major versions of the library are needed, and its bindings package binds only one.
"""

import ctypes
from collections.abc import Sequence
from pathlib import Path

from handmap.types.errors import DependencyError, Fatal

_SUCCESS = 0


class Nvrtc:
    """One version of the library; see https://docs.nvidia.com/cuda/nvrtc for its functions."""

    def __init__(self, library: Path) -> None:
        """Raises DependencyError if `library` is not there or does not load."""
        try:
            # It looks for these by name only: they must be in the process before it compiles.
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
        """The cubin of `source` for an architecture such as sm_87; `name` stands for the file in messages.

        Raises Fatal with the compiler's log if it refuses the source.
        """
        program = ctypes.c_void_p()
        self._library.nvrtcCreateProgram(ctypes.byref(program), source, name.encode(), 0, None, None)
        try:
            flags = [f"--gpu-architecture={architecture}".encode(), *(option.encode() for option in options)]
            code = self._library.nvrtcCompileProgram(program, len(flags), (ctypes.c_char_p * len(flags))(*flags))
            if code != _SUCCESS:
                log = self._text(program, "ProgramLog").rstrip(b"\0").decode(errors="replace").strip()
                raise Fatal(
                    f"kernel {name!r}: NVRTC {self.version} refused it for {architecture} (code {code}), "
                    f"mend what its log names: {log}"
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
