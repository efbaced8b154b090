"""Callbacks that `fit` takes.

>>> from deepmath.callbacks import Checkpoint
>>> Checkpoint("run", every=100).keep
2
"""

from deepmath.training.callbacks import Callback, Run
from deepmath.training.checkpoints import Checkpoint
from deepmath.training.monitors import EarlyStopping, ReduceLROnPlateau

__all__ = ["Callback", "Checkpoint", "EarlyStopping", "ReduceLROnPlateau", "Run"]
