"""Arrays of a notebook's nodes, and the namespace that computes with them.

Layers, losses and optimisers run on it as on any other library, without a change, and leave behind the formula of
every single number.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np

from deepmath.errors import TraceError
from deepmath.graph import FUNCTIONS, OPERATORS, Node
from deepmath.study.notebook import Notebook
from deepmath.trace import Symbols


class Grid:
    """An array [any shape] whose elements are nodes."""

    __array_ufunc__ = None  # NumPy arrays leave mixed arithmetic to this class
    __hash__ = object.__hash__

    def __init__(self, book: Notebook, nodes: Any) -> None:
        self.book = book
        self.nodes = nodes if isinstance(nodes, np.ndarray) else _wrapped(nodes)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.nodes.shape)

    @property
    def ndim(self) -> int:
        return int(self.nodes.ndim)

    @property
    def dtype(self) -> str:
        """ "float", "int" or "bool", as nodes have it."""
        return str(self.nodes.flat[0].dtype) if self.nodes.size else "float"

    def __getitem__(self, key: Any) -> Grid:
        return Grid(self.book, self.nodes[key])

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        out = np.empty(self.shape, dtype or np.float64)
        for place in np.ndindex(self.shape):
            out[place] = self.book.values[cast(Node, self.nodes[place]).number]
        return out

    def __neg__(self) -> Grid:
        return elementwise(self.book, lambda a: -a, self)

    def __invert__(self) -> Grid:
        return elementwise(self.book, lambda a: ~a, self)


def _wrapped(node: Any) -> Any:
    out = np.empty((), object)
    out[()] = node
    return out


def _operators() -> None:
    names = {"add": "+", "sub": "-", "mul": "*", "truediv": "/", "and": "&", "or": "|", "xor": "^", "lshift": "<<"}
    for name, op in {**names, "rshift": ">>", "floordiv": "//", "mod": "%"}.items():
        apply = OPERATORS[op]
        setattr(Grid, f"__{name}__", lambda a, b, f=apply: elementwise(a.book, f, a, b))
        setattr(Grid, f"__r{name}__", lambda a, b, f=apply: elementwise(a.book, f, b, a))
    for name, op in {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}.items():
        setattr(Grid, f"__{name}__", lambda a, b, f=OPERATORS[op]: elementwise(a.book, f, a, b))
    setattr(Grid, "__pow__", lambda a, b: elementwise(a.book, lambda x, y: x**y, a, b))  # noqa: B010 - as above
    setattr(Grid, "__matmul__", lambda a, b: Grids(a.book).matmul(a, b))  # noqa: B010 - as above


_operators()


def elementwise(book: Notebook, function: Callable[..., Any], *operands: Any) -> Grid:
    """A function of nodes, element by element, with broadcasting; numbers become constants."""
    arrays = [o.nodes if isinstance(o, Grid) else _constants(book, o) for o in operands]
    out = np.frompyfunc(function, len(arrays), 1)(*arrays)
    return Grid(book, out)


def _constants(book: Notebook, value: Any) -> Any:
    if isinstance(value, Node):
        return _wrapped(value)
    array = np.asarray(value)
    out = np.empty(array.shape, object)
    for place in np.ndindex(array.shape):
        out[place] = book.constant(array[place].item())
    return out


DTYPES = {"bool": "bool", "int32": "int", "int64": "int", "float32": "float", "float64": "float"}


class Grids(Symbols):
    """The namespace of grids: the functions of the standard that layers and formulas use."""

    def __init__(self, book: Notebook) -> None:
        super().__init__(book)
        self.book = book

    def __getattr__(self, name: str) -> Any:
        if name in DTYPES:
            return DTYPES[name]
        if name in FUNCTIONS:
            return lambda *args: elementwise(self.book, functools.partial(self.book.node, name), *args)
        raise TraceError(f"xp.{name} can't be followed number by number")

    def asarray(self, x: Any, *, dtype: Any = None, device: Any = None) -> Grid:  # noqa: ARG002 - as the standard has it
        """Constants."""
        return x if isinstance(x, Grid) else Grid(self.book, _constants(self.book, x))

    def where(self, condition: Any, a: Any, b: Any) -> Any:
        return elementwise(self.book, functools.partial(self.book.node, "where"), condition, a, b)

    def astype(self, x: Any, dtype: str) -> Any:
        return elementwise(self.book, lambda node: self.book.cast(node, dtype), x)

    def square(self, x: Any) -> Any:
        return x * x

    def sum(self, x: Any, *, axis: int | None = None, keepdims: bool = False) -> Any:
        return self._folded(lambda a, b: a + b, x, axis, keepdims)

    def max(self, x: Any, *, axis: int | None = None, keepdims: bool = False) -> Any:
        return self._folded(functools.partial(self.book.node, "maximum"), x, axis, keepdims)

    def mean(self, x: Any, *, axis: int | None = None, keepdims: bool = False) -> Any:
        count = math.prod(x.shape) if axis is None else x.shape[axis]
        return self.sum(x, axis=axis, keepdims=keepdims) / count

    def batch_sum(self, x: Any) -> Any:
        return self.sum(x, axis=0)

    def matmul(self, a: Any, b: Any) -> Grid:
        if a.ndim != 2 or b.ndim != 2:
            raise TraceError("products of arrays with more than two axes can't be followed number by number")
        products = a[:, :, None] * b[None, :, :]
        return Grid(self.book, self.sum(products, axis=1).nodes)

    def matrix_transpose(self, x: Any) -> Grid:
        return Grid(self.book, np.swapaxes(x.nodes, -1, -2))

    def reshape(self, x: Any, shape: tuple[int, ...]) -> Grid:
        return Grid(self.book, x.nodes.reshape(shape))

    def permute_dims(self, x: Any, axes: Sequence[int]) -> Grid:
        return Grid(self.book, np.transpose(x.nodes, axes))

    def broadcast_to(self, x: Any, shape: tuple[int, ...]) -> Grid:
        return Grid(self.book, np.broadcast_to(x.nodes, shape))

    def zeros_like(self, x: Any) -> Grid:
        return self.asarray(np.zeros(x.shape))

    def concat(self, arrays: Sequence[Any], *, axis: int = 0) -> Grid:
        return Grid(self.book, np.concatenate([a.nodes for a in arrays], axis=axis))

    def take(self, x: Any, indices: Any, *, axis: int) -> Grid:
        return Grid(self.book, np.take(x.nodes, np.asarray(indices, np.int64), axis=axis))

    def _folded(self, function: Callable[[Any, Any], Any], x: Any, axis: int | None, keepdims: bool) -> Grid:
        nodes = x.nodes.reshape(-1) if axis is None else x.nodes
        along = 0 if axis is None else axis
        pieces = [np.take(nodes, i, axis=along) for i in range(nodes.shape[along])]
        both = np.frompyfunc(function, 2, 1)
        while len(pieces) > 1:  # by halves: a chain of hundreds is too deep to be written by recursion
            pairs = [both(a, b) for a, b in zip(pieces[::2], pieces[1::2], strict=False)]
            pieces = pairs + pieces[len(pairs) * 2 :]
        total = pieces[0]
        total = total if isinstance(total, np.ndarray) else _wrapped(total)
        return Grid(self.book, np.expand_dims(total, along) if keepdims and axis is not None else total)
