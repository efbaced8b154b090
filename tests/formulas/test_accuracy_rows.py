"""Softmax, its logarithm, and the losses of scores against 50 digits, by the reference and compiled for this processor.

Where f is a difference that may vanish, the error is measured against the larger of the two terms. The logarithm of
a sum is as far from its root as the last digit of the sum, which is at least 1, can tell.
"""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from accuracy import DTYPES, POINTS, exact, judge, moved_by, number, run, sigmoid, softplus
from mpmath import mpf

ROWS = [
    [0.0, 0.0, 0.0], [1.0, 2.0, 3.0], [-1.0, 0.5, 0.25], [1e4, 0.0, -1e4], [1e4, 9999.0, 1e4], [-1e4, -1e4, -10003.0],
    [1e-30, -1e-30, 0.0], [5.0, -np.inf, 4.0], [88.0, -88.0, 0.0], [50.0, 49.5, -30.0], [1e-4, 0.0, 2e-4],
    [700.0, 0.0, 1.0], [3.0, -100.0, -104.0], [16.0, 0.0, -0.5], [-745.0, 0.0, 20.0], [36.7, 0.0, 0.1],
    [0.1, 0.2, -0.3], [-7.0, 8.9, 1.5], [300.0, 299.0, 298.5], [1e-8, 2e-8, -1e-8], [-12.0, -13.0, -50.0],
    [2.5, 2.5, -2.5], [0.693, -0.693, 0.0], [20.0, -20.0, 19.0], [1e10, 0.0, -1e10], [-0.5, -1e-3, 4.0],
    [9.0, 3.0, -6.0], [-88.5, -87.0, -86.0], [6.5, 6.25, 6.125], [-3e38, 0.0, 1.0],
]  # fmt: skip
MODES = [
    pytest.param(dtype, printed, id=f"{dtype}-{'compiled' if printed else 'reference'}")
    for dtype in DTYPES
    for printed in (False, True)
]


def softmax(z):
    """Exact probabilities, z - max(z), the log of the sum, and what the roundings of the z move each by."""
    centred = [number(x) - number(max(z)) for x in z]
    e = [mpmath.exp(c) for c in centred]
    p = [x / sum(e) for x in e]
    sizes = [abs(c) if mpmath.isfinite(c) else mpf(0) for c in centred]
    spread = sum(a * b for a, b in zip(p, sizes, strict=True))
    return p, centred, mpmath.log(sum(e)), [size + spread for size in sizes]


def places(rows, *more):
    return [f"{row.tolist()} {m}" for row in rows for m in more or range(row.shape[0])]


@pytest.mark.parametrize(("dtype", "printed"), MODES)
def test_softmax(dtype, printed, record_property):
    z = np.asarray(ROWS, dtype)
    wanted = [exact(p, p * m) for row in z for p, m in zip(*softmax(row)[::3], strict=True)]
    judge(run("softmax", dtype, printed, z).reshape(-1), wanted, dtype, places(z), record_property)


@pytest.mark.parametrize(("dtype", "printed"), MODES)
def test_log_softmax(dtype, printed, record_property):
    z = np.asarray(ROWS, dtype)
    wanted = []
    for row in z:
        _, centred, spread, _ = softmax(row)
        wanted += [exact(c - spread, 0, max(1, abs(c), spread) if mpmath.isfinite(c) else 0) for c in centred]
    judge(run("log_softmax", dtype, printed, z).reshape(-1), wanted, dtype, places(z), record_property)


@pytest.mark.parametrize(("dtype", "printed"), MODES)
def test_pullbacks(dtype, printed, record_property):
    """Of the values as they are: y and dy are the arguments."""
    z = np.asarray([row for row in ROWS if np.all(np.isfinite(row))], dtype)
    dy = np.random.default_rng(0).standard_normal(z.shape).astype(dtype)
    for name in ("softmax", "log_softmax"):
        y = run(name, dtype, False, z)
        wanted = []
        for ys, ds in zip(y, dy, strict=True):
            a, b = [number(v) for v in ys], [number(v) for v in ds]
            if name == "softmax":
                along = [u * v for u, v in zip(a, b, strict=True)]
                size = sum(abs(t) for t in along)
                wanted += [
                    exact(u * (v - sum(along)), 0, abs(u) * max(abs(v), size)) for u, v in zip(a, b, strict=True)
                ]
            else:
                size = sum(abs(v) for v in b)
                for u, v in zip(a, b, strict=True):
                    e = mpmath.exp(u)
                    wanted.append(exact(v - e * sum(b), abs(u) * e * size, max(abs(v), e * size)))
        found = run(f"{name}_pullback", dtype, printed, z, y, dy)
        judge(found.reshape(-1), wanted, dtype, places(z), record_property)


def targets(kind, hot, shape, dtype):
    """Targets or labels, and the numbers that follow them."""
    if kind == "sparse":
        return np.full((shape[0], 1), hot), [np.arange(shape[1])[None, :]]
    d = np.zeros(shape, dtype)
    d[:, hot] = 1.0
    return d, [0.1] if kind == "smoothed" else []


def crossentropy_row(kind, slope):
    tail = "_slope" if slope else ""
    name = f"categorical_crossentropy_logits{tail}"
    return f"sparse_{name}" if kind == "sparse" else name + ("smoothed" if kind == "smoothed" else "")


@pytest.mark.parametrize(("dtype", "printed"), MODES)
@pytest.mark.parametrize("kind", ["plain", "smoothed", "sparse"])
@pytest.mark.parametrize("hot", range(3))
def test_categorical_crossentropy_from_logits(hot, kind, dtype, printed, record_property):
    z = np.asarray(ROWS, dtype)
    d, more = targets(kind, hot, z.shape, dtype)
    s = number(0.1) if kind == "smoothed" else mpf(0)
    shares = [(1 - s) * (i == hot) + s / 3 for i in range(3)]
    losses, slopes = [], []
    for row in z:
        p, centred, spread, moved = softmax(row)
        terms = [share * (spread - c) for share, c in zip(shares, centred, strict=True) if share]
        sizes = [share * max(1, spread, abs(c)) for share, c in zip(shares, centred, strict=True) if share]
        losses.append(exact(sum(terms), 0, sum(sizes) if mpmath.isfinite(sum(sizes)) else 0))
        slopes += [exact(a - b, a * m, max(a, b)) for a, b, m in zip(p, shares, moved, strict=True)]
    found = run(crossentropy_row(kind, False), dtype, printed, z, d, *more)
    judge(found.reshape(-1), losses, dtype, places(z, hot), record_property)
    found = run(crossentropy_row(kind, True), dtype, printed, z, d, *more)
    judge(found.reshape(-1), slopes, dtype, places(z), record_property)


def binary(z, d):
    """The binary cross-entropy of a score."""
    if np.isinf(z):
        return exact(mpf(0) if (z > 0) == (d == 1.0) and d in (0.0, 1.0) else mpmath.inf)
    x, t = number(z), number(d)
    value = (t * softplus(-x) if t else 0) + ((1 - t) * softplus(x) if t < 1 else 0)
    return exact(value, x * ((1 - t) * sigmoid(x) - t * sigmoid(-x)))


def binary_slope(z, d):
    if np.isinf(z):
        return exact(mpf((1 - d) * (z > 0) - d * (z < 0)))
    x, t = number(z), number(d)
    up, down = (1 - t) * sigmoid(x), t * sigmoid(-x)
    return exact(up - down, x * sigmoid(x) * sigmoid(-x), max(up, down))


@pytest.mark.parametrize(("dtype", "printed"), MODES)
@pytest.mark.parametrize("target", [0.0, 1.0, 0.25])
def test_binary_crossentropy_from_logits(target, dtype, printed, record_property):
    z = np.asarray(POINTS, dtype)[:, None]
    d = np.full_like(z, target)
    for name, f in (("binary_crossentropy_logits", binary), ("binary_crossentropy_logits_slope", binary_slope)):
        found, wanted = run(name, dtype, printed, z, d), [f(x, target) for x in z[:, 0]]
        judge(found.reshape(-1), wanted, dtype, places(z, name), record_property)


def focal(m, weight, gamma):
    return weight * sigmoid(m) ** gamma * softplus(m)


def focal_slope(m, weight, gamma):
    return weight * sigmoid(m) ** gamma * (gamma * sigmoid(-m) * softplus(m) + sigmoid(m))


@pytest.mark.parametrize(("dtype", "printed"), MODES)
@pytest.mark.parametrize("gamma", [2.0, 0.5, 0.0])
@pytest.mark.parametrize("target", [0.0, 1.0])
def test_focal_from_logits(target, gamma, dtype, printed, record_property):
    z = np.asarray(POINTS, dtype)[:, None]
    d = np.full_like(z, target)
    g, weight, sign = number(gamma), mpf(0.25 if target else 0.75), -1 if target else 1
    losses, slopes = [], []
    for x in z[:, 0]:
        m = sign * number(x)
        if np.isinf(x):
            losses.append(exact(mpmath.inf if m > 0 else mpf(0)))
            slopes.append(exact(sign * weight if m > 0 else mpf(0)))
            continue
        losses.append(exact(focal(m, weight, g), m * focal_slope(m, weight, g)))
        moved = moved_by(lambda t: focal_slope(t, weight, g), m)
        slopes.append(exact(sign * focal_slope(m, weight, g), moved))
    found = run("focal_logits", dtype, printed, z, d, gamma, 0.25)
    judge(found.reshape(-1), losses, dtype, places(z, "loss"), record_property)
    found = run("focal_logits_slope", dtype, printed, z, d, gamma, 0.25)
    judge(found.reshape(-1), slopes, dtype, places(z, "slope"), record_property)


def test_the_judge_finds_a_softmax_that_overflows():
    z = np.asarray([[100.0, 0.0]], np.float32)
    p, _, _, moved = softmax(z[0])
    with np.errstate(all="ignore"):
        found = np.exp(z) / np.exp(z).sum()
    with pytest.raises(AssertionError, match="nan instead of"):
        judge(found[0], [exact(a, a * m) for a, m in zip(p, moved, strict=True)], "float32", places(z))
