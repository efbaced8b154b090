"""Class weights as scikit-learn has them: by label, counted on the rows that train, for all rows alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.utils.class_weight import compute_sample_weight

from deepmath.errors import ConfigError


def times_class_weights(given: Any, y: Any, weights: Any, trained: Any, classes: Any) -> Any:
    """Weights [rows] times those of the classes of y; None where all rows count alike.

    `trained` are the labels that train, in which "balanced" is counted. `classes` are all labels [classes]; of several
    labels at once a row of none and one of all, [2, labels]. Raises ConfigError for a weight of what is no class, and
    for a row whose class "balanced" hasn't seen.
    """
    if given is None:
        return weights
    several = classes.ndim == 2
    if isinstance(given, Sequence) and not isinstance(given, str) and not several:
        raise ConfigError(f"class_weight is a list of {len(given)}, and y has one label a row; give a dictionary")
    counted = trained if isinstance(given, str) else classes
    for label in given if isinstance(given, Mapping) else ():
        if label not in counted.tolist():
            known = f"y has several labels: a list of {classes.shape[-1]} dictionaries, by 0 and 1, weights them"
            known = known if several else f"the classes are {counted.tolist()}"
            raise ConfigError(f"class_weight has a weight for class {label!r}; {known}")
    rows = np.arange(len(counted)) if isinstance(given, str) else None
    of_classes = compute_sample_weight(given, np.concatenate([counted, y]), indices=rows)[len(counted) :]
    lost = np.flatnonzero((of_classes == 0) & (True if weights is None else weights > 0))
    if isinstance(given, str) and len(lost):
        raise ConfigError(
            f"class_weight='balanced' has no weight for class {y[lost[0]].tolist()!r}, which no row that trains "
            "has; give the weights as a dictionary, or leave such rows out"
        )
    return of_classes if weights is None else weights * of_classes
