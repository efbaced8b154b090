"""The vocabulary of shapes.

`Array` is what every formula takes and gives: an array of any library that follows the Array API
standard. The aliases below name its axes; a type checker sees `Array`, and the test run checks that
axes of one name have one length in each call (`deepmath.testing.checks_shapes`).
"""

from __future__ import annotations

from typing import Annotated, Any, Protocol, TypeAlias


class Array(Protocol):
    """The operators and attributes that formulas use on arrays; no methods, since libraries differ in them."""

    @property
    def shape(self) -> Any: ...
    @property
    def dtype(self) -> Any: ...
    @property
    def ndim(self) -> int: ...

    def __add__(self, other: Any, /) -> Any: ...
    def __radd__(self, other: Any, /) -> Any: ...
    def __sub__(self, other: Any, /) -> Any: ...
    def __rsub__(self, other: Any, /) -> Any: ...
    def __mul__(self, other: Any, /) -> Any: ...
    def __rmul__(self, other: Any, /) -> Any: ...
    def __truediv__(self, other: Any, /) -> Any: ...
    def __rtruediv__(self, other: Any, /) -> Any: ...
    def __matmul__(self, other: Any, /) -> Any: ...
    def __gt__(self, other: Any, /) -> Any: ...
    def __ge__(self, other: Any, /) -> Any: ...
    def __lt__(self, other: Any, /) -> Any: ...
    def __le__(self, other: Any, /) -> Any: ...
    def __neg__(self) -> Any: ...
    def __getitem__(self, key: Any, /) -> Any: ...


Namespace: TypeAlias = Any
"""An Array API namespace: `array_api_compat.numpy`, `array_api_strict`, or the tracer's symbols."""

Elements: TypeAlias = Annotated[Array, "batch units"]
"""One value for each row and unit: [batch, units]."""

Inputs: TypeAlias = Annotated[Array, "batch features"]
"""What a layer takes: [batch, features]."""

Rows: TypeAlias = Annotated[Array, "batch 1"]
"""One value for each row, kept as a column so that it broadcasts: [batch, 1]."""

Index: TypeAlias = Annotated[Array, "1 units"]
"""The number of each column, 0, 1, ...: [1, units]."""

Columns: TypeAlias = Annotated[Array, "units"]
"""One value for each unit: [units]."""

Kernel: TypeAlias = Annotated[Array, "features units"]
"""The weights of a dense layer: [features, units]."""

Flat: TypeAlias = Annotated[Array, "size"]
"""Any parameters laid end to end: [size]."""

Scalar: TypeAlias = Any
"""A number: a Python float, or a symbol while a formula is traced."""
