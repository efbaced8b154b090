"""A model's file: its configuration and values, and how they are checked against each other."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from deepmath import descriptions, rates, storage
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
    preprocessing: Any
    rates: dict[int | str, float]


def config_of(
    layers: Sequence[Layer], shape: Sequence[int], seed: int, optimizer: Any, loss: Any, metrics: Any, factors: Any
) -> dict[str, Any]:
    """A model's configuration, as plain values; `factors` are its layers' learning rates."""
    return {
        "layers": descriptions.config_of(layers),
        "input_shape": list(shape),
        "seed": seed,
        "optimizer": descriptions.config_of(optimizer),
        "loss": descriptions.config_of(loss),
        "metrics": descriptions.config_of(metrics),
    } | rates.config_of(factors)


def write_model(
    path: str | os.PathLike[str],
    values: Mapping[str, Any],
    config: Mapping[str, Any],
    epochs_trained: int,
    preprocessing: Any = None,
) -> None:
    """Write a model's configuration and values, and its fitted preprocessing.

    Raises OSError where the folder can't be written, ConfigError for a preprocessing that was never fitted.
    """
    settings: dict[str, Any] = {"model": config, "epochs_trained": epochs_trained}
    values = dict(values)
    if preprocessing is not None:
        from deepmath.preprocessing import Fitted, pack  # only models that use it pay for it

        if not isinstance(preprocessing, Fitted):
            raise ConfigError(f"save: {preprocessing!r} is not fitted yet; call fit first, or set preprocessing=None")
        settings["preprocessing"], learnt = pack(preprocessing)
        values |= learnt
    storage.save(path, values, settings)


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
        factors = rates.from_config(config)
        preprocessing = _preprocessing(stored, values, custom_objects)
    except (KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"{path}: its settings don't describe a model ({error!r})") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}. deepmath never imports code from a model file.") from error
    for name, expected in wanted.items():
        if name not in values or values[name].shape != expected:
            have = values[name].shape if name in values else "missing"
            raise FormatError(f"{path}: array '{name}' is {have}; the model needs shape {expected}")
    others = [n for n in values if n not in wanted and not n.startswith("preprocessing.")]
    ordered = {n: values[n] for n in [*wanted, *others]}
    trained = int(stored.get("epochs_trained", 0))
    return Found(layers, seed, shape, optimizer, loss, metrics, ordered, trained, preprocessing, factors)


def _preprocessing(stored: Mapping[str, Any], values: Mapping[str, Any], custom_objects: Mapping[str, Any]) -> Any:
    if "preprocessing" not in stored:
        return None
    from deepmath.preprocessing import unpack

    return unpack(stored["preprocessing"], values, custom_objects)
