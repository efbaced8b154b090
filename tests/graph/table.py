"""Every operation of the array language as one row: a function of the standard, and what it takes.

Adding an operation is one row. The tests of tracing, of derivatives and of layers go over all rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

SIZES: dict[str, dict[str, int]] = {
    "odd": {"b": 3, "t": 5, "f": 7, "k": 2},
    "ones": {"b": 1, "t": 1, "f": 1, "k": 1},
    "no rows": {"b": 0, "t": 2, "f": 3, "k": 3},
    "empty": {"b": 2, "t": 0, "f": 3, "k": 1},
}
"""The length of each axis; "b" is the batch."""


@dataclass(frozen=True)
class Row:
    """`function(xp, *arrays)`; `takes` are its arguments, "btf f int:k": their axes, letters or digits.

    `smooth`: it has a derivative where it is tried. `positive`: its arguments are. `filled`: no axis may be empty.
    `layer`: what starts with the batch can be part of a layer. `flips`: some libraries can't take negative steps.
    """

    name: str
    function: Callable[..., Any]
    takes: str = "bf"
    smooth: bool = True
    positive: bool = False
    filled: bool = False
    layer: bool = True
    flips: bool = False

    def shapes(self, sizes: Mapping[str, int]) -> list[tuple[int, ...]]:
        """The shapes of the arguments."""
        words = [word.partition(":")[2] if ":" in word else word for word in self.takes.split()]
        return [tuple(sizes.get(c) if c in sizes else int(c) for c in word.strip("-")) for word in words]

    def dtypes(self) -> list[str]:
        """ "float", "int" or "bool" for each argument."""
        return [word.partition(":")[0] if ":" in word else "float" for word in self.takes.split()]

    def arrays(self, sizes: Mapping[str, int], seed: int = 0) -> list[Any]:
        """Arguments: all floats differ from each other and from every kink by more than a difference reaches."""
        rng = np.random.default_rng(seed)
        found = []
        for i, (shape, dtype) in enumerate(zip(self.shapes(sizes), self.dtypes(), strict=True)):
            size = math.prod(shape)
            if dtype == "float":
                found.append(spaced(rng, size, i, self.positive).reshape(shape))
            else:
                found.append(rng.integers(0, 2, shape).astype({"int": np.int64, "bool": np.bool_}[dtype]))
        return found


def spaced(rng: Any, size: int, number: int, positive: bool) -> Any:
    """Numbers between -2 and 2, or 0.3 and 2.3, that lie apart, in a random order."""
    if not size:
        return np.zeros(0)
    values = -2.0 + 4.0 * (np.arange(size) + 0.31 + 0.11 * number) / size
    return rng.permutation(0.3 + (values + 2.0) / 2.0 if positive else values)


def unary(name: str, **settings: Any) -> Row:
    return Row(name, lambda xp, x: getattr(xp, name)(x), "btf", **settings)


def binary(name: str, takes: str = "btf btf", **settings: Any) -> Row:
    return Row(name, lambda xp, x, y: getattr(xp, name)(x, y), takes, **settings)


def number(xp: Any, condition: Any, x: Any) -> Any:
    """Truths as numbers."""
    return xp.astype(condition, x.dtype)


def whole(xp: Any, x: Any) -> Any:
    """Whole numbers from -6 to 6."""
    return xp.astype(x * 3.0, xp.int64)


def bits(xp: Any, n: Any, x: Any) -> Any:
    """All that whole numbers do to each other's bits."""
    return xp.astype((n & 5) | ((n ^ 3) << 2), x.dtype) + xp.astype(n >> 1, x.dtype)


ELEMENTS = [
    *(unary(n) for n in ("abs", "exp", "expm1", "tanh", "cos", "sin", "square", "negative")),
    *(unary(n, positive=True) for n in ("log", "log1p", "sqrt")),
    *(unary(n, smooth=False) for n in ("sign", "floor", "isnan", "isinf", "isfinite")),
    *(binary(n) for n in ("add", "subtract", "multiply", "maximum", "minimum")),
    *(binary(n, positive=True) for n in ("divide", "pow")),
    *(binary(n, smooth=False) for n in ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")),
    binary("floor_divide", smooth=False, layer=False), binary("remainder", smooth=False, layer=False),
    *(Row(n, lambda xp, x, n=n: getattr(xp, n)(x > 0.3, x < 0.9), smooth=False) for n in ("logical_and", "logical_or")),
    Row("logical_not", lambda xp, x: xp.logical_not(x > 0.3), smooth=False),
    Row("operators of truths", lambda xp, x: ((x > 0.3) & (x < 0.9)) | ~(x > -0.5) ^ (x < -1.0), smooth=False),
    Row("operators", lambda xp, x, y: (2.0 - x) * y + x / 3.0 - (-y) * 1.5 + (x - 1.0) - 0.5 / (y * y + 1.0), "bf bf"),
    Row("unary operators", lambda xp, x: abs(x) * (+x) - (-x)),
    Row("comparisons", lambda xp, x, y: number(xp, x <= y, x) + number(xp, x < 0.5, x) * 2.0, "bf bf", smooth=False),
    Row("squared", lambda xp, x: x**2 + x**3 + 2.0**x),
    Row("power of a number", lambda xp, x: x**0.5 + x**-1.0 + 1.7**x, positive=True),
    Row("where", lambda xp, x, y: xp.where(x > y, x * x, y), "bf bf"),
    Row("where of a number", lambda xp, x: xp.where(x > 0.0, x, 0.5) + xp.where(x < 0.3, -1.0, x * x)),
    Row("where of given truths", lambda xp, c, x, y: xp.where(c, x, y), "bool:bf bf bf", layer=False),
    Row("astype", lambda xp, x: xp.astype(x > 0.2, x.dtype), smooth=False),
    Row("astype of whole numbers", lambda xp, x: xp.astype(xp.astype(x * 3.0, xp.int64), x.dtype), smooth=False),
    Row("clip", lambda xp, x: xp.clip(x, -0.7, 0.9)),
    Row("clip from below", lambda xp, x: xp.clip(x, -0.7)),
    Row("clip from above", lambda xp, x: xp.clip(x, max=0.9)),
    Row("clip by an array", lambda xp, x, y: xp.clip(x, min=y), "bf f"),
    Row("zeros_like", lambda xp, x: xp.zeros_like(x) + x),
    Row("ones_like", lambda xp, x: xp.ones_like(x) * 2.0 - x),
    Row("whole numbers", lambda xp, x: xp.astype(whole(xp, x) * 3 - 7 // (whole(xp, x) + 9), x.dtype), smooth=False),
    Row("whole numbers bit by bit", lambda xp, x: bits(xp, whole(xp, x), x), smooth=False),
    Row("whole numbers divided", lambda xp, x: xp.astype(whole(xp, x) % 3 + ~whole(xp, x), x.dtype) * x),
    Row("a value used twice", lambda xp, x: xp.exp(x) * xp.exp(x) + xp.exp(x)),
    Row("constants of the standard", lambda xp, x: x * xp.pi + xp.e),
]  # fmt: skip

BROADCAST = [
    Row("by features", lambda xp, x, w: x * w, "btf f"),
    Row("by time and features", lambda xp, x, w: x * w, "btf tf"),
    Row("by time", lambda xp, x, w: x / w, "btf t1", positive=True),
    Row("by a number", lambda xp, x, w: x * w, "btf -"),
    Row("by one number", lambda xp, x, w: x * w, "btf 1"),
    Row("rows with columns", lambda xp, x, w: xp.maximum(x, w), "b1 f"),
    Row("less axes first", lambda xp, w, x: w - x, "f btf", layer=False),
    Row("two of an axis each", lambda xp, x, w: x * w, "bt1 1f"),
    Row("each with each", lambda xp, x: x[:, :, None] - x[:, None, :]),
    Row("broadcast_to", lambda xp, x: xp.broadcast_to(x, (3, *x.shape)), "bf", layer=False),
    Row("broadcast_to columns", lambda xp, x: xp.broadcast_to(x, (x.shape[0], 4)), "b1"),
    Row("broadcast_to time", lambda xp, x: xp.broadcast_to(x[:, None, :], (x.shape[0], 3, x.shape[1])), "bf"),
    Row("broadcast_to rows", lambda xp, x, w: x + xp.broadcast_to(w, x.shape), "btf f"),
    Row("where by columns", lambda xp, x, w: xp.where(w > 0.0, x, w), "btf f"),
    Row("a number to all", lambda xp, x, w: xp.broadcast_to(w, x.shape) * 1.0, "bf -"),
]


def reduction(name: str, axis: Any, keepdims: bool, takes: str = "btf", **settings: Any) -> Row:
    """A reduction along these axes."""
    filled = name != "sum"
    kept = " kept" if keepdims else ""
    return Row(
        f"{name} along {axis}{kept} of {takes}",
        lambda xp, x: getattr(xp, name)(x, axis=axis, keepdims=keepdims), takes, filled=filled, **settings,
    )  # fmt: skip


def of_the_batch(axis: Any) -> bool:
    return axis is None or 0 in (axis if isinstance(axis, tuple) else (axis,)) or axis == -3


AXES = (0, 1, 2, -1, -3, (0, 1), (1, 2), (0, 2), (2, 0), (0, 1, 2), None)
REDUCTIONS = [
    *(
        reduction(n, axis, keepdims, layer=not of_the_batch(axis))
        for n in ("sum", "mean", "max") for axis in AXES for keepdims in (False, True)
    ),
    *(reduction("min", axis, keepdims) for axis, keepdims in ((1, False), (-1, True))),
    *(reduction("var", axis, keepdims) for axis, keepdims in ((1, False), (-1, True), ((1, 2), False))),
    *(reduction("std", axis, True, "bt4") for axis in (-1, (1, 2))),
    reduction("sum", -1, False, "f", layer=False), reduction("max", 0, False, "f", layer=False),
    reduction("mean", (1, 3), False, "bt2f"), reduction("max", (1, 2), True, "btk3"),
    reduction("sum", 2, False, "btkf"),
    Row("var with a correction", lambda xp, x: xp.var(x, axis=-1, correction=1, keepdims=True), "bt4", filled=True),
    Row("sum twice", lambda xp, x: xp.sum(xp.sum(x * x, axis=-1) * 2.0, axis=-1, keepdims=True), "btf"),
    Row("sum of a row beside it", lambda xp, x: x - xp.sum(x, axis=-1, keepdims=True), "btf"),
    Row("softmax over time", lambda xp, x: softmax(xp, x, 1), "btf", filled=True),
    Row("softmax", lambda xp, x: softmax(xp, x, -1), "btf", filled=True),
    Row("centred over time", lambda xp, x: x - xp.mean(x, axis=1, keepdims=True), "btf", filled=True),
    Row("centred over the batch", lambda xp, x: x - xp.mean(x, axis=0), "bf", filled=True),
    Row("scaled over the batch", lambda xp, x: x / xp.std(x, axis=(0, 1), keepdims=True), "b4f", filled=True),
    Row("by the sum of the batch", lambda xp, x: x * xp.sum(x * x, axis=0, keepdims=True), "btf"),
]  # fmt: skip


def softmax(xp: Any, x: Any, axis: int) -> Any:
    e = xp.exp(x - xp.max(x, axis=axis, keepdims=True))
    return e / xp.sum(e, axis=axis, keepdims=True)


PRODUCTS = [
    Row("matmul", lambda xp, x, w: xp.matmul(x, w), "bf fk"),
    Row("matmul operator", lambda xp, x, w: x @ w, "bf fk"),
    Row("matmul of stacks by one", lambda xp, x, w: x @ w, "btf fk"),
    Row("matmul of one by stacks", lambda xp, w, x: w @ x, "kt btf", layer=False),
    Row("matmul of stacks", lambda xp, x, y: x @ y, "btf bfk", layer=False),
    Row("matmul of stacks of one", lambda xp, x, y: x @ y, "btf 1fk"),
    Row("matmul of stacks of stacks", lambda xp, x, y: x @ y, "bktf bkf3", layer=False),
    Row("matmul by a vector", lambda xp, x, w: x @ w, "bf f"),
    Row("matmul of stacks by a vector", lambda xp, x, w: x @ w, "btf f"),
    Row("vector by a matrix", lambda xp, w, x: w @ x, "b bf", layer=False),
    Row("vector by a vector", lambda xp, v, w: v @ w, "f f", layer=False),
    Row("vector by stacks", lambda xp, w, x: w @ x, "t btf", layer=False),
    Row("matmul transposed", lambda xp, x, w: x @ xp.matrix_transpose(w), "bf kf"),
    Row("matmul by .mT", lambda xp, x, w: x @ w.mT, "bf kf"),
    Row("gram", lambda xp, x: x @ xp.matrix_transpose(x), "btf"),
    Row("over the batch", lambda xp, x: xp.matrix_transpose(x) @ x, "bf", layer=False),
    Row("over the batch and back", lambda xp, x: x @ (xp.matrix_transpose(x) @ x), "bf"),
    Row("outer of rows", lambda xp, x, y: xp.reshape(x, (-1, 2, 1)) @ xp.reshape(y, (-1, 1, 3)), "b2 b3", layer=False),
]

MOVES = [
    Row("reshape", lambda xp, x: xp.reshape(x, (x.shape[0], 6)), "b23"),
    Row("reshape with -1", lambda xp, x: xp.reshape(x, (x.shape[0], -1)), "b23", filled=True),
    Row("reshape of the batch with -1", lambda xp, x: xp.reshape(x, (-1, 3, 2)), "b23"),
    Row("reshape to more rows", lambda xp, x: xp.reshape(x, (-1, 3)) * 2.0, "b23", layer=False),
    Row("reshape there and back", lambda xp, x: xp.reshape(xp.reshape(x, (-1, 3)) * 2.0, x.shape), "b23"),
    Row("reshape to one axis", lambda xp, x: xp.reshape(x, (-1,)), "b23", layer=False),
    Row("permute_dims", lambda xp, x: xp.permute_dims(x, (0, 2, 1)), "btf"),
    Row("permute_dims of four", lambda xp, x: xp.permute_dims(x, (0, 3, 1, 2)), "btfk"),
    Row("permute_dims from the back", lambda xp, x: xp.permute_dims(x, (0, -1, 1)), "btf"),
    Row("permute_dims of the batch", lambda xp, x: xp.permute_dims(x, (1, 0, 2)), "btf", layer=False),
    Row("permute_dims round", lambda xp, x: xp.permute_dims(x, (2, 0, 1)), "btf", layer=False),
    Row("permute_dims twice", lambda xp, x: xp.permute_dims(xp.permute_dims(x, (0, 2, 1)), (0, 2, 1)), "btf"),
    Row("matrix_transpose", lambda xp, x: xp.matrix_transpose(x), "btf"),
    Row("matrix_transpose of a matrix", lambda xp, x: xp.matrix_transpose(x), "bf", layer=False),
    Row("expand_dims", lambda xp, x: xp.expand_dims(x, axis=1), "bf"),
    Row("expand_dims behind", lambda xp, x: xp.expand_dims(x, axis=-1) * 2.0, "bf"),
    Row("expand_dims in front", lambda xp, x: xp.expand_dims(x, axis=0), "bf", layer=False),
    Row("squeeze", lambda xp, x: xp.squeeze(x, axis=1), "b1f"),
    Row("squeeze two", lambda xp, x: xp.squeeze(x, axis=(1, -1)), "b1f1"),
    Row("concat", lambda xp, x, y: xp.concat([x, y], axis=1), "btf bkf", layer=False),
    Row("concat of features", lambda xp, x: xp.concat([x, 2.0 * x, xp.exp(x)], axis=-1), "btf"),
    Row("concat in front", lambda xp, x, y: xp.concat([x, y]), "tf kf", layer=False),
    Row("concat with itself", lambda xp, x: xp.concat((x, x), axis=1), "btf"),
    Row("concat of one", lambda xp, x: xp.concat([x], axis=1), "btf"),
    Row("concat of a parameter", lambda xp, x, w: xp.concat([x, xp.broadcast_to(w, x.shape)], axis=1), "bf f"),
    Row("stack", lambda xp, x: xp.stack([x, x * x, -x], axis=1), "bf"),
    Row("stack behind", lambda xp, x: xp.stack([x, x * x], axis=-1), "btf"),
    Row("stack in front", lambda xp, x: xp.stack([x, x * x]), "bf", layer=False),
    Row("concat of slices", lambda xp, x: xp.concat([x[:, 2:, :], x[:, :2, :]], axis=1), "b5f"),
    Row("slice", lambda xp, x: x[:, 1:4, :], "b6f"),
    Row("slice of the last axis", lambda xp, x: x[..., :2], "bt4"),
    Row("slice with a step", lambda xp, x: x[:, 1::2, :], "b7f"),
    Row("slice from the back", lambda xp, x: x[:, -3:-1, :], "b7f"),
    Row("slices of two axes", lambda xp, x: x[:, 1:6:2, ::3, ...], "b64"),
    Row("reversed", lambda xp, x: x[:, ::-1, :], "btf", flips=True),
    Row("reversed features", lambda xp, x: x[..., ::-1], "btf", flips=True),
    Row("reversed with a step", lambda xp, x: x[:, 5:1:-2, ...], "b7f", flips=True),
    Row("reversed to the first", lambda xp, x: x[:, ::-3, ::-2], "b75", flips=True),
    Row("an int", lambda xp, x: x[:, 2, :], "b5f"),
    Row("an int from the back", lambda xp, x: x[:, -1, :], "b5f"),
    Row("two ints", lambda xp, x: x[:, 1, 2], "b54"),
    Row("one number of each row", lambda xp, x: x[:, 1:2] * x, "b4"),
    Row("None", lambda xp, x: x[:, None, :] * 1.5, "bf"),
    Row("None and an ellipsis", lambda xp, x: x[..., None], "bf"),
    Row("an ellipsis between", lambda xp, x: x[:, ..., 1:3], "bt4"),
    Row("all of it", lambda xp, x: x[...] + x[:, :] * 2.0, "bf"),
    Row("nothing of it", lambda xp, x: xp.sum(x[:, 3:1, :], axis=1, keepdims=True) + x, "b4f"),
    Row("windows", lambda xp, x: xp.stack([x[:, i : i + 3, :] for i in range(4)], axis=1), "b6f"),
    Row("differences", lambda xp, x: x[:, 1:, :] - x[:, :-1, :], "b5f"),
    Row("overlapping slices", lambda xp, x: x[:, :-1, :] * x[:, 1:, :] + x[:, 1:, :], "b5f"),
    Row("take", lambda xp, x, i: xp.take(x, i, axis=0), "5f int:t", smooth=False, layer=False),
    Row("take of columns", lambda xp, x, i: xp.take(x, i, axis=1), "b3f int:t", smooth=False, layer=False),
]

ALL = [*ELEMENTS, *BROADCAST, *REDUCTIONS, *PRODUCTS, *MOVES]
TABLE = {row.name: row for row in ALL}
assert len(TABLE) == len(ALL)
