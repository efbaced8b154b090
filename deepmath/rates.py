"""Learning rates of single layers: what `compile(rates=...)` means for each parameter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from deepmath.descriptions import check_number, plain, unknown
from deepmath.errors import ConfigError
from deepmath.optimizers import LBFGS, Optimizer

Rates = Mapping[int | str, float]
"""Factors by a layer's number (negative ones count from the end) or a parameter's name, "0.kernel"."""


def checked(rates: Any) -> dict[int | str, float]:
    """The factors, each a number >= 0. Raises ConfigError for anything else."""
    if rates is None:
        return {}
    if not isinstance(rates, Mapping):
        raise ConfigError(f"compile: rates must be a dictionary such as {{0: 0.1, '1.bias': 0.0}}; got {rates!r}")
    for place, factor in rates.items():
        if isinstance(plain(place), bool) or not isinstance(plain(place), (int, str)):
            raise ConfigError(f"compile: rates go by a layer's number or a parameter's name, '0.kernel'; got {place!r}")
        check_number("compile", f"rates[{place!r}]", factor, low=0.0)
    return {plain(place): float(factor) for place, factor in rates.items()}


def by_parameter(rates: Rates, layers: int, names: Iterable[str], optimizer: Optimizer) -> dict[str, float]:
    """Factors other than 1 by parameter name. A parameter's own factor replaces that of its layer.

    >>> from deepmath.optimizers import SGD
    >>> by_parameter({-1: 0.5, "1.bias": 0.0}, 2, ["0.kernel", "1.kernel", "1.bias"], SGD())
    {'1.kernel': 0.5, '1.bias': 0.0}
    """
    if rates and isinstance(optimizer, LBFGS):
        raise ConfigError("compile: LBFGS searches along all parameters at once and takes no rates; leave them out")
    names = list(names)
    by_layer: dict[int, float] = {}
    for place, factor in rates.items():
        if isinstance(place, str):
            if place not in names:
                unknown("parameter in rates", place, names)
        elif not -layers <= place < layers:
            raise ConfigError(f"compile: rates name layer {place}, but the model has layers 0..{layers - 1}")
        elif place % layers in by_layer:
            raise ConfigError(f"compile: rates name layer {place % layers} twice, as {place % layers} and {place}")
        else:
            by_layer[place % layers] = factor
    found = {name: rates.get(name, by_layer.get(int(name.partition(".")[0]), 1.0)) for name in names}
    return {name: factor for name, factor in found.items() if factor != 1.0}


def config_of(rates: Rates) -> dict[str, Any]:
    """The entry of a model's configuration; none where nothing is set."""
    return {"rates": [[place, factor] for place, factor in rates.items()]} if rates else {}


def from_config(config: Mapping[str, Any]) -> dict[int | str, float]:
    """What `config_of` wrote, checked."""
    pairs = config.get("rates", [])
    if not isinstance(pairs, list) or not all(isinstance(p, list) and len(p) == 2 for p in pairs):
        raise ConfigError(f"rates must be pairs of a place and a factor; got {pairs!r}")
    return checked({place if isinstance(place, (int, str)) else str(place): factor for place, factor in pairs})
