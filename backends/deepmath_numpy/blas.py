"""Where the BLAS that NumPy or SciPy brought along lies in memory, for compiled steps to call."""

from __future__ import annotations

import ctypes
import importlib
import sys
from functools import cache


@cache
def address(name: str, precision: str) -> int:
    """The address of "gemm" or "gemv" in Fortran's form, or 0: of NumPy's own, or else of SciPy's, which may be older.

    Whole numbers that it is given must be valid as 32-bit and as 64-bit ones, for its size isn't told. The address is
    passed to compiled steps as a number, because code that holds one can't be kept for another process.
    """
    if sys.byteorder == "big":  # the first half of a 64-bit number is then not the number
        return 0
    name = {"float32": "s", "float64": "d"}[precision] + name
    return _of_numpy(name) or _of_scipy(name)


def _of_numpy(name: str) -> int:
    """NumPy's wheels link OpenBLAS under these names, which a library's handle finds in what it is linked to."""
    try:
        core = importlib.import_module("numpy._core._multiarray_umath").__file__
        function = getattr(ctypes.CDLL(core), f"scipy_{name}_64_")
    except (ImportError, OSError, AttributeError):  # another BLAS, or a system that doesn't look there
        return 0
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def _of_scipy(name: str) -> int:
    """What SciPy offers to Cython."""
    try:
        from scipy.linalg import cython_blas
    except ImportError:
        return 0
    capsule = cython_blas.__pyx_capi__[name]
    name_of, pointer_of = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer_of.restype, pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return int(pointer_of(capsule, name_of(capsule)))
