"""Data sets: synthetic ones, handwritten digits, CSV files, and how to split them.

>>> from deepmath import datasets
>>> X, y = datasets.circles(n=1000, noise=0.1, factor=0.2)
>>> X_train, X_test, y_train, y_test = datasets.train_test_split(X, y, test=0.1)
>>> X_train.shape, X_test.shape
((900, 2), (100, 2))
"""

from deepmath.datasets.handwritten import digits
from deepmath.datasets.loading import Dataset, load
from deepmath.datasets.splits import split, stratified_split, train_test_split
from deepmath.datasets.synthetic import circles, moons, xor
from deepmath.datasets.tables import Table, read_csv

__all__ = [
    "Dataset",
    "Table",
    "circles",
    "digits",
    "load",
    "moons",
    "read_csv",
    "split",
    "stratified_split",
    "train_test_split",
    "xor",
]
