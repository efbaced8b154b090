"""split_sizes and train_dev_test_split: the article's sizes, every row once, each class with its share."""

import array_api_strict
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepmath.datasets import houses, split_sizes, stratified_split, train_dev_test_split
from deepmath.errors import ConfigError

SEEDS = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize(
    ("m", "sizes"),
    [
        (3, (1, 1, 1)),
        (5, (3, 1, 1)),
        (8, (4, 2, 2)),
        (100, (60, 20, 20)),
        (10_000, (6_000, 2_000, 2_000)),
        (10_001, (9_801, 100, 100)),
        (10_050, (9_848, 101, 101)),
        (1_000_000, (980_000, 10_000, 10_000)),
        (1_000_001, (995_001, 2_500, 2_500)),
        (4_000_000, (3_980_000, 10_000, 10_000)),
    ],
)
def test_sizes(m, sizes):
    assert tuple(split_sizes(m)) == sizes


@given(st.integers(3, 2**31 - 1))
def test_sizes_add_up_and_are_within_half_a_row_of_their_share(m):
    sizes = split_sizes(m)
    share = 0.2 if m <= 10**4 else 0.01 if m <= 10**6 else 0.0025
    assert sum(sizes) == m
    assert min(sizes) >= 1
    assert sizes.dev == sizes.test
    assert abs(sizes.test - share * m) <= 0.5 + 1e-6 or sizes.test == 1


@given(st.lists(st.integers(0, 4), min_size=3, max_size=300), SEEDS, st.booleans())
def test_every_row_lies_in_one_part(y, seed, stratify):
    y = np.array(y)
    X = np.arange(len(y)) * 10
    parts = train_dev_test_split(X, y, seed, stratify)
    rows = parts[:3]
    assert [len(r) for r in rows] == list(split_sizes(len(y)))
    assert sorted(np.concatenate(rows) // 10) == list(range(len(y)))
    for part, labels in zip(rows, parts[3:], strict=True):
        np.testing.assert_array_equal(labels, y[part // 10])


@given(st.lists(st.integers(0, 4), min_size=3, max_size=300), SEEDS)
def test_each_class_has_its_share_of_each_part(y, seed):
    y = np.array(y)
    parts = train_dev_test_split(y, y, seed)
    for label in np.unique(y):
        for name, allowed in (("train", 2.0), ("dev", 2.0), ("test", 1.0)):
            part = getattr(parts, f"y_{name}")
            assert abs((part == label).sum() - len(part) * (y == label).mean()) < allowed


def test_parts_have_names_and_order():
    X, y = np.arange(20.0).reshape(10, 2), np.arange(10) % 2
    parts = train_dev_test_split(X, y, seed=3)
    assert parts._fields == ("X_train", "X_dev", "X_test", "y_train", "y_dev", "y_test")
    X_train, X_dev, X_test, y_train, y_dev, y_test = parts
    assert (X_train.shape, X_dev.shape, X_test.shape) == ((6, 2), (2, 2), (2, 2))
    assert [sorted(part) for part in (y_train, y_dev, y_test)] == [[0, 0, 0, 1, 1, 1], [0, 1], [0, 1]]
    np.testing.assert_array_equal(X_test[:, 0] // 2, stratified_split(y, 0.2, 3)[1])


def test_a_seed_fixes_the_parts():
    X = np.arange(200)
    for stratify in (True, False):
        first = train_dev_test_split(X, X % 4, 1, stratify)
        again = train_dev_test_split(X, X % 4, 1, stratify)
        other = train_dev_test_split(X, X % 4, 2, stratify)
        for a, b, c in zip(first, again, other, strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.shape == c.shape
        assert set(first.X_test) != set(other.X_test)
        assert set(first.X_dev) != set(other.X_dev)


def test_numbers_as_targets_are_drawn_by_chance():
    X, y = houses(50, targets=2)
    parts = train_dev_test_split(X, y)
    assert (parts.X_train.shape, parts.y_dev.shape) == ((30, 5), (10, 2))
    table = {tuple(x): tuple(t) for x, t in zip(X.tolist(), y.tolist(), strict=True)}
    for x, t in zip(parts.X_test.tolist(), parts.y_test.tolist(), strict=True):
        assert table[tuple(x)] == tuple(t)


def test_arrays_of_other_libraries_stay_in_their_library():
    parts = train_dev_test_split(array_api_strict.asarray(np.eye(10)), [0, 1] * 5)
    assert type(parts.X_dev) is type(array_api_strict.asarray([1]))
    assert isinstance(parts.y_dev, np.ndarray)


WHO = "train_dev_test_split"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: split_sizes(2), "split_sizes: m must be a whole number from 3 to 2147483647, got 2"),
        (lambda: split_sizes(10.0), "split_sizes: m must be a whole number from 3 to 2147483647, got 10.0"),
        (
            lambda: train_dev_test_split([[1], [2]], [0, 1]),
            f"{WHO}: n must be a whole number from 3 to 2147483647, got 2",
        ),
        (
            lambda: train_dev_test_split([1, 2, 3], [0, 1]),
            f"{WHO}: X and y must have one row for each sample, got 3 and 2 rows",
        ),
        (
            lambda: train_dev_test_split([1, 2, 3], [0, 1, 1], seed=-1),
            f"{WHO}: seed must be a whole number from 0 to 4294967295, got -1",
        ),
        (
            lambda: train_dev_test_split([1, 2, 3], np.zeros((3, 1, 1))),
            f"{WHO}: y must be labels [n] or one-hot rows [n, k], got shape (3, 1, 1)",
        ),
        (lambda: train_dev_test_split(1, 2), f"{WHO}: n must be a whole number from 3 to 2147483647, got 0"),
    ],
)
def test_arguments_are_checked(call, message):
    with pytest.raises(ConfigError) as caught:
        call()
    assert str(caught.value) == message
