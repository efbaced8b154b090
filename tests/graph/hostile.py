"""Layers that somebody might write and that can't be traced, have no kernel, or are wrong."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

T, F = 3, 4
W = np.random.default_rng(4).standard_normal((F, F))


def grid(xp: Any, x: Any) -> Any:
    return xp.reshape(x, (-1, T, F))


def flat(xp: Any, x: Any) -> Any:
    return xp.reshape(x, (x.shape[0], -1))


def attention(xp, w, x, bits):
    q, k, v = grid(xp, x) @ w, grid(xp, x), grid(xp, x) * 0.5
    scores = xp.matmul(q, xp.matrix_transpose(k)) / 2.0
    e = xp.exp(scores - xp.max(scores, axis=-1, keepdims=True))
    return flat(xp, xp.matmul(e / xp.sum(e, axis=-1, keepdims=True), v))


def heads(xp, w, x, bits):
    q = xp.permute_dims(xp.reshape(x, (-1, T, 2, 2)), (0, 2, 1, 3))
    mixed = xp.matmul(xp.matmul(q, xp.matrix_transpose(q)), q) * xp.sum(w)
    return flat(xp, xp.permute_dims(mixed, (0, 2, 1, 3)))


def over_rows(xp, w, x, bits):
    """Every row looks at every other."""
    scores = x @ xp.matrix_transpose(x)
    return xp.tanh(scores @ x) * xp.sum(w)


def many_axes(xp, w, x, bits):
    v = xp.reshape(x, (-1, 3, 2, 2))
    pairs = v[:, :, None, :, None, :] * v[:, None, :, :, :, None]
    return xp.reshape(xp.sum(pairs, axis=(2, 5)), (x.shape[0], -1)) * xp.sum(w)


def turned_axes(xp, w, x, bits):
    v = xp.reshape(x, (-1, 3, 2, 2, 1)) * xp.reshape(w[:2, 0], (2,))
    return xp.reshape(xp.sum(xp.permute_dims(v, (0, 4, 2, 1, 3)), axis=1), (x.shape[0], -1))


BESIDE = {
    "attention": attention,
    "heads": heads,
    "every row with every other": over_rows,
    "many axes": many_axes,
    "many axes turned": turned_axes,
    "the batch turned": lambda xp, w, x, bits: xp.permute_dims(xp.permute_dims(x, (1, 0)) * xp.sum(w), (1, 0)),
    "the batch in the middle": lambda xp, w, x, bits: flat(
        xp, xp.permute_dims(xp.permute_dims(grid(xp, x), (1, 0, 2)) @ w, (1, 0, 2))
    ),
    "a product of stacks of parameters": lambda xp, w, x, bits: flat(xp, (w[:T, :T] @ grid(xp, x))),
    "the norm of the batch": lambda xp, w, x, bits: x / xp.sqrt(xp.sum(x * x)) * xp.sum(w),
    "the covariance": lambda xp, w, x, bits: x @ (xp.matrix_transpose(x) @ x) * xp.sum(w) * 0.01,
    "by way of NumPy's arrays of objects": lambda xp, w, x, bits: np.asarray(x) * 2.0,
}
"""Can be traced, and compiled or not: the numbers must be the reference's."""


def branch(xp, w, x, bits):
    return x if xp.sum(x) > 0.0 else -x


def written(xp, w, x, bits):
    x[:, 0] = 0.0
    return x


def added(xp, w, x, bits):
    x += 1.0
    return x * xp.sum(w)


def forgets(xp, w, x, bits):
    x * xp.sum(w)


def places(xp, w):
    """Twelve whole numbers."""
    return xp.astype(xp.reshape(w, (-1,))[:12] > 0.0, xp.int64)


REFUSED = {
    "branches": (branch, r"branches on a value; use xp\.where"),
    "written": (written, "item assignment|written|can't be traced"),
    "float": (lambda xp, w, x, bits: x * float(xp.sum(w)), "as a Python number"),
    "int": (lambda xp, w, x, bits: x * int(xp.sum(w)), "as a Python number|can't be traced"),
    "math": (lambda xp, w, x, bits: x * math.exp(w[0, 0]), "as a Python number"),
    "np.exp": (lambda xp, w, x, bits: np.exp(x), r"np\.exp; write xp\.exp"),
    "np.sum": (lambda xp, w, x, bits: x - np.sum(x, axis=-1, keepdims=True), r"np\.sum; write xp\.sum"),
    "np.where": (lambda xp, w, x, bits: np.where(x > 0, x, 0), r"np\.where; write xp\.where"),
    "an array of NumPy": (lambda xp, w, x, bits: x * np.ones(12), "mixes a ndarray"),
    "an array of NumPy first": (lambda xp, w, x, bits: np.ones(12) * x, "mixes a ndarray|can't be traced"),
    "a product with NumPy": (lambda xp, w, x, bits: x @ np.ones((12, 12)), "a matrix product is one of two arrays"),
    "flip": (lambda xp, w, x, bits: xp.flip(x, axis=1), r"xp\.flip is outside"),
    "sort": (lambda xp, w, x, bits: xp.sort(x, axis=1), r"xp\.sort is outside"),
    "cumulated": (lambda xp, w, x, bits: xp.cumulative_sum(x, axis=1), r"xp\.cumulative_sum is outside"),
    "zeros": (lambda xp, w, x, bits: x + xp.zeros((12,)), r"xp\.zeros is outside"),
    "arange": (lambda xp, w, x, bits: x + xp.arange(12), r"xp\.arange is outside"),
    "linalg": (lambda xp, w, x, bits: x / xp.linalg.vector_norm(x), r"xp\.linalg is outside"),
    "largest of the batch": (lambda xp, w, x, bits: x - xp.max(x, axis=0), "largest value over the batch"),
    "largest of all": (lambda xp, w, x, bits: x - xp.max(x), "largest value over the batch"),
    "a row": (lambda xp, w, x, bits: x - x[0, :], "takes rows of the batch apart"),
    "half of the batch": (lambda xp, w, x, bits: xp.concat([x[::2, :], x[1::2, :]]), "takes rows of the batch apart"),
    "rows joined": (lambda xp, w, x, bits: xp.concat([x, x], axis=0), "along the batch"),
    "rows one by one": (lambda xp, w, x, bits: xp.stack([row * 2.0 for row in x]), "one by one"),
    "len": (lambda xp, w, x, bits: x / len(x), "length of an array|can't be traced"),
    "range of rows": (lambda xp, w, x, bits: sum(x for _ in range(x.shape[0])), "number of rows"),
    "one row": (lambda xp, w, x, bits: x if x.shape[0] == 1 else -x, "branches on the number of rows"),
    "not one row": (lambda xp, w, x, bits: x if x.shape[0] != 1 else -x, "branches on the number of rows"),
    "any rows": (lambda xp, w, x, bits: x if x.shape[0] else -x, "branches on the number of rows"),
    "half the rows": (lambda xp, w, x, bits: x * (x.shape[0] // 2), "can't be traced|rows"),
    "a mask": (lambda xp, w, x, bits: x[x > 0.0], "what isn't a constant"),
    "a list of places": (lambda xp, w, x, bits: x[:, [0, 1, 2] * 4], "what isn't a constant|can't be traced"),
    "a place that isn't there": (lambda xp, w, x, bits: x * x[:, 99][:, None], r"takes \[99\] of an axis of length 12"),
    "a step of nothing": (lambda xp, w, x, bits: x[:, ::0], "of an axis of length 12"),
    "too many places": (lambda xp, w, x, bits: x[:, 0, 0], "can't be traced"),
    "shapes that don't fit": (lambda xp, w, x, bits: x + w, "can't be combined"),
    "a product that doesn't fit": (lambda xp, w, x, bits: x @ w, "doesn't fit"),
    "a reshape that doesn't fit": (lambda xp, w, x, bits: xp.reshape(x, (-1, 5)), "can't be reshaped"),
    "an axis that isn't there": (lambda xp, w, x, bits: x - xp.sum(x, axis=5, keepdims=True), "axis"),
    "an order of other axes": (
        lambda xp, w, x, bits: xp.permute_dims(x, (0, 1, 2)),
        "names axis 2 of an array that has 2",
    ),
    "squeezed": (lambda xp, w, x, bits: xp.squeeze(x, axis=1), "squeeze|reshape"),
    "a method": (lambda xp, w, x, bits: x.sum(axis=-1, keepdims=True) * x, r"write xp\.sum"),
    "a complex number": (lambda xp, w, x, bits: x * 1j, "complex"),
    "a string": (lambda xp, w, x, bits: x * "2", "str"),
    "None": (lambda xp, w, x, bits: x * None, "NoneType"),
    "a setting that isn't there": (lambda xp, w, x, bits: xp.sum(x, axes=1), "axes"),
    "without a derivative": (lambda xp, w, x, bits: x % 1.0 * xp.sum(w), "'%', which has none"),
    "taken columns": (lambda xp, w, x, bits: xp.take(x, places(xp, w), axis=1), "'take', which has none"),
    "whole numbers": (lambda xp, w, x, bits: xp.astype(x, xp.int64), "whole numbers|astype"),
    "truths": (lambda xp, w, x, bits: x > 0.0, "truth|astype|bool"),
    "nothing": (forgets, "gives"),
    "a number": (lambda xp, w, x, bits: 3.0, "gives"),
    "a list": (lambda xp, w, x, bits: [x, x], "gives"),
    "another shape": (lambda xp, w, x, bits: xp.concat([x, x], axis=1), "output_shape"),
    "the sum of the batch": (lambda xp, w, x, bits: xp.sum(x, axis=0), "output_shape|gives"),
    "one sum": (lambda xp, w, x, bits: xp.sum(x), "output_shape|gives"),
    "more rows": (lambda xp, w, x, bits: xp.reshape(x, (-1, 4)), "output_shape|gives"),
    "bits of other rows": (lambda xp, w, x, bits: x * xp.astype(bits(7, 12), x.dtype), r"bits\(rows, units\) takes"),
    "bits of no number": (
        lambda xp, w, x, bits: x * xp.astype(bits(x.shape[0], "a"), x.dtype),
        r"bits\(rows, units\) takes",
    ),
    "bits of floats": (lambda xp, w, x, bits: x * bits(x.shape[0], 12.5), r"bits\(rows, units\) takes"),
    "deleted": (lambda xp, w, x, bits: x.__delitem__(0), "can't be traced|delitem"),
    "where of numbers": (lambda xp, w, x, bits: x * xp.where(x > 0.0, 1.0, 2.0), "xp.where needs an array"),
    "where of floats": (lambda xp, w, x, bits: xp.where(x, x, 0.0), "where"),
    "sum of truths": (lambda xp, w, x, bits: x * xp.sum(x > 0.0, axis=1, keepdims=True), "astype"),
    "truths times numbers": (lambda xp, w, x, bits: (x > 0.0) @ w, "floats"),
    "axes moved": (lambda xp, w, x, bits: xp.moveaxis(x, 0, 1), r"xp\.moveaxis is outside"),
    "broadcast to a smaller shape": (lambda xp, w, x, bits: xp.broadcast_to(x, (3, 4)), "combined"),
    "no arrays joined": (lambda xp, w, x, bits: xp.concat([], axis=1), "concat"),
    "numbers joined": (lambda xp, w, x, bits: xp.concat([x, 1.0], axis=1), "concat"),
}
