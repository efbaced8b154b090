"""Callbacks that `fit` takes.

>>> from deepmath.callbacks import Checkpoint
>>> Checkpoint("run", every=100).keep
2
"""

from deepmath.training.averages import ExponentialMovingAverage, ModelAverage
from deepmath.training.best import BestCheckpoint
from deepmath.training.board import TensorBoard
from deepmath.training.callbacks import Callback, Run
from deepmath.training.checkpoints import Checkpoint
from deepmath.training.logs import CSVLogger, JSONLinesLogger
from deepmath.training.monitors import EarlyStopping, ReduceLROnPlateau
from deepmath.training.scheduler import LearningRateScheduler
from deepmath.training.simple import Lambda, TimeLimit
from deepmath.training.statistics import GradientStatistics

__all__ = [
    "BestCheckpoint",
    "CSVLogger",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "ExponentialMovingAverage",
    "GradientStatistics",
    "JSONLinesLogger",
    "Lambda",
    "LearningRateScheduler",
    "ModelAverage",
    "ReduceLROnPlateau",
    "Run",
    "TensorBoard",
    "TimeLimit",
]
