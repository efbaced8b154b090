"""The handwritten digits that lie in the package."""

from importlib import resources

import numpy as np
import pytest

from deepmath.datasets import digits


def test_shapes_types_and_ranges():
    X, y = digits()
    assert (X.shape, X.dtype, y.shape, y.dtype) == ((1797, 64), np.float64, (1797,), np.int64)
    assert (X.min(), X.max()) == (0.0, 16.0)
    np.testing.assert_array_equal(X, np.round(X))


def test_counts_are_those_of_the_source():
    # optdigits.names lists the number of images of each digit in the test set.
    assert np.bincount(digits()[1]).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_images_are_those_of_scikit_learn():
    reference = pytest.importorskip("sklearn.datasets").load_digits()
    X, y = digits()
    np.testing.assert_array_equal(X, reference.data)
    np.testing.assert_array_equal(y, reference.target)


def test_each_call_gives_arrays_of_its_own():
    first, _ = digits()
    first[:] = -1.0
    assert digits()[0].min() == 0.0


def test_the_file_is_small_and_says_where_it_comes_from():
    folder = resources.files("deepmath.datasets")
    assert len(folder.joinpath("digits.npz").read_bytes()) < 100_000
    text = folder.joinpath("digits.md").read_text(encoding="utf-8")
    for part in ("Alpaydin", "Kaynak", "10.24432/C50P49", "CC BY 4.0"):
        assert part in text
