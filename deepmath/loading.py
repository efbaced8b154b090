"""Models from their files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from deepmath import saving
from deepmath.model import Sequential


def load_model(path: str | os.PathLike[str], custom_objects: Mapping[str, Any] | None = None) -> Sequential:
    """The model that `Sequential.save` wrote. Its file is data: names in it are looked up, never imported.

    `custom_objects` maps names of your own layers, losses and formulas to the objects. Raises FormatError for a
    file that is damaged or not a model, ConfigError for a name that is not known.
    """
    found = saving.read_model(path, custom_objects or {})
    model = Sequential(found.layers, seed=found.seed)
    if found.loss is not None:
        model.compile(found.optimizer, found.loss, found.metrics, rates=found.rates)
    model.build(found.shape)
    model.values = found.values
    model.epochs_trained = found.epochs_trained
    model.preprocessing = found.preprocessing
    return model
