"""Where SciPy's matrix product lies in memory, for compiled steps to call."""

from __future__ import annotations

import ctypes
from functools import cache

_NAMES = {"float32": "sgemm", "float64": "dgemm"}


@cache
def gemm(precision: str) -> int:
    """The address of sgemm or dgemm of `scipy.linalg.cython_blas`, or 0 where there is none with 32-bit integers.

    It is passed to compiled steps as a number, because code that holds an address can't be kept for another process.
    """
    try:
        from scipy.linalg import cython_blas
    except ImportError:
        return 0
    capsule = cython_blas.__pyx_capi__[_NAMES[precision]]
    signature_of = ctypes.pythonapi.PyCapsule_GetName
    signature_of.restype, signature_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    signature = signature_of(capsule)
    if signature.count(b" int *") != 6:  # another build's whole numbers are wider
        return 0
    pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
    pointer_of.restype, pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return int(pointer_of(capsule, signature))
