"""The work of a step as data: what is launched in which order, on which places of which buffers.

A plan is a list of nodes and a table of buffers. It names no device and holds no address, so that it can be looked
at, tested, and executed by whatever gives its buffers addresses (`deepmath_cupy.runtime`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Ref(NamedTuple):
    """A place in a buffer: so many elements from its beginning."""

    buffer: str
    offset: int = 0

    def at(self, offset: int) -> Ref:
        """The place that many elements further on."""
        return Ref(self.buffer, self.offset + offset)


class Launch(NamedTuple):
    """A kernel on a grid of blocks of threads, both (x, y). Whole numbers are passed as long long, others as double."""

    kernel: str
    arguments: tuple[Ref | int | float, ...]
    grid: tuple[int, int]
    block: tuple[int, int]


class Product(NamedTuple):
    """to[rows, columns] = a[rows, inner] b[inner, columns], row by row in memory; a or b may lie there turned.

    `operands` and `result` are the types of a and b, and of `to`: "S" or "T" of the precision. The epilogue is done on
    the way to memory, and is one of `EPILOGUES`.
    """

    a: Ref
    b: Ref
    to: Ref
    rows: int
    columns: int
    inner: int
    turned_a: bool = False
    turned_b: bool = False
    operands: str = "T"
    result: str = "T"
    epilogue: str = "none"
    bias: Ref | None = None
    mask: Ref | None = None
    sums: Ref | None = None


class Place(NamedTuple):
    """An array in a buffer: where it begins, and its shape."""

    ref: Ref
    shape: tuple[int, ...]


class Work(NamedTuple):
    """`work(xp, *arrays)`, in the device's library, on what lies at these places. It can't be recorded."""

    work: Callable[..., None]
    places: tuple[Place, ...]


Node = Launch | Product | Work

EPILOGUES = {
    "none": "nothing",
    "bias": "+ bias [columns]",
    "relu_bias": "max(. + bias, 0)",
    "relu_mask_bias": "max(. + bias, 0), and in `mask` a bit for each element that is > 0",
    "slope": "times the bit in `mask`",
    "slope_sums": "times the bit in `mask`, and in `sums` the sums over rows of that",
    "sums": "in `sums` the sums over `inner` of b",
}
"""What may be done with a product before it is written."""


def mask_pitch(columns: int) -> int:
    """Bytes between two rows of a mask: a bit for each column, and whole 16 bytes, as cublasLt asks for."""
    return -(-columns // 128) * 16


class Buffer(NamedTuple):
    """How many elements of which type: "T" and "S" of the precision, "int64", "float64" or "uint8"."""

    size: int
    dtype: str


Buffers = dict[str, Buffer]
