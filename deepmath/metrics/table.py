"""The table of metrics by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deepmath.descriptions import Table
from deepmath.errors import ConfigError
from deepmath.formulas import losses, metrics, regression
from deepmath.metrics.classes import F1, Precision, Recall
from deepmath.metrics.measure import Measure
from deepmath.metrics.ranking import AUC
from deepmath.metrics.regression import R2
from deepmath.metrics.rows import BinaryAccuracy, ByOutputs, Metric, TopKAccuracy, of_rows


def _wrap(function: Callable[..., Any]) -> Metric:
    return of_rows(getattr(function, "__name__", "custom"), function)


_TABLE: Table[Measure] = Table("metric", Measure, _wrap)  # type: ignore[type-abstract]
register, get, names = _TABLE.add, _TABLE.get, _TABLE.names

_HITS = (
    BinaryAccuracy(),
    Metric("categorical_accuracy", metrics.categorical_accuracy, better="higher", targets="classes"),
)
_LOG_LOSSES = (
    of_rows("binary_crossentropy", losses.binary_crossentropy, "lower", "shares"),
    of_rows("categorical_crossentropy", losses.categorical_crossentropy, "lower", "classes"),
)
for _metric in (*_HITS, *_LOG_LOSSES, ByOutputs("accuracy", *_HITS), ByOutputs("log_loss", *_LOG_LOSSES)):
    register(_metric)
register(get("accuracy"), "acc")
register(of_rows("mse", losses.mse, "lower"))
register(of_rows("mae", regression.mae, "lower"))
register(TopKAccuracy(), "top_k_accuracy")
register(TopKAccuracy())
register(AUC())
register(R2())
for _share in (Precision, Recall, F1):
    for _average in ("auto", "macro", "micro", "weighted"):
        register(_share(_average))


def resolve(given: Any, outputs: int, yes_above: float | None = None) -> Metric:
    """The row-wise metric for a name, an object or a callable (xp, p, d).

    "accuracy" and "log_loss" mean those that fit the outputs and the loss, whose `yes_above` is given. Raises
    ConfigError for a score of a whole data set, which no training step can compute.
    """
    measure = get(given)
    if not isinstance(measure, Metric):
        raise ConfigError(
            f"metric '{measure.name}' is a score of a whole data set, not a mean over rows: "
            f"measure it on predictions, metrics.get('{measure.name}').of(model.predict(X), y)"
        )
    return measure.fitting(outputs, yes_above)
