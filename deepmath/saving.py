"""A model's file: its configuration and values, and how they are checked against each other."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from deepmath import storage
from deepmath.descriptions import from_config
from deepmath.errors import ConfigError, FormatError
from deepmath.layers import Layer
from deepmath.recipes import first_values


class Found(NamedTuple):
    """What a model file holds, checked."""

    layers: Sequence[Layer]
    seed: int
    shape: tuple[int, ...]
    optimizer: Any
    loss: Any
    metrics: Any
    values: dict[str, Any]
    epochs_trained: int


def write_model(
    path: str | os.PathLike[str], values: Mapping[str, Any], config: Mapping[str, Any], epochs_trained: int
) -> None:
    """Write a model's configuration and values. Raises OSError where the folder can't be written."""
    storage.save(path, values, {"model": config, "epochs_trained": epochs_trained})


def read_model(path: str | os.PathLike[str], custom_objects: Mapping[str, Any]) -> Found:
    """Read what `write_model` wrote; names are looked up, never imported.

    Raises FormatError for a file that is damaged, that is no model, or whose arrays don't fit its layers, and
    ConfigError for a name that is not known.
    """
    values, stored = storage.load(path)
    try:
        config = stored["model"]
        layers = [from_config(c, custom_objects) for c in config["layers"]]
        shape, seed = tuple(config["input_shape"]), config["seed"]
        optimizer, loss, metrics = (from_config(config[k], custom_objects) for k in ("optimizer", "loss", "metrics"))
        wanted = {name: v.shape for name, v in first_values(layers, shape, seed).items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"{path}: its settings don't describe a model ({error!r})") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}. deepmath never imports code from a model file.") from error
    for name, expected in wanted.items():
        if name not in values or values[name].shape != expected:
            have = values[name].shape if name in values else "missing"
            raise FormatError(f"{path}: array '{name}' is {have}; the model needs shape {expected}")
    ordered = {n: values[n] for n in [*wanted, *(n for n in values if n not in wanted)]}
    return Found(layers, seed, shape, optimizer, loss, metrics, ordered, int(stored.get("epochs_trained", 0)))
