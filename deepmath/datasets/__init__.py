"""Data sets: synthetic ones, digits, tables, NPZ and IDX files, sources larger than memory, labels, and splits.

>>> from deepmath import datasets
>>> X, y = datasets.circles(n=1000, noise=0.1, factor=0.2)
>>> X_train, X_test, y_train, y_test = datasets.train_test_split(X, y, test=0.1)
>>> X_train.shape, X_test.shape
((900, 2), (100, 2))
"""

from deepmath.data.sources import ArraySource, Source
from deepmath.datasets.handwritten import digits, mnist
from deepmath.datasets.housing import HOUSE_FEATURES, HOUSE_TARGETS, houses
from deepmath.datasets.idx import read_idx
from deepmath.datasets.labels import balanced_class_weight, one_hot, to_labels
from deepmath.datasets.loading import Dataset, load
from deepmath.datasets.npz import read_npz
from deepmath.datasets.sources import IdxSource, NpySource
from deepmath.datasets.splits import (
    Parts,
    Sizes,
    split,
    split_sizes,
    stratified_split,
    train_dev_test_split,
    train_test_split,
)
from deepmath.datasets.synthetic import circles, moons, spirals, xor
from deepmath.datasets.table_source import CsvSource, TableSource
from deepmath.datasets.tables import Table, read_csv

__all__ = [
    "HOUSE_FEATURES",
    "HOUSE_TARGETS",
    "ArraySource",
    "CsvSource",
    "Dataset",
    "IdxSource",
    "NpySource",
    "Parts",
    "Sizes",
    "Source",
    "Table",
    "TableSource",
    "balanced_class_weight",
    "circles",
    "digits",
    "houses",
    "load",
    "mnist",
    "moons",
    "one_hot",
    "read_csv",
    "read_idx",
    "read_npz",
    "spirals",
    "split",
    "split_sizes",
    "stratified_split",
    "to_labels",
    "train_dev_test_split",
    "train_test_split",
    "xor",
]
