"""circles, moons, spirals and xor: where the points lie, and what a seed fixes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepmath.datasets import circles, moons, spirals, xor
from deepmath.errors import ConfigError
from deepmath.formulas.random import normals

MAKERS = pytest.mark.parametrize("make", [circles, moons, spirals, xor])


def by_rows(a):
    return a[np.lexsort(a.T)]


@MAKERS
def test_shapes_and_types(make):
    X, y = make(n=101, noise=0.1)
    assert (X.shape, X.dtype, y.shape, y.dtype) == ((101, 2), np.float64, (101,), np.int64)
    assert abs(np.bincount(y, minlength=2)[0] - 50.5) <= 1.0


@MAKERS
def test_a_seed_fixes_the_data_and_another_changes_them(make):
    X, y = make(n=40, noise=0.1, seed=3)
    X_again, y_again = make(n=40, noise=0.1, seed=3)
    X_other, _ = make(n=40, noise=0.1, seed=4)
    np.testing.assert_array_equal(X, X_again)
    np.testing.assert_array_equal(y, y_again)
    assert not np.isin(X, X_other).any()


def test_xor_is_the_truth_table():
    X, y = xor()
    assert X.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert y.tolist() == [0, 1, 1, 0]


def test_xor_goes_round_the_table_with_noise():
    X, y = xor(n=10, noise=0.05)
    table, labels = xor()
    rows = np.arange(10) % 4
    np.testing.assert_array_equal(y, labels[rows])
    distance = np.abs(X - table[rows])
    assert distance.min() > 0.0
    assert distance.max() < 0.3


@given(n=st.integers(2, 60), factor=st.floats(0.0, 0.99), seed=st.integers(0, 2**32 - 1))
def test_circles_without_noise_lie_on_their_radius(n, factor, seed):
    X, y = circles(n=n, noise=0.0, factor=factor, seed=seed)
    np.testing.assert_allclose(np.hypot(X[:, 0], X[:, 1]), np.where(y == 0, 1.0, factor), atol=1e-15)
    assert (y == 0).sum() == n // 2


@given(n=st.integers(2, 60), seed=st.integers(0, 2**32 - 1))
def test_moons_without_noise_lie_on_their_half_circle(n, seed):
    X, y = moons(n=n, noise=0.0, seed=seed)
    centre = np.where((y == 0)[:, None], [[0.0, 0.0]], [[1.0, 0.5]])
    np.testing.assert_allclose(np.hypot(*(X - centre).T), 1.0, atol=1e-15)
    assert (np.where(y == 0, X[:, 1], 0.5 - X[:, 1]) >= -1e-15).all()
    assert (y == 0).sum() == n // 2


@given(n=st.integers(9, 80), turns=st.floats(0.0, 3.0), classes=st.integers(2, 9), seed=st.integers(0, 2**32 - 1))
def test_spirals_without_noise_turn_with_their_radius(n, turns, classes, seed):
    X, y = spirals(n=n, noise=0.0, turns=turns, classes=classes, seed=seed)
    assert np.bincount(y).tolist() == [n // classes + (k >= classes - n % classes) for k in range(classes)]
    radius = np.hypot(*X.T)
    for k in range(classes):
        of_arm = np.sort(radius[y == k])
        np.testing.assert_allclose(of_arm, np.arange(1, len(of_arm) + 1) / len(of_arm), rtol=1e-14)
    # Turned back by its radius, each arm is a ray.
    straight = (X[:, 0] + 1j * X[:, 1]) * np.exp(-2j * np.pi * (turns * radius + y / classes))
    np.testing.assert_allclose(straight, radius, atol=1e-13)


@pytest.mark.parametrize("n", [2, 7, 100])
def test_points_are_those_of_scikit_learn(n):
    reference = pytest.importorskip("sklearn.datasets")
    for ours, theirs in [
        (circles(n=n, noise=0.0, factor=0.3), reference.make_circles(n, factor=0.3, shuffle=False)),
        (moons(n=n, noise=0.0), reference.make_moons(n, shuffle=False)),
    ]:
        for label in (0, 1):
            np.testing.assert_allclose(
                by_rows(ours[0][ours[1] == label].round(9)), by_rows(theirs[0][theirs[1] == label].round(9)), atol=2e-9
            )


@pytest.mark.parametrize("make", [circles, moons, spirals])
def test_rows_are_shuffled(make):
    _, y = make(n=1000)
    runs = 1 + np.count_nonzero(np.diff(y))
    assert abs(runs - 501) < 80  # five standard deviations of the number of runs in a random order


def test_noise_has_its_standard_deviation_and_no_offset():
    quiet, noisy = circles(n=5000, noise=0.0), circles(n=5000, noise=0.1)
    difference = noisy[0] - quiet[0]
    assert abs(difference.std() - 0.1) < 0.004
    assert np.abs(difference.mean(axis=0)).max() < 0.007


def test_noise_is_not_made_of_the_numbers_of_initial_weights():
    X, _ = xor(n=8, noise=1.0)
    noise = X - np.tile(xor()[0], (2, 1))
    for layer in range(20):
        for parameter in range(3):
            weights = normals(0, 16, layer=layer, parameter=parameter)
            assert np.abs(noise.ravel()[:, None] - weights).min() > 1e-12


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (circles, {"n": 1}, "circles: n must be a whole number from 2 to 2147483647, got 1"),
        (circles, {"n": 10.0}, "circles: n must be a whole number from 2 to 2147483647, got 10.0"),
        (circles, {"n": True}, "circles: n must be a whole number from 2 to 2147483647, got True"),
        (moons, {"n": 2**31}, "moons: n must be a whole number from 2 to 2147483647, got 2147483648"),
        (xor, {"n": 3}, "xor: n must be a whole number from 4 to 2147483647, got 3"),
        (circles, {"noise": -0.1}, "circles: noise must be a number >= 0, got -0.1"),
        (moons, {"noise": float("nan")}, "moons: noise must be a number >= 0, got nan"),
        (xor, {"noise": float("inf")}, "xor: noise must be a number >= 0, got inf"),
        (moons, {"noise": "0.1"}, "moons: noise must be a number >= 0, got '0.1'"),
        (moons, {"noise": None}, "moons: noise must be a number >= 0, got None"),
        (circles, {"factor": 1.0}, "circles: factor must be a number in [0, 1), got 1.0"),
        (spirals, {"turns": -1}, "spirals: turns must be a number >= 0, got -1"),
        (spirals, {"classes": 1}, "spirals: classes must be a whole number from 2 to 1000, got 1"),
        (spirals, {"n": 2, "classes": 3}, "spirals: n must be a whole number from 3 to 2147483647, got 2"),
        (circles, {"seed": -1}, "circles: seed must be a whole number from 0 to 4294967295, got -1"),
        (moons, {"seed": 2**32}, "moons: seed must be a whole number from 0 to 4294967295, got 4294967296"),
    ],
)
def test_arguments_are_checked(make, options, message):
    with pytest.raises(ConfigError) as caught:
        make(**options)
    assert str(caught.value) == message


def test_numpy_numbers_are_numbers():
    X, _ = circles(n=np.int32(4), noise=np.float32(0.0), seed=np.uint8(1))
    assert X.shape == (4, 2)
