"""Tables: data frames and files whose columns are numbers, categories, booleans, dates and text, with missing cells.

A `TableEncoder` finds the kind of each column of a training table and gives a `TableEncoding`, which turns every such
table into the numbers that a network takes, and is saved with the model as plain data.

>>> import pandas as pd
>>> from deepmath.tables import TableEncoder
>>> flats = pd.DataFrame({"size": [40, 55, 80], "balcony": ["yes", "no", None]})
>>> TableEncoder().fit(flats).apply(flats)
array([[40.,  1.,  0.],
       [55.,  0.,  0.],
       [80.,  0.,  1.]])
"""

from deepmath.tables.encoding import FittedTable, TableEncoder, TableEncoding
from deepmath.tables.frames import Frame, frame_of
from deepmath.tables.reading import TableScan, read_table, scan_table
from deepmath.tables.source import EncodedTable, encoded, fit_scan, with_target
from deepmath.tables.summary import ColumnSummary
from deepmath.tables.target_kinds import missing_rows, scaled_to, target_of
from deepmath.tables.targets import ClassTarget, NumbersTarget, NumberTarget, Target, read_target

__all__ = [
    "ClassTarget",
    "ColumnSummary",
    "EncodedTable",
    "FittedTable",
    "Frame",
    "NumberTarget",
    "NumbersTarget",
    "TableEncoder",
    "TableEncoding",
    "TableScan",
    "Target",
    "encoded",
    "fit_scan",
    "frame_of",
    "missing_rows",
    "read_table",
    "read_target",
    "scaled_to",
    "scan_table",
    "target_of",
    "with_target",
]
