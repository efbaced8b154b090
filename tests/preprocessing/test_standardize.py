"""Standardising is right at any scale and offset, by chunks as at once, judged by exact arithmetic."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest

from deepmath.preprocessing import Standardize

EPS = 2.0**-52
SCALES = [10.0**i for i in range(-30, 20)]
ROWS = 100


def data(scale, offset, dtype, seed=0):
    """One column: normal numbers of this scale around the offset, as dtype holds them."""
    rng = np.random.default_rng(seed)
    return (offset + scale * rng.standard_normal((ROWS, 1))).astype(dtype)


def exact_moments(x):
    """Mean and variance of the numbers as they are, without rounding."""
    numbers = [Fraction(float(v)) for v in x.reshape(-1)]
    mean = sum(numbers) / len(numbers)
    return mean, sum((v - mean) ** 2 for v in numbers) / len(numbers)


def is_rounding(mean, variance, n):
    return float(variance) <= n * EPS * float(variance) + (n * EPS * float(mean)) ** 2


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("offset", [0.0, 1.0, 1e9])
@pytest.mark.parametrize("scale", SCALES)
def test_mean_and_deviation_of_the_result(scale, offset, dtype):
    X = data(scale, offset, dtype)
    fitted = Standardize().fit(X)
    Z = fitted.apply(X)
    assert Z.dtype == X.dtype
    assert Z.shape == X.shape
    mean, variance = exact_moments(X)
    if is_rounding(mean, variance, ROWS):
        assert fitted.scale == [1.0]
        assert np.abs(Z).max() <= np.ptp(X)
    else:
        bound = 1e-14 if dtype == "float64" else 1e-7
        got_mean, got_variance = exact_moments(Z)
        assert abs(got_mean) <= bound
        assert abs(float(got_variance) ** 0.5 - 1.0) <= bound
    back = fitted.invert(Z)
    assert np.abs(back - X).max() <= 4 * np.finfo(dtype).eps * np.abs(X).max()

    parts = [X[:1], X[1:8], X[8:58], X[58:]]
    by_chunk = Standardize().fit_batches(parts)
    merged = Standardize().fit(X[:40]).merge(Standardize().fit(X[40:]))
    for other in (by_chunk, merged):
        moved = Fraction(float(other.moments.mean[0])) + Fraction(float(other.moments.rest[0])) - mean
        assert abs(moved) <= 1e-12 * float(fitted.scale[0])
        np.testing.assert_allclose(other.scale, fitted.scale, rtol=1e-12)
        np.testing.assert_allclose(other.apply(X), Z, rtol=0, atol=1e-12 if dtype == "float64" else 5e-7)


@pytest.mark.parametrize("average", [1e-10, 1.0, 1e10])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scikit_learn_agrees_on_what_is_constant(average, dtype):
    """Its own test of near-constant features: two values, scale apart, on one side and on the other."""
    sklearn = pytest.importorskip("sklearn.preprocessing", reason="scikit-learn is the judge")
    X = np.empty((ROWS, len(SCALES)), dtype)
    X[: ROWS // 2], X[ROWS // 2 :] = average + np.asarray(SCALES), average - np.asarray(SCALES)
    fitted, judge = Standardize().fit(X), sklearn.StandardScaler().fit(X)
    varied = np.asarray(SCALES) != 1.0
    np.testing.assert_array_equal((fitted.scale == 1.0)[varied], (judge.scale_ == 1.0)[varied])
    np.testing.assert_allclose(fitted.scale, judge.scale_, rtol=1e-6 if dtype == "float32" else 1e-10)


def test_scikit_learn_agrees_on_ordinary_data():
    sklearn = pytest.importorskip("sklearn.preprocessing", reason="scikit-learn is the judge")
    X = np.random.default_rng(3).lognormal(size=(57, 9)) * np.logspace(-3, 5, 9)
    X[:, 4] = 7.0
    np.testing.assert_allclose(
        Standardize().fit(X).apply(X), sklearn.StandardScaler().fit_transform(X), rtol=1e-11, atol=1e-13
    )


@pytest.mark.parametrize("offset", [0.0, 1e9, 1e300])
def test_mpmath_agrees(offset):
    X = offset + np.random.default_rng(1).standard_normal((31, 1)) * max(1.0, offset * 1e-3)
    with mpmath.workdps(60):
        numbers = [mpmath.mpf(float(v)) for v in X[:, 0]]
        mean = mpmath.fsum(numbers) / len(numbers)
        std = mpmath.sqrt(mpmath.fsum((v - mean) ** 2 for v in numbers) / len(numbers))
        expected = [float((v - mean) / std) for v in numbers]
    np.testing.assert_allclose(Standardize().fit(X).apply(X)[:, 0], expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9 + 1 / 3, -1e-310, 1e300])
@pytest.mark.parametrize("rows", [1, 2, 3, 1000])
def test_constant_data_and_one_row_give_exact_zeros(value, rows):
    X = np.full((rows, 2), value)
    for fitted in (Standardize().fit(X), Standardize().fit_batches([X, X, X[:1]])):
        assert not np.any(fitted.apply(X))
        np.testing.assert_array_equal(fitted.invert(np.zeros((1, 2))), X[:1])


def test_blocks_are_merged(monkeypatch):
    from deepmath.preprocessing import inputs

    X = np.random.default_rng(2).standard_normal((1000, 3)) + 1e6
    whole = Standardize().fit(X)
    monkeypatch.setattr(inputs, "BLOCK", 30)
    parts = Standardize().fit(X)
    np.testing.assert_allclose(parts.scale, whole.scale, rtol=1e-13)
    np.testing.assert_allclose(parts.apply(X), whole.apply(X), atol=1e-12)
    assert parts.apply(X[:0]).shape == (0, 3)


def test_a_fitted_value_never_changes_and_inputs_are_not_touched():
    X = np.random.default_rng(2).standard_normal((50, 3))
    kept = X.copy()
    fitted = Standardize().fit(X)
    before = {n: v.copy() for n, v in fitted.values().items()}
    fitted.partial_fit(X * 2), fitted.merge(Standardize().fit(X * 3)), fitted.apply(X)
    assert all(np.array_equal(before[n], v) for n, v in fitted.values().items())
    np.testing.assert_array_equal(X, kept)


def test_the_fit_sees_only_what_it_is_given():
    train, test = np.asarray([[0.0], [2.0]]), np.asarray([[100.0]])
    fitted = Standardize().fit(train)
    assert fitted.apply(test).tolist() == [[99.0]]
