"""Split rows into training, dev and test parts, by chance or class by class."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import array_api_compat
import numpy as np
from numpy.typing import NDArray

from deepmath.datasets import arguments
from deepmath.errors import ConfigError
from deepmath.formulas.random import epoch_order

Indices: TypeAlias = NDArray[np.int64]

EPOCH = 0xDA7B0000
"""The epoch number of the orders drawn here: no training and no synthetic data set reaches it."""

_ROWS, _CLASSES, _DEV = 0, 1, 2


def split(n: int, test: float = 0.2, seed: int = 0) -> tuple[Indices, Indices]:
    """Row numbers of a training and a test part, drawn without regard to labels.

    `test` in (0, 1) is the share of the test part, which gets round(test n) rows; each part keeps at
    least one.

    Returns:
        Two int64 arrays, each in shuffled order; together they hold 0 ... n - 1 once.

    Raises:
        ConfigError: n < 2, or `test` or `seed` is outside its range.

    >>> train, test = split(10, 0.3)
    >>> len(train), len(test), sorted([*train.tolist(), *test.tolist()])
    (7, 3, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    """
    n, size, seed = _arguments("split", n, test, seed)
    order = epoch_order(seed, EPOCH + _ROWS, n)
    return order[size:], order[:size]


def stratified_split(y: Any, test: float = 0.2, seed: int = 0) -> tuple[Indices, Indices]:
    """Row numbers of a training and a test part in which each class has its share.

    The test part gets t = round(test n) rows, each part at least one. Of a class with c rows it gets
    t c / n rounded down; the rows that are still missing go to the classes with the largest remainders,
    chance deciding between equal ones. So every class is within one row of its share, and labels that
    are all different give a plain random split.

    Args:
        y: labels [n], or [n, k] where equal rows are one class (one-hot labels, for one), of any library.
            They are compared on the host.
        test: share of the test part, in (0, 1).
        seed: 0 to 2^32 - 1.

    Returns:
        Two int64 arrays, each in shuffled order; together they hold 0 ... n - 1 once.

    Raises:
        ConfigError: y has another number of axes or fewer than two rows, or an argument is outside its range.

    >>> train, test = stratified_split(["a"] * 6 + ["b"] * 4, 0.5)
    >>> int((test < 6).sum()), int((test >= 6).sum())
    (3, 2)
    """
    codes = _codes("stratified_split", y)
    _, size, seed = _arguments("stratified_split", len(codes), test, seed)
    return _by_class(codes, size, seed, EPOCH)


def train_test_split(
    X: Any, y: Any, test: float = 0.2, seed: int = 0, stratify: bool = True
) -> tuple[Any, Any, Any, Any]:
    """Training and test rows of X and y: X_train, X_test, y_train, y_test.

    With `stratify` each class of y keeps its share (see `stratified_split`); without it rows are drawn
    by chance. X [n, ...] and y [n, ...] are arrays of any library, and the parts are arrays of the same
    library and device; lists become NumPy arrays.

    Raises:
        ConfigError: X and y differ in length, or an argument is outside its range.

    >>> X_train, X_test, y_train, y_test = train_test_split([[1.0], [2.0], [3.0], [4.0]], [0, 0, 1, 1], test=0.5)
    >>> X_train.shape, sorted(y_train.tolist()), sorted(y_test.tolist())
    ((2, 1), [0, 1], [0, 1])
    """
    X, y, n = _pair("train_test_split", X, y)
    train, held = stratified_split(y, test, seed) if stratify else split(n, test, seed)
    return _rows(X, train), _rows(X, held), _rows(y, train), _rows(y, held)


class Sizes(NamedTuple):
    """Numbers of rows."""

    train: int
    dev: int
    test: int


class Parts(NamedTuple):
    """Rows that train, rows that choose between trained models, and rows that judge the one chosen."""

    X_train: Any
    X_dev: Any
    X_test: Any
    y_train: Any
    y_dev: Any
    y_test: Any


def split_sizes(m: int) -> Sizes:
    """How many of m rows train, choose and judge: the more rows there are, the smaller the shares that measure.

    Up to 10,000 rows 60, 20 and 20 %; up to a million 98, 1 and 1 %; above that 99.5, 0.25 and 0.25 %. Dev and
    test get their share rounded (a half up), at least one row, and the rest trains.

    Source: A. Ng, "Machine Learning Yearning" and "Improving Deep Neural Networks", lecture "Train / dev / test sets".

    Raises:
        ConfigError: m is not a whole number from 3 to 2^31 - 1.

    >>> split_sizes(1000), split_sizes(10**6)
    (Sizes(train=600, dev=200, test=200), Sizes(train=980000, dev=10000, test=10000))
    """
    m = arguments.whole("split_sizes", "m", m, 3, 2**31 - 1)
    four_hundredths = 80 if m <= 10**4 else 4 if m <= 10**6 else 1
    held = max((four_hundredths * m + 200) // 400, 1)
    return Sizes(m - 2 * held, held, held)


def train_dev_test_split(X: Any, y: Any, seed: int = 0, stratify: bool = True) -> Parts:
    """Rows of X and y in three parts of the sizes that `split_sizes` names.

    With `stratify` each class of y keeps its share in each part, within one row for the test part and two for the
    others (see `stratified_split`); targets that are all different are drawn by chance. X [n, ...] and y [n, ...]
    are arrays of any library, and the parts are arrays of the same library and device; lists become NumPy arrays.

    Raises:
        ConfigError: X and y differ in length, have fewer than three rows, or `seed` is outside its range.

    >>> X_train, X_dev, X_test, y_train, y_dev, y_test = train_dev_test_split([[i] for i in range(10)], [0, 1] * 5)
    >>> X_train.shape, sorted(y_dev.tolist()), sorted(y_test.tolist())
    ((6, 1), [0, 1], [0, 1])
    """
    who = "train_dev_test_split"
    X, y, n = _pair(who, X, y)
    n, seed = arguments.rows(who, n, 3), arguments.seed(who, seed)
    sizes = split_sizes(n)
    if stratify:
        codes = _codes(who, y)
        rest, test = _by_class(codes, sizes.test, seed, EPOCH)
        train, dev = (rest[rows] for rows in _by_class(codes[rest], sizes.dev, seed, EPOCH + _DEV))
    else:
        test, dev, train = np.split(epoch_order(seed, EPOCH + _ROWS, n), [sizes.test, sizes.test + sizes.dev])
    return Parts(*(_rows(a, part) for a in (X, y) for part in (train, dev, test)))


def _codes(who: str, y: Any) -> Indices:
    """The classes of labels [n] or rows [n, k], numbered from 0."""
    labels = np.asarray(_on_host(y))
    if labels.ndim not in (1, 2):
        msg = f"{who}: y must be labels [n] or one-hot rows [n, k], got shape {labels.shape}"
        raise ConfigError(msg)
    codes: Indices = np.unique(labels, axis=0, return_inverse=True)[1].reshape(-1)
    return codes


def _by_class(codes: Indices, size: int, seed: int, epoch: int) -> tuple[Indices, Indices]:
    """Row numbers of the rest and of a part of `size` rows; `epoch` and the number after it are drawn from."""
    n, counts = len(codes), np.bincount(codes)
    quota, remainder = np.divmod(counts * size, n)
    by_chance = epoch_order(seed, epoch + _CLASSES, len(counts))
    largest = by_chance[np.argsort(-remainder[by_chance], kind="stable")]
    quota[largest[: size - int(quota.sum())]] += 1

    order = epoch_order(seed, epoch + _ROWS, n)
    classes = codes[order]
    grouped = np.argsort(classes, kind="stable")
    place = np.empty(n, np.int64)
    place[grouped] = np.arange(n) - np.repeat(np.cumsum(counts) - counts, counts)
    chosen = place < quota[classes]
    return order[~chosen], order[chosen]


def _pair(who: str, X: Any, y: Any) -> tuple[Any, Any, int]:
    """X and y as arrays with one row for each sample, and the number of rows."""
    X, y = _array(X), _array(y)
    lengths = [a.shape[0] if a.ndim else 0 for a in (X, y)]
    if lengths[0] != lengths[1]:
        msg = f"{who}: X and y must have one row for each sample, got {lengths[0]} and {lengths[1]} rows"
        raise ConfigError(msg)
    return X, y, lengths[0]


def _arguments(who: str, n: int, test: float, seed: int) -> tuple[int, int, int]:
    """The number of rows, the size of the test part, and the seed."""
    n, seed = arguments.rows(who, n, 2), arguments.seed(who, seed)
    size = round(arguments.number(who, "test", test, "in (0, 1)") * n)
    return n, min(max(size, 1), n - 1), seed


def _array(a: Any) -> Any:
    return a if array_api_compat.is_array_api_obj(a) else np.asarray(a)


def _on_host(a: Any) -> Any:
    """An array that NumPy can read; torch and CuPy refuse to hand over what lies on a GPU."""
    if array_api_compat.is_torch_array(a) or array_api_compat.is_cupy_array(a):
        return array_api_compat.to_device(a, "cpu")
    return a


def _rows(a: Any, indices: Indices) -> Any:
    xp = array_api_compat.array_namespace(a)
    return xp.take(a, xp.asarray(indices, device=array_api_compat.device(a)), axis=0)
