"""The table of metrics by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeGuard

from deepmath.descriptions import CLASSES, Table, several
from deepmath.errors import ConfigError
from deepmath.formulas import losses, metrics, regression
from deepmath.metrics.classes import F1, Precision, Recall
from deepmath.metrics.measure import Measure
from deepmath.metrics.names import check_name, name_of, numbered
from deepmath.metrics.ranking import AUC
from deepmath.metrics.regression import R2
from deepmath.metrics.rows import BinaryAccuracy, ByOutputs, Metric, TopKAccuracy, check, of_rows


def _wrap(function: Callable[..., Any]) -> Metric:
    return of_rows(name_of(function), function)


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


def chosen(given: Any) -> tuple[Measure, ...]:
    """The measures of a model, one or several, by names of their own: as `compile` takes them.

    Of two that have one name the second is called "precision_1", and so on. A metric of one's own is called once.
    Raises ConfigError for what can't be a name of a result, for the same metric twice, and for formulas that don't
    give one number for each row.

    >>> [m.name for m in chosen(["mae", Precision(yes_above=0.3), Precision(yes_above=0.7)])]
    ['mae', 'precision', 'precision_1']
    """
    measures = [get(m) for m in several("compile: metrics", given, "['accuracy']")]
    for measure in measures:
        check_name(measure.name)
        row = next((row for row in _TABLE if row.name == measure.name), None)
        if row == measure:
            continue
        if row is not None and (type(row) is not type(measure) or type(row).__name__ not in CLASSES):
            raise ConfigError(
                f"metric '{measure.name}': another metric has this name already; call yours something else"
            )
        if _own(measure):
            check(measure)
    return numbered(measures)


def _own(measure: Measure) -> TypeGuard[Metric]:
    """Whether this is a row-wise metric of somebody's own, not one of the library's."""
    known = type(measure).__name__ in CLASSES or any(row == measure for row in _TABLE)
    return isinstance(measure, Metric) and not known


def fitted(measures: Iterable[Measure], outputs: int, yes_above: float | None) -> tuple[Measure, ...]:
    """The measures of `chosen` for a model of so many outputs, with the loss's `yes_above`.

    Raises ConfigError for one that can't be measured on them, or where two results have one name.
    """
    for measure in measures:
        if _own(measure):
            check(measure, outputs)
    found = tuple(m.fitting(outputs, yes_above) for m in measures)
    owners: dict[str, Measure] = {}
    for measure in found:
        for name in measure.results(outputs):
            if name in owners:
                raise ConfigError(
                    f"metrics '{owners[name].name}' and '{measure.name}' both have a result called '{name}'; "
                    "give one of them another name"
                )
            owners[name] = measure
    return found
