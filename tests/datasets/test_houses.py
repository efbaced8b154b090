"""houses: sensible features, a price that follows from them, and what a seed fixes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepmath.datasets import HOUSE_FEATURES, HOUSE_TARGETS, houses
from deepmath.errors import ConfigError


def test_shapes_names_and_ranges():
    X, y = houses()
    assert (X.shape, X.dtype, y.shape, y.dtype) == ((1000, 5), np.float64, (1000,), np.float64)
    assert (HOUSE_FEATURES, HOUSE_TARGETS) == (("size", "rooms", "age", "distance", "garden"), ("price", "rent"))
    X, y = houses(20000, targets=2)
    assert not (X < [25, 1, 0, 0, 0]).any()
    assert not (X > [400, 12, 99, 50, 5000]).any()
    np.testing.assert_array_equal(X[:, 1:3], np.round(X[:, 1:3]))
    assert abs((X[:, 4] == 0).mean() - 0.4) < 0.02  # five standard deviations
    assert abs(np.median(X[:, 0]) - 100) < 2
    assert abs(np.median(X[:, 3]) - 8 * np.log(2)) < 0.3
    assert (y > 0).all()


@given(st.integers(1, 50), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_a_house_depends_on_its_number_and_the_seed_alone(n, seed, noise):
    X, y = houses(60, noise, seed, targets=2)
    first, price = houses(n, noise, seed)
    np.testing.assert_array_equal(first, X[:n])
    np.testing.assert_array_equal(price, y[:n, 0])
    np.testing.assert_array_equal(houses(n, 0.0, seed)[0], first)
    assert not np.isin(houses(n, noise, seed ^ 1)[0][:, 0], X[:, 0]).any()


def test_price_and_rent_are_those_of_the_docstring():
    X, y = houses(500, noise=0.0, seed=4, targets=2)
    for (size, rooms, age, distance, garden), (price, rent) in zip(X, y, strict=True):
        living = size * np.exp(-distance / 20) * (1 - 0.004 * age)
        assert price == pytest.approx(5000 * living + 8000 * rooms + 150 * garden, rel=1e-13)
        assert rent == pytest.approx(18 * living + 30 * rooms + 0.3 * garden, rel=1e-13)


def test_noise_is_a_share_of_the_price_and_its_own_for_the_rent():
    quiet, noisy = houses(5000, 0.0, targets=2)[1], houses(5000, 0.1, targets=2)[1]
    share = np.log(noisy / quiet)
    assert np.abs(share.std(axis=0) - 0.1).max() < 0.005
    assert np.abs(share.mean(axis=0)).max() < 0.007
    assert abs(np.corrcoef(share.T)[0, 1]) < 0.07


def test_a_straight_line_explains_most_of_the_price_but_not_all():
    X, y = houses(3000)
    design = np.column_stack([X, np.ones(len(X))])
    weights = np.linalg.lstsq(design, y, rcond=None)[0]
    left = np.var(y - design @ weights) / np.var(y)
    assert 0.02 < left < 0.2
    noise = np.var(y - houses(3000, noise=0.0)[1]) / np.var(y)
    assert noise < left / 2
    assert np.sign(weights[:5]).tolist() == [1, 1, -1, -1, 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "houses: n must be a whole number from 1 to 2147483647, got 0"),
        ({"noise": -1}, "houses: noise must be a number >= 0, got -1"),
        ({"targets": 3}, "houses: targets must be a whole number from 1 to 2, got 3"),
        ({"seed": 1.5}, "houses: seed must be a whole number from 0 to 4294967295, got 1.5"),
    ],
)
def test_arguments_are_checked(options, message):
    with pytest.raises(ConfigError) as caught:
        houses(**options)
    assert str(caught.value) == message
