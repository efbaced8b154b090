"""Networks with their rows from TOML files: the articles' steps come with the package."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from deepmath import optimizers
from deepmath.descriptions import unknown
from deepmath.errors import ConfigError, FormatError
from deepmath.layers import Dense
from deepmath.model import Sequential

KEYS = {"title", "x", "y", "loss", "optimizer", "learning_rate", "seed", "unusual", "layer"}
LAYER = {"units", "activation", "use_bias", "kernel_initializer", "kernel", "bias"}


class Example(NamedTuple):
    """A compiled model, and the rows of one step."""

    title: str
    model: Sequential
    x: Any
    y: Any


def names() -> list[str]:
    """The examples of the package.

    >>> names()
    ['article2', 'article4', 'article5', 'mazur']
    """
    folder = resources.files("deepmath").joinpath("examples")
    return sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml"))


def example(name: str) -> Example:
    """An example of the package by name, or a TOML file of that form by a path that ends in .toml.

    Raises ConfigError for an unknown name or an entry that can't be used, FormatError for what is not TOML.
    """
    if name.endswith(".toml"):
        text = Path(name).read_text(encoding="utf-8")
    elif name in names():
        text = resources.files("deepmath").joinpath(f"examples/{name}.toml").read_text(encoding="utf-8")
    else:
        unknown("example", name, names())
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FormatError(f"{name} is not TOML: {error}") from None
    return _read(name, table)


def _read(name: str, table: dict[str, Any]) -> Example:
    missing = {"x", "y", "loss", "layer"} - set(table)
    if missing:
        raise ConfigError(f"{name}: {sorted(missing)[0]} is missing; an example needs x, y, loss and [[layer]] tables")
    _known(name, table, KEYS)
    x = np.asarray(table["x"], np.float64)
    if x.ndim != 2:
        raise ConfigError(f"{name}: x must be a list of rows of numbers; got {table['x']!r}")
    model = Sequential(seed=table.get("seed", 0))
    for i, layer in enumerate(table["layer"]):
        _known(f"{name}: layer {i + 1}", layer, LAYER)
        if "units" not in layer:
            raise ConfigError(f"{name}: layer {i + 1} needs units")
        settings = {k: v for k, v in layer.items() if k not in ("kernel", "bias")}
        model.add(Dense(**settings, **({"input_dim": x.shape[1]} if i == 0 else {})))
    model.compile(_rule(table), table["loss"], unusual=table.get("unusual", False))
    model.set_weights(_weights(table["layer"], model))
    return Example(table.get("title", name), model, x, np.asarray(table["y"], np.float64))


def _known(where: str, table: dict[str, Any], keys: set[str]) -> None:
    for key in table:
        if key not in keys:
            unknown(f"entry of {where}", key, keys)


def _rule(table: dict[str, Any]) -> Any:
    rule = optimizers.get(table.get("optimizer", "sgd"))
    rate = table.get("learning_rate")
    return rule if rate is None else type(rule)(learning_rate=rate)  # type: ignore[call-arg]


def _weights(layers: list[dict[str, Any]], model: Sequential) -> list[Any]:
    """The weights that are given; drawn ones where they aren't."""
    given = [layer.get(k) for layer in layers for k in ("kernel", *(("bias",) if layer.get("use_bias", True) else ()))]
    drawn = model.get_weights()
    return [w if g is None else np.asarray(g, np.float64) for g, w in zip(given, drawn, strict=True)]
