"""Min-max scaling: ends are hit exactly, constant features give low."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from deepmath.errors import ConfigError, NumericError
from deepmath.preprocessing import MinMax

NUMBERS = arrays(np.float64, st.tuples(st.integers(1, 12), st.integers(1, 3)), elements=st.floats(-1e150, 1e150))


@given(NUMBERS, st.sampled_from([(0.0, 1.0), (-1.0, 1.0), (0.1, 0.7), (-3, 1e6)]))
def test_the_training_part_fills_the_interval(X, ends):
    low, high = ends
    fitted = MinMax(low, high).fit(X)
    Y = fitted.apply(X)
    constant = X.min(axis=0) == X.max(axis=0)
    slack = 4e-16 * max(abs(low), abs(high))
    assert np.all((low - slack <= Y) & (slack + high >= Y))
    np.testing.assert_array_equal(Y.min(axis=0), low)
    np.testing.assert_array_equal(Y.max(axis=0), np.where(constant, low, high))
    np.testing.assert_array_equal(fitted.apply(X[:, ::1].copy(order="F")), Y)
    back = fitted.invert(Y)
    assert np.all(np.abs(back - X) <= 1e-14 * np.abs(X).max(axis=0) * max(1.0, max(map(abs, ends)) / (high - low)))


@given(NUMBERS, st.data())
def test_by_chunks_it_is_the_same(X, data):
    cut = data.draw(st.integers(0, len(X)))
    parts = [p for p in (X[:cut], X[cut:]) if len(p)]
    whole, chunks = MinMax().fit(X), MinMax().fit_batches(parts)
    for name, value in whole.values().items():
        np.testing.assert_array_equal(chunks.values()[name], value)


def test_scikit_learn_agrees():
    sklearn = pytest.importorskip("sklearn.preprocessing", reason="scikit-learn is the judge")
    X = np.random.default_rng(3).lognormal(size=(57, 9)) * np.logspace(-3, 5, 9)
    X[:, 4] = 7.0
    new = X * 1.5 - 2.0
    judge = sklearn.MinMaxScaler((-1, 3)).fit(X)
    fitted = MinMax(-1, 3).fit(X)
    np.testing.assert_allclose(fitted.apply(X), judge.transform(X), rtol=1e-12, atol=1e-12)
    others = [c for c in range(9) if c != 4]  # new data in a constant column: low here, x + low - min there
    np.testing.assert_allclose(fitted.apply(new)[:, others], judge.transform(new)[:, others], rtol=1e-11, atol=1e-11)
    assert set(fitted.apply(new)[:, 4]) == {-1.0}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1e-30, 1e-10, 1.0, 1e19])
def test_small_ranges_are_ranges(scale, dtype):
    X = (np.linspace(-1, 1, 11)[:, None] * scale).astype(dtype)
    np.testing.assert_allclose(MinMax().fit(X).apply(X)[:, 0], np.linspace(0, 1, 11), atol=1e-6)


@pytest.mark.parametrize(
    ("ends", "text"),
    [
        ((1.0, 1.0), "MinMax: low must be below high; got low=1.0, high=1.0"),
        (("a", 1.0), "MinMax: low must be a number; got 'a'"),
        ((0.0, np.inf), "MinMax: high must be a number; got inf"),
    ],
)
def test_ends_are_checked(ends, text):
    with pytest.raises(ConfigError) as error:
        MinMax(*ends)
    assert str(error.value) == text


def test_a_range_that_overflows_is_named():
    with pytest.raises(NumericError, match=r"column 1 of X are too large: their differences must stay below 1.8e308"):
        MinMax().fit([[0.0, -1e308], [1.0, 1e308]])
