"""Models like a given one, for studies that train many times and leave the given one as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deepmath import trainable
from deepmath.errors import ConfigError
from deepmath.model import Sequential


def check_model(caller: str, model: Any) -> Sequential:
    """The model, if it is one that can be trained. Raises ConfigError otherwise."""
    if not isinstance(model, Sequential):
        raise ConfigError(f"{caller}: model must be a Sequential; got {type(model).__name__}")
    if model.loss is None:
        raise ConfigError(f"{caller}: the model has no loss; call model.compile(loss=...) first")
    if not model.layers:
        raise ConfigError(f"{caller}: the model has no layers; add some, for example model.add(Dense(1))")
    trainable.check(caller, model)
    return model


def copy_of(
    model: Sequential, *, seed: int | None = None, optimizer: Any = None, weights: Sequence[Any] | None = None,
    metrics: bool = False,
) -> Sequential:  # fmt: skip
    """An untrained model with the same layers, loss and preprocessing, its weights drawn from `seed` or as given."""
    made = Sequential(model.layers, seed=model.seed if seed is None else seed, preprocessing=model.preprocessing)
    made.target = model.target
    chosen = model.optimizer if optimizer is None else optimizer
    made.compile(chosen, model.loss, model.metrics if metrics else (), rates=model.rates, unusual=model.unusual)
    if model.input_shape is not None:
        made.build(model.input_shape)
    if weights is not None:
        made.set_weights(weights)
    return made
