"""How much each row counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepmath.arrays import to_numpy
from deepmath.errors import ConfigError


@dataclass(frozen=True)
class Counting:
    """How much each row counts: its sample weight times the weight of its class."""

    class_weight: Mapping[Any, float] | None = None

    def of(self, y: Any, weights: Any) -> Any:
        """The weights [rows], or None where all rows count alike; y is labels [rows], or one-hot rows."""
        if self.class_weight is None:
            return weights
        labels = to_numpy(y)
        if labels.ndim == 2:
            labels = labels[:, 0] if labels.shape[1] == 1 else np.argmax(labels, axis=1)
        missing = sorted(set(np.unique(labels).tolist()) - set(self.class_weight))
        if missing:
            raise ConfigError(
                f"class_weight has no weight for class {missing[0]!r}; it has {sorted(self.class_weight)}"
            )
        by_class = np.asarray([float(self.class_weight[label]) for label in labels.tolist()])
        return by_class if weights is None else by_class * np.asarray(to_numpy(weights), np.float64)


ALIKE = Counting()
"""Every row counts as its sample weight says."""


def taken_over(given: Sequence[Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Copies of the given arrays in float64, by the names of the present ones, whose shapes they must have."""
    if len(given) != len(now):
        raise ConfigError(f"set_weights: the model has {len(now)} arrays of weights; got {len(given)}")
    values = {name: np.array(to_numpy(v), np.float64) for name, v in zip(now, given, strict=True)}
    for name, value in values.items():
        if value.shape != now[name].shape:
            short = name.partition(".")[2]
            raise ConfigError(f"set_weights: {short} has shape {now[name].shape}; got {value.shape}")
    return values
