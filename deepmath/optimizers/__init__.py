"""Optimisers. Update rules are PyTorch's, names and default rates Keras's."""

from __future__ import annotations

from deepmath.descriptions import Table
from deepmath.optimizers.adam import Adam, AdamW, Nadam
from deepmath.optimizers.adaptive import Adadelta, Adagrad, RMSprop
from deepmath.optimizers.base import Optimizer, Rate
from deepmath.optimizers.descent import SGD, Lion
from deepmath.optimizers.lbfgs import LBFGS

__all__ = [
    "LBFGS", "SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Lion", "Nadam", "Optimizer", "RMSprop", "Rate", "get",
    "names",
]  # fmt: skip

_TABLE: Table[Optimizer] = Table("optimizer", Optimizer)  # type: ignore[type-abstract]
register, get, names = _TABLE.add, _TABLE.get, _TABLE.names
for _kind in (SGD, RMSprop, Adam, AdamW, Nadam, Adagrad, Adadelta, Lion, LBFGS):
    register(_kind(), _kind.__name__.lower())
