"""Preprocessing: what is done to the data before a network sees them, learnt from the training part only.

A description is fitted once; the fitted value is applied to every part of the data, and is saved as float64 arrays.

>>> from deepmath.preprocessing import Standardize
>>> fitted = Standardize().fit([[1.0], [3.0]])
>>> fitted.apply([[5.0]])
array([[3.]])
"""

from deepmath.preprocessing.chain import Chain
from deepmath.preprocessing.encode import (
    EncodeTable,
    TableColumns,
    behind_table,
    encoded_first,
    preprocessing_of,
    without_table,
)
from deepmath.preprocessing.files import pack, unpack
from deepmath.preprocessing.min_max import MinMax
from deepmath.preprocessing.smooth_clip import SmoothClip
from deepmath.preprocessing.standardize import Standardize
from deepmath.preprocessing.transform import Fitted, Transform
from deepmath.preprocessing.whitening import PCAWhitening, ZCAWhitening

__all__ = [
    "Chain",
    "EncodeTable",
    "Fitted",
    "MinMax",
    "PCAWhitening",
    "SmoothClip",
    "Standardize",
    "TableColumns",
    "Transform",
    "ZCAWhitening",
    "behind_table",
    "encoded_first",
    "pack",
    "preprocessing_of",
    "unpack",
    "without_table",
]
