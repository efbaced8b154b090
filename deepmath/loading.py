"""Models from their files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from deepmath import saving
from deepmath.model import Sequential


def load_model(path: str | os.PathLike[str], custom_objects: Mapping[str, Any] | None = None) -> Sequential:
    """The model that `Sequential.save` wrote. Its file is data: names in it are looked up, never imported.

    `custom_objects` maps names of your own layers, losses and formulas to the objects. Without a loss, metric,
    optimiser, schedule, regulariser, constraint or initialiser of your own the model predicts, and asks for it where
    it trains. Raises FormatError for a file that is damaged or not a model, ConfigError for the name of a layer or
    an activation that is not known.
    """
    found = saving.read_model(path, custom_objects or {})
    model = Sequential(seed=found.seed)
    model.layers.extend(found.layers)  # nothing is drawn: the values are the file's
    model.optimizer, model.loss, model.metrics = found.optimizer, found.loss, found.metrics
    model.rates, model.unusual = found.rates, found.unusual
    model.input_shape, model.values = found.shape, found.values
    model.epochs_trained = found.epochs_trained
    model.preprocessing, model.target = found.preprocessing, found.target
    return model
