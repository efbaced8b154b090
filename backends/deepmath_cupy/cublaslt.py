"""Matrix products by cublasLt: a plan's product as descriptors of its C interface. Building them needs no device.

cublasLt counts in columns, and our arrays lie row by row: to = a b is computed as its transpose, b' a', for which
nothing has to be moved. A bias for each of our columns is then one for each of its rows, as it wants it.
Source: cuBLAS documentation, "Using the cublasLt API"; the numbers are those of `cublasLt.h`.
"""

from __future__ import annotations

import ctypes
import math
from ctypes import byref, c_int, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from typing import Any, NamedTuple

import numpy as np

from deepmath.errors import DeviceError
from deepmath_cupy import libraries
from deepmath_cupy.nodes import Product, mask_pitch
from deepmath_cupy.runtime import Places, element_type

WORKSPACE = 32 << 20
"""Bytes of scratch memory that products may use; NVIDIA's advice for Hopper."""

_TRANSPOSE_A, _TRANSPOSE_B, _EPILOGUE, _VECTOR, _AUX, _AUX_PITCH = 3, 4, 7, 8, 11, 12
_MAX_WORKSPACE, _ALIGNMENTS = 1, (5, 6, 7, 8)
EPILOGUE = {
    "none": 1, "bias": 4, "relu_bias": 6, "relu_mask_bias": 134, "slope": 136, "slope_sums": 152, "sums": 256,
}  # fmt: skip
"""cublasLt's epilogues. In its terms `slope` is DRELU, and `sums` is BGRADA: our b is its first factor."""

_COMPUTE = {"float64": 70, "tf32": 77}
_FLOAT32_COMPUTE = 68
_TYPES = {"float32": 0, "float64": 1}
_HALVES = {"float16": 2, "bf16": 14}


class Shape(NamedTuple):
    """A matrix as cublasLt sees it: column by column."""

    rows: int
    columns: int
    pitch: int


class _Algorithm(ctypes.Structure):
    _fields_ = [
        ("data", c_uint64 * 8), ("workspace", c_size_t), ("state", c_int), ("waves", ctypes.c_float),
        ("reserved", c_int * 4),
    ]  # fmt: skip


def shapes(p: Product) -> tuple[Shape, Shape, Shape]:
    """cublasLt's first factor (our b), its second (our a), and the result.

    >>> from deepmath_cupy.nodes import Ref
    >>> shapes(Product(Ref("x"), Ref("w"), Ref("z"), rows=128, columns=10, inner=256))[0]
    Shape(rows=10, columns=256, pitch=10)
    """
    first = Shape(p.inner, p.columns, p.inner) if p.turned_b else Shape(p.columns, p.inner, p.columns)
    second = Shape(p.rows, p.inner, p.rows) if p.turned_a else Shape(p.inner, p.rows, p.inner)
    return first, second, Shape(p.columns, p.rows, p.columns)


def data_type(kind: str, precision: str) -> int:
    """cublasLt's number for the element type of "T" or "S"."""
    return _HALVES[precision] if kind == "S" and precision in _HALVES else _TYPES[element_type("T", precision)]


class Descriptors:
    """A product's descriptors. Raises DeviceError where cublasLt is not installed."""

    def __init__(self, product: Product, precision: str, places: Places, library: Any = None) -> None:
        self.library = library or loaded()
        self._made: list[tuple[str, c_void_p]] = []
        wide = 1 if precision == "float64" else 0
        compute = _COMPUTE.get(precision, _FLOAT32_COMPUTE)
        self.operation = self._create("MatmulDesc", c_int(compute), c_int(wide))
        self._set(_TRANSPOSE_A, c_int(int(product.turned_b)))
        self._set(_TRANSPOSE_B, c_int(int(product.turned_a)))
        self._set(_EPILOGUE, c_uint32(EPILOGUE[product.epilogue]))
        vector = places.sums or places.bias
        if vector:
            self._set(_VECTOR, c_void_p(vector))
        if places.mask:
            self._set(_AUX, c_void_p(places.mask))
            self._set(_AUX_PITCH, c_int64(8 * mask_pitch(product.columns)))
        kinds = product.operands, product.operands, product.result
        self.layouts = [
            self._layout(shape, data_type(kind, precision)) for shape, kind in zip(shapes(product), kinds, strict=True)
        ]
        self.preference = self._create("MatmulPreference")
        self._prefer(_MAX_WORKSPACE, c_uint64(WORKSPACE))
        for attribute, place in zip(_ALIGNMENTS, (places.b, places.a, places.to, places.to), strict=True):
            self._prefer(attribute, c_uint32(math.gcd(place, 256)))
        self.scalar = np.float64 if wide else np.float32

    def algorithm(self, handle: c_void_p) -> _Algorithm | None:
        """cublasLt's choice for this product, or None where it can't make it. Not while a stream is recorded."""
        found, count = _Algorithm(), c_int()
        first, second, result = self.layouts
        status = self.library.cublasLtMatmulAlgoGetHeuristic(
            handle, self.operation, first, second, result, result, self.preference, 1, byref(found), byref(count)
        )
        return found if status == 0 and count.value > 0 and found.state == 0 else None

    def run(self, handle: c_void_p, places: Places, chosen: _Algorithm, stream: int) -> None:
        """Launch the product on a stream."""
        first, second, result = self.layouts
        one, zero = (np.asarray(v, self.scalar) for v in (1, 0))
        status = self.library.cublasLtMatmul(
            handle, self.operation, c_void_p(one.ctypes.data), c_void_p(places.b), first, c_void_p(places.a), second,
            c_void_p(zero.ctypes.data), c_void_p(places.to), result, c_void_p(places.to), result, byref(chosen),
            c_void_p(places.workspace), c_size_t(WORKSPACE), c_void_p(stream),
        )  # fmt: skip
        if status:
            raise DeviceError(f"backend 'cupy': cublasLt could not make a matrix product (status {status})")

    def close(self) -> None:
        """Give the descriptors back."""
        for kind, made in self._made:
            self.library[f"cublasLt{kind}Destroy"](made)
        self._made.clear()

    def _create(self, kind: str, *arguments: Any) -> c_void_p:
        made = c_void_p()
        _check(kind, self.library[f"cublasLt{kind}Create"](byref(made), *arguments))
        self._made.append((kind, made))
        return made

    def _layout(self, shape: Shape, data_type: int) -> c_void_p:
        sizes = c_uint64(shape.rows), c_uint64(shape.columns), c_int64(shape.pitch)
        return self._create("MatrixLayout", c_int(data_type), *sizes)

    def _set(self, attribute: int, value: Any) -> None:
        status = self.library.cublasLtMatmulDescSetAttribute(
            self.operation, c_int(attribute), byref(value), c_size_t(ctypes.sizeof(value))
        )
        _check(f"attribute {attribute}", status)

    def _prefer(self, attribute: int, value: Any) -> None:
        status = self.library.cublasLtMatmulPreferenceSetAttribute(
            self.preference, c_int(attribute), byref(value), c_size_t(ctypes.sizeof(value))
        )
        _check(f"preference {attribute}", status)


def loaded(major: int | None = None) -> Any:
    """The library. Raises DeviceError where it is not installed."""
    library = libraries.load("cublasLt", major)
    if library is None:
        wheel = "nvidia-cublas-cu12" if major == 12 else "nvidia-cublas"
        raise DeviceError(
            f"backend 'cupy': cublasLt, which makes matrix products, is not installed; pip install {wheel}"
        )
    return library


def version(major: int | None = None) -> str | None:
    """cublasLt's version; None where it is not installed."""
    library = libraries.load("cublasLt", major)
    if library is None:
        return None
    library.cublasLtGetVersion.restype = c_size_t
    number = int(library.cublasLtGetVersion())
    return f"{number // 10000}.{number // 100 % 100}.{number % 100}"


def _check(what: str, status: int) -> None:
    if status:
        raise DeviceError(f"backend 'cupy': cublasLt refused {what} (status {status})")
