"""Splits: every row once, exact sizes, each class with its share."""

import array_api_strict
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepmath.datasets import split, stratified_split, train_test_split
from deepmath.errors import ConfigError

SHARES = st.floats(0.001, 0.999)
SEEDS = st.integers(0, 2**32 - 1)


def size_of_test(test, n):
    return min(max(round(test * n), 1), n - 1)


@given(n=st.integers(2, 300), test=SHARES, seed=SEEDS)
def test_split_holds_every_row_once(n, test, seed):
    train, held = split(n, test, seed)
    assert sorted([*train, *held]) == list(range(n))
    assert len(held) == size_of_test(test, n)
    assert train.dtype == held.dtype == np.int64


@given(y=st.lists(st.integers(0, 4), min_size=2, max_size=200), test=SHARES, seed=SEEDS)
def test_stratified_split_gives_each_class_its_share(y, test, seed):
    y = np.array(y)
    train, held = stratified_split(y, test, seed)
    n, size = len(y), size_of_test(test, len(y))
    assert sorted([*train, *held]) == list(range(n))
    assert len(held) == size
    for label in np.unique(y):
        share = size * (y == label).sum() / n
        assert abs((y[held] == label).sum() - share) < 1.0


def test_largest_remainders_get_the_rows_left_over():
    y = [0] * 5 + [1] * 3 + [2] * 2  # quotas at 4 test rows: 2.0, 1.2, 0.8
    for seed in range(20):
        _, held = stratified_split(y, 0.4, seed)
        assert np.bincount(np.array(y)[held], minlength=3).tolist() == [2, 1, 1]


def test_equal_remainders_are_drawn_by_chance():
    held = {int(stratified_split(range(10), 0.1, seed)[1][0]) for seed in range(100)}
    assert held == set(range(10))


def test_labels_may_be_text_or_one_hot_and_give_the_same_split():
    codes = np.array([0, 1, 2, 1, 0, 2, 2, 1, 0, 0, 1, 2])
    expected = stratified_split(codes, 0.25, 7)
    for y in (np.array(["a", "b", "c"])[codes], codes.tolist(), codes[:, None]):
        for ours, theirs in zip(stratified_split(y, 0.25, 7), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    _, held = stratified_split(np.eye(3)[codes], 0.25, 7)
    assert np.bincount(codes[held]).tolist() == [1, 1, 1]


def test_a_seed_fixes_the_split_and_orders_are_shuffled():
    y = np.arange(400) % 4
    train, held = stratified_split(y, 0.25, 5)
    np.testing.assert_array_equal(held, stratified_split(y, 0.25, 5)[1])
    assert not np.array_equal(np.sort(held), np.sort(stratified_split(y, 0.25, 6)[1]))
    for part in (train, held, *split(400, 0.25)):
        # About half of the steps go up in a random order; the bounds are five standard deviations away.
        assert abs(np.mean(np.diff(part) > 0) - 0.5) < 0.15


def test_train_test_split_keeps_rows_together():
    X = np.arange(40.0).reshape(20, 2)
    y = np.arange(20) % 2
    X_train, X_test, y_train, y_test = train_test_split(X, y, test=0.3, seed=1)
    assert (len(X_train), len(X_test)) == (14, 6)
    for part, labels in ((X_train, y_train), (X_test, y_test)):
        np.testing.assert_array_equal(part[:, 0] // 2 % 2, labels)
    assert np.bincount(y_test).tolist() == [3, 3]


def test_train_test_split_without_stratify_is_split():
    X = np.arange(30)
    _, X_test, _, y_test = train_test_split(X, X % 3, test=0.2, seed=9, stratify=False)
    np.testing.assert_array_equal(X_test, split(30, 0.2, 9)[1])
    np.testing.assert_array_equal(y_test, X_test % 3)


def test_arrays_of_other_libraries_stay_in_their_library():
    strict = array_api_strict.asarray(np.arange(10.0)[:, None])
    y = [0, 1] * 5
    X_train, X_test, y_train, _ = train_test_split(strict, y, test=0.2)
    assert type(X_train) is type(X_test) is type(strict)
    assert isinstance(y_train, np.ndarray)
    expected = train_test_split(np.arange(10.0)[:, None], y, test=0.2)
    np.testing.assert_array_equal(np.asarray(X_train), expected[0])
    torch = pytest.importorskip("torch")
    _, _, _, y_test = train_test_split(torch.zeros((10, 1)), torch.tensor(y), test=0.2)
    assert y_test.tolist() == expected[3].tolist()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: split(1), "split: n must be a whole number from 2 to 2147483647, got 1"),
        (lambda: split(9, 0.0), "split: test must be a number in (0, 1), got 0.0"),
        (lambda: split(9, 1), "split: test must be a number in (0, 1), got 1"),
        (lambda: split(9, 0.5, -1), "split: seed must be a whole number from 0 to 4294967295, got -1"),
        (lambda: stratified_split([0, 1], 2.0), "stratified_split: test must be a number in (0, 1), got 2.0"),
        (lambda: stratified_split([0]), "stratified_split: n must be a whole number from 2 to 2147483647, got 1"),
        (
            lambda: stratified_split(np.zeros((2, 2, 2))),
            "stratified_split: y must be labels [n] or one-hot rows [n, k], got shape (2, 2, 2)",
        ),
        (
            lambda: stratified_split(np.float64(1.0)),
            "stratified_split: y must be labels [n] or one-hot rows [n, k], got shape ()",
        ),
        (
            lambda: train_test_split([[1.0], [2.0]], [1, 2, 3]),
            "train_test_split: X and y must have one row for each sample, got 2 and 3 rows",
        ),
    ],
)
def test_arguments_are_checked(call, message):
    with pytest.raises(ConfigError) as caught:
        call()
    assert str(caught.value) == message
