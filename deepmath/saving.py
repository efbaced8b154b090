"""A model's file: its configuration and values, and how they are checked against each other."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from deepmath import descriptions, initializers, losses, metrics, optimizers, rates, regularizers, storage
from deepmath.descriptions import Missing, UnknownName, from_config
from deepmath.errors import ConfigError, FormatError
from deepmath.layers import Layer
from deepmath.recipes import first_values
from deepmath.trainable import Described


class Found(NamedTuple):
    """What a model file holds, checked. What only training needs may be `Missing` among it."""

    layers: Sequence[Layer]
    seed: int
    shape: tuple[int, ...]
    optimizer: Any
    loss: Any
    metrics: tuple[Any, ...]
    unusual: bool
    values: dict[str, Any]
    epochs_trained: int
    preprocessing: Any
    target: Any
    rates: dict[int | str, float]


def config_of(model: Described) -> dict[str, Any]:
    """A model's configuration, as plain values."""
    return (
        {
            "layers": descriptions.config_of(model.layers),
            "input_shape": list(model.input_shape or ()),
            "seed": model.seed,
            "optimizer": descriptions.config_of(model.optimizer),
            "loss": descriptions.config_of(model.loss),
            "metrics": descriptions.config_of(model.metrics),
        }
        | rates.config_of(model.rates)
        | ({"unusual": True} if model.unusual else {})
    )


def write_model(path: str | os.PathLike[str], model: Described, values: Mapping[str, Any], epochs_trained: int) -> None:
    """Write a model's configuration with these values, its fitted preprocessing, and what its outputs mean.

    Raises OSError where the folder can't be written, ConfigError for a preprocessing that was never fitted.
    """
    settings: dict[str, Any] = {"model": config_of(model), "epochs_trained": epochs_trained}
    values = dict(values)
    if model.preprocessing is not None:
        from deepmath.preprocessing import Fitted, pack  # only models that use it pay for it

        if not isinstance(model.preprocessing, Fitted):
            fault = f"{model.preprocessing!r} is not fitted yet"
            raise ConfigError(f"save: {fault}; call fit first, or set preprocessing=None")
        settings["preprocessing"], learnt = pack(model.preprocessing)
        values |= learnt
    if model.target is not None:
        settings["target"] = model.target.config()
    storage.save(path, values, settings)


def read_model(path: str | os.PathLike[str], custom_objects: Mapping[str, Any]) -> Found:
    """Read what `write_model` wrote; names are looked up, never imported. Only what predicts must be known.

    Raises FormatError for a file that is damaged, that is no model, or whose arrays don't fit its layers, and
    ConfigError for a name that is not known.
    """
    values, stored = storage.load(path)
    try:
        config = stored["model"]
        layers = [_layer(c, custom_objects) for c in config["layers"]]
        shape, seed = tuple(config["input_shape"]), config["seed"]
        optimizer = _found("optimizer", config["optimizer"], optimizers.get, custom_objects)
        loss = config["loss"] and _found("loss", config["loss"], losses.get, custom_objects)
        measures = tuple(_found("metric", c, metrics.get, custom_objects) for c in config["metrics"])
        wanted = {name: v.shape for name, v in first_values(layers, shape, seed).items()}
        factors = rates.from_config(config)
        preprocessing = _preprocessing(stored, values, custom_objects)
        target = _target(stored)
    except (KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"{path}: its settings don't describe a model ({error!r})") from error
    except UnknownName as error:
        cure = f"load_model(path, custom_objects={{'{error.name}': {error.name}}})"
        raise ConfigError(f"{path}: {error}. deepmath never imports code from a model file: {cure}") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}. deepmath never imports code from a model file.") from error
    for name, expected in wanted.items():
        if name not in values or values[name].shape != expected:
            have = values[name].shape if name in values else "missing"
            raise FormatError(f"{path}: array '{name}' is {have}; the model needs shape {expected}")
    others = [n for n in values if n not in wanted and not n.startswith("preprocessing.")]
    ordered = {n: values[n] for n in [*wanted, *others]}
    trained = int(stored.get("epochs_trained", 0))
    unusual = config.get("unusual") is True
    return Found(
        layers, seed, shape, optimizer, loss, measures, unusual, ordered, trained, preprocessing, target, factors
    )


TRAINING = ("initializer", "regularizer", "constraint")
"""How the names of a layer's settings end that prediction doesn't need."""


def _layer(config: Any, custom_objects: Mapping[str, Any]) -> Any:
    """A layer; what its training needs and nobody knows is `Missing`."""
    if isinstance(config, dict):
        chosen = {}
        for name, value in config.items():
            what = name.rpartition("_")[2]
            if what in TRAINING and value is not None:
                get = {"initializer": initializers.get, "regularizer": regularizers.get}.get(what, lambda found: found)
                value = _found(what, value, get, custom_objects)
            chosen[name] = value
        config = chosen
    return from_config(config, custom_objects)


def _found(what: str, config: Any, get: Callable[[Any], Any], custom_objects: Mapping[str, Any]) -> Any:
    """The thing that a configuration describes, or `Missing` for one that isn't known here."""
    try:
        return get(from_config(config, custom_objects))
    except UnknownName as error:
        return Missing(what, error.name, config)


def _target(stored: Mapping[str, Any]) -> Any:
    if "target" not in stored:
        return None
    from deepmath.tables import read_target

    return read_target(stored["target"])


def _preprocessing(stored: Mapping[str, Any], values: Mapping[str, Any], custom_objects: Mapping[str, Any]) -> Any:
    if "preprocessing" not in stored:
        return None
    from deepmath.preprocessing import unpack

    return unpack(stored["preprocessing"], values, custom_objects)
