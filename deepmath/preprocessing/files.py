"""A fitted preprocessing as a description and named arrays, for a file that holds other things too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deepmath.descriptions import config_of, from_config
from deepmath.errors import FormatError
from deepmath.preprocessing.transform import Fitted, Transform

PREFIX = "preprocessing."


def pack(fitted: Fitted, prefix: str = PREFIX) -> tuple[dict[str, Any], dict[str, Any]]:
    """(description as plain data, float64 arrays whose names begin with `prefix`).

    >>> from deepmath.preprocessing import Standardize
    >>> config, values = pack(Standardize().fit([[1.0], [3.0]]))
    >>> config, sorted(values)[:2]
    ({'class': 'Standardize'}, ['preprocessing.deviation', 'preprocessing.mean'])
    >>> unpack(config, values).apply([[3.0]])
    array([[1.]])
    """
    return config_of(fitted.description), {prefix + name: value for name, value in fitted.values().items()}


def unpack(
    config: Any, values: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None, prefix: str = PREFIX
) -> Fitted:
    """What `pack` took apart; `values` may hold other names too.

    Raises FormatError where the values don't fit the description, ConfigError for a class that is not known.
    """
    transform = from_config(config, custom_objects or {})
    if not isinstance(transform, Transform):
        raise FormatError(f"preprocessing must be a description of deepmath.preprocessing; got {config!r}")
    own = {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}
    return transform.from_values(own)
