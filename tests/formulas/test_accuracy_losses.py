"""Losses of predictions, and their slopes, against 50 digits: at most 4 ulp x (1 + sum of |p f'/f|).

Where f is a difference that may vanish, the error is measured against the larger of the two terms.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import mpmath
import numpy as np
import pytest
from accuracy import DTYPES, POINTS, exact, judge, log, moved_by, number, ratio, run
from mpmath import mpf

from deepmath import losses

ANY = [p for p in POINTS if p != 0.6931471805599453] + [0.1000001, 2.4999, 0.999999, 3e-39, 1e18, -1e18, 1e19]
SCORES = [*POINTS, 0.9999999, -0.9999999, 2.0, -3.0]
ABOVE = [
    0.0, 1e-300, 1e-45, 1e-38, 1e-20, 1e-8, 1e-4, 0.01, 0.05, 0.1, 0.3, 0.5, 0.6931471805599453, 0.9, 0.999, 1.0,
    1.0000001, 1.1, 1.5, 2.0, 2.5, 2.718281828459045, 3.0, 4.0, 7.0, 8.9, 16.7, 37.0, 88.0, 300.0, 1e4, 1e20, np.inf,
]  # fmt: skip
CHANCES = [
    0.0, 1e-300, 1e-45, 1e-38, 1e-30, 1e-20, 1e-12, 1e-8, 1e-6, 1e-4, 0.001, 0.01, 0.05, 0.1, 0.125, 0.25, 0.3, 0.4,
    0.49999999, 0.5, 0.6, 0.7, 0.75, 0.8, 0.875, 0.9, 0.95, 0.99, 0.999, 0.9999, 0.99999, 0.9999999, 1 - 2.0**-24,
    1 - 2.0**-53, 1.0,
]  # fmt: skip


class Loss(NamedTuple):
    """`terms(p, d, units, *constants)` are what one unit adds to the loss, `slopes` what they are in its derivative.

    The sum over the units is divided by their number where `mean`.
    """

    terms: Callable[..., list[Any]]
    slopes: Callable[..., list[Any]]
    points: list[float]
    targets: list[float]
    constants: tuple[float, ...] = ()
    mean: bool = True


def log_cosh(e: Any) -> Any:
    e = abs(e)
    return mpmath.log1p(2 * mpmath.sinh(e / 2) ** 2) if e < 20 else e - mpmath.log(2) + mpmath.log1p(mpmath.exp(-2 * e))


def missed(p: Any, d: Any) -> Any:
    return max(mpf(0), 1 - (2 * d - 1) * p)


def sign(x: Any) -> Any:
    return mpf(int(x > 0) - int(x < 0))


def poisson(p: Any, d: Any, n: int) -> list[Any]:
    return [mpmath.inf] if mpmath.isinf(p) else [p, -d * log(p) if d else mpf(0)]


def focal(p: Any, d: Any, n: int, gamma: Any, alpha: Any) -> list[Any]:
    short, share, cost = (1 - p, alpha, -log(p)) if d else (p, 1 - alpha, -log1p(-p))
    return [share * short**gamma * cost if short else mpf(0)]


def focal_slope(p: Any, d: Any, n: int, gamma: Any, alpha: Any) -> list[Any]:
    short, share, cost = (1 - p, alpha, -log(p)) if d else (p, alpha - 1, -log1p(-p))
    if short == 0:
        return [mpf(0)]
    return [-share * short ** (gamma - 1) * (gamma * cost + ratio(short, p if d else 1 - p))]


def log1p(x: Any) -> Any:
    return mpmath.log1p(x) if x > -1 else -mpmath.inf


def smoothed(d: Any, n: int, s: Any) -> Any:
    return (1 - s) * d + s / n


def crossentropy(p: Any, d: Any, n: int, s: Any = 0) -> list[Any]:
    share = smoothed(d, n, s)
    return [-share * log(p) if share else mpf(0)]


def crossentropy_slope(p: Any, d: Any, n: int, s: Any = 0) -> list[Any]:
    return [-ratio(smoothed(d, n, s), p)]


def binary(p: Any, d: Any, n: int) -> list[Any]:
    return [-d * log(p) if d else mpf(0), -(1 - d) * log1p(-p) if d < 1 else mpf(0)]


TARGETS, GATES = [0.0, 1.0, -2.5, 0.1, 1e4], [0.0, 1.0]

TABLE = {
    "mse": Loss(lambda p, d, n: [(p - d) ** 2], lambda p, d, n: [2 * (p - d)], ANY, TARGETS),
    "sse": Loss(lambda p, d, n: [(p - d) ** 2], lambda p, d, n: [2 * (p - d)], ANY, TARGETS, mean=False),
    "mae": Loss(lambda p, d, n: [abs(p - d)], lambda p, d, n: [sign(p - d)], ANY, TARGETS),
    "huber": Loss(
        lambda p, d, n, c: [(p - d) ** 2 / 2 if abs(p - d) <= c else c * (abs(p - d) - c / 2)],
        lambda p, d, n, c: [max(min(p - d, c), -c)], ANY, TARGETS, (1.5,),
    ),
    "log_cosh": Loss(lambda p, d, n: [log_cosh(p - d)], lambda p, d, n: [mpmath.tanh(p - d)], ANY, TARGETS),
    "quantile": Loss(
        lambda p, d, n, q: [q * (d - p) if p < d else (1 - q) * (p - d)],
        lambda p, d, n, q: [-q if p < d else (1 - q) * sign(p - d)], ANY, TARGETS, (0.3,),
    ),
    "poisson": Loss(poisson, lambda p, d, n: [mpf(1), -ratio(d, p)], ABOVE, [0.0, 1.0, 3.0, 250.0]),
    "hinge": Loss(
        lambda p, d, n: [missed(p, d)], lambda p, d, n: [(1 - 2 * d) if missed(p, d) > 0 else mpf(0)], SCORES, GATES
    ),
    "squared_hinge": Loss(
        lambda p, d, n: [missed(p, d) ** 2], lambda p, d, n: [2 * (1 - 2 * d) * missed(p, d)], SCORES, GATES
    ),
    "binary_crossentropy": Loss(
        binary, lambda p, d, n: [-ratio(d, p), ratio(1 - d, 1 - p)], CHANCES, [0.0, 1.0, 0.25]
    ),
    "categorical_crossentropy": Loss(crossentropy, crossentropy_slope, CHANCES, [0.0, 1.0, 0.3], mean=False),
    "categorical_crossentropysmoothed": Loss(
        crossentropy, crossentropy_slope, CHANCES, [0.0, 1.0], (0.1,), mean=False
    ),
    "kl_divergence": Loss(
        lambda p, d, n: [d * log(d), -d * log(p)] if d else [mpf(0)], lambda p, d, n: [-ratio(d, p)],
        CHANCES, [0.0, 1.0, 0.3, 0.001], mean=False,
    ),
    "focal": Loss(focal, focal_slope, CHANCES, GATES, (2.0, 0.25)),
    "focal of a root": Loss(focal, focal_slope, CHANCES, GATES, (0.5, 0.75)),
}  # fmt: skip


def rows_of(loss: Loss, units: int, dtype: str) -> tuple[Any, Any]:
    """Every point with every target, so many in a row."""
    p, d = (a.reshape(-1) for a in np.meshgrid(np.asarray(loss.points), np.asarray(loss.targets)))
    count = len(p) - len(p) % units
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(p[:count], dtype).reshape(-1, units), np.asarray(d[:count], dtype).reshape(-1, units)


def value_of(loss: Loss, p: Any, d: Any) -> Any:
    """The exact loss of a row."""
    units, constants = len(p), [number(c) for c in loss.constants]
    pairs = [(number(a), number(b)) for a, b in zip(p, d, strict=True)]
    terms = [t for a, b in pairs for t in loss.terms(a, b, units, *constants)]
    slopes = [(a, sum(loss.slopes(a, b, units, *constants))) for a, b in pairs]
    moved = sum(abs(a * s) for a, s in slopes if mpmath.isfinite(a) and mpmath.isfinite(s))
    share = units if loss.mean else 1
    signed = any(t < 0 for t in terms)
    return exact(sum(terms) / share, moved / share, max(abs(t) for t in terms) / share if signed else 0)


def slope_of(loss: Loss, p: Any, d: Any, units: int) -> Any:
    """The exact slope of one unit."""
    constants, a, b = [number(c) for c in loss.constants], number(p), number(d)
    terms = loss.slopes(a, b, units, *constants)
    inside = a != b and not (loss.points is CHANCES and a in (0, 1))
    moved = moved_by(lambda t: sum(loss.slopes(t, b, units, *constants)), a) if inside else 0
    share = units if loss.mean else 1
    return exact(sum(terms) / share, moved / share, max(abs(t) for t in terms) / share)


def row_name(name: str, slope: bool) -> str:
    """The name in the table of formulas."""
    base, _, rest = name.partition("smoothed")
    tail = "smoothed" if name.endswith("smoothed") else rest
    return f"{base.removesuffix(' of a root')}{'_slope' if slope else ''}{tail}"


CASES = [
    pytest.param(dtype, printed, units, id=f"{dtype}-{'compiled' if printed else 'reference'}-{units}")
    for dtype in DTYPES
    for printed in (False, True)
    for units in (1, 3)
]


@pytest.mark.parametrize(("dtype", "printed", "units"), CASES)
@pytest.mark.parametrize("name", TABLE)
def test_values(name, dtype, printed, units, record_property):
    loss = TABLE[name]
    p, d = rows_of(loss, units, dtype)
    found = run(row_name(name, False), dtype, printed, p, d, *loss.constants)
    wanted = [value_of(loss, *row) for row in zip(p, d, strict=True)]
    places = [f"{a.tolist()}, {b.tolist()}" for a, b in zip(p, d, strict=True)]
    judge(found.reshape(-1), wanted, dtype, places, record_property)


@pytest.mark.parametrize(("dtype", "printed", "units"), CASES)
@pytest.mark.parametrize("name", TABLE)
def test_slopes(name, dtype, printed, units, record_property):
    loss = TABLE[name]
    p, d = rows_of(loss, units, dtype)
    found = run(row_name(name, True), dtype, printed, p, d, *loss.constants)
    pairs = list(zip(p.reshape(-1), d.reshape(-1), strict=True))
    judge(
        found.reshape(-1), [slope_of(loss, a, b, units) for a, b in pairs], dtype, [f"{a!r}, {b!r}" for a, b in pairs],
        record_property,
    )  # fmt: skip


def test_every_loss_of_numbers_has_a_row():
    known = {losses.get(n).name for n in losses.names()}
    assert known <= set(TABLE) | {"sparse_categorical_crossentropy"}


def test_the_judge_finds_a_loss_that_cancels():
    p, d = np.asarray([[1e-9]]), np.asarray([[0.0]])
    wanted = [value_of(TABLE["binary_crossentropy"], p[0], d[0])]
    with pytest.raises(AssertionError, match=r"instead of 1\.00000000"):
        judge([-np.log(1.0 - p[0, 0])], wanted, "float64", ["log instead of log1p"])
