"""CUDA's compiler as a library, NVRTC: text in, machine code for one architecture out. It needs no device."""

from __future__ import annotations

import ctypes
import hashlib
from pathlib import Path

from deepmath import cache
from deepmath.errors import DeviceError
from deepmath_cupy import libraries

OPTIONS = ("-std=c++17",)


def version(major: int | None = None) -> str | None:
    """The compiler's version, "13.0"; None where it is not installed."""
    library = libraries.load("nvrtc", major)
    if library is None:
        return None
    numbers = ctypes.c_int(), ctypes.c_int()
    library.nvrtcVersion(ctypes.byref(numbers[0]), ctypes.byref(numbers[1]))
    return f"{numbers[0].value}.{numbers[1].value}"


def compiled(text: str, architecture: str, major: int | None = None) -> bytes:
    """Machine code (a cubin) for an architecture such as "sm_90". Raises DeviceError without the compiler.

    Code and not PTX, because a driver older than the compiler can load that.
    """
    library = libraries.load("nvrtc", major)
    if library is None:
        wheel = f"nvidia-cuda-nvrtc-cu{major}" if major == 12 else "nvidia-cuda-nvrtc"
        raise DeviceError(f"backend 'cupy': NVRTC, which compiles kernels, is not installed; pip install {wheel}")
    program = ctypes.c_void_p()
    made = library.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"deepmath.cu", 0, None, None)
    assert made == 0, f"nvrtcCreateProgram gave {made}"
    options = [o.encode() for o in (*OPTIONS, f"-arch={architecture}")]
    status = library.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
    found = _content(library, program, "ProgramLog" if status else "CUBIN")
    library.nvrtcDestroyProgram(ctypes.byref(program))
    if status:
        raise DeviceError(f"backend 'cupy': NVRTC can't compile kernels for {architecture}: {_first_error(found)}")
    return found


def cubin(text: str, architecture: str, major: int | None = None) -> bytes:
    """`compiled`, kept in the cache folder under the hash of all that it depends on."""
    directory, _ = cache.folder()
    facts = "\n".join([text, architecture, str(version(major)), *OPTIONS])
    path = directory / f"deepmath_kernel_{hashlib.sha256(facts.encode()).hexdigest()}.cubin"
    known = _read(path)
    if known is None:
        cache.announce(directory)
        known = compiled(text, architecture, major)
        cache.write(path, hashlib.sha256(known).digest() + known)
    return known


def _read(path: Path) -> bytes | None:
    """What was kept, if nobody else can have written it and it is whole."""
    try:
        content = path.read_bytes()
        private = cache.is_private(path)
    except OSError:
        return None
    digest, code = content[:32], content[32:]
    return code if private and hashlib.sha256(code).digest() == digest else None


def _content(library: ctypes.CDLL, program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    library[f"nvrtcGet{what}Size"](program, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    library[f"nvrtcGet{what}"](program, buffer)
    return buffer.raw


def _first_error(log: bytes) -> str:
    lines = log.rstrip(b"\0").decode(errors="replace").splitlines()
    return next((line for line in lines if "error" in line), lines[0] if lines else "no reason given")
