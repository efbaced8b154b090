"""Metrics by name: what is reported beside the loss.

A `Metric` is a mean over rows and can be computed inside a training step; a `Score`, such as "auc", is measured on
a whole data set. Both take a data set in batches of any size, with the same bits for every split.

>>> from deepmath import metrics
>>> metrics.get("mse").name
'mse'
>>> f1 = metrics.get("f1").begin()
>>> f1.update([0.9, 0.2], [1, 1])
>>> f1.update([0.7], [1])
>>> f1.result()
0.8
"""

from deepmath.metrics.classes import F1, ConfusionMatrix, Precision, Recall
from deepmath.metrics.measure import Accumulator, Measure, Score, measured
from deepmath.metrics.names import directions
from deepmath.metrics.ranking import AUC
from deepmath.metrics.regression import R2
from deepmath.metrics.rows import BinaryAccuracy, Metric, TopKAccuracy
from deepmath.metrics.table import chosen, fitted, get, names, register, resolve

__all__ = [
    "AUC",
    "F1",
    "R2",
    "Accumulator",
    "BinaryAccuracy",
    "ConfusionMatrix",
    "Measure",
    "Metric",
    "Precision",
    "Recall",
    "Score",
    "TopKAccuracy",
    "chosen",
    "directions",
    "fitted",
    "get",
    "measured",
    "names",
    "register",
    "resolve",
]
