"""k-fold cross-validation: what a training's result is worth, over several choices of the rows that judge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepmath.arrays import to_numpy
from deepmath.data.adapters import adapt
from deepmath.data.columns import columns_taken
from deepmath.data.encoding import weighting
from deepmath.data.rows import Rows, as_array, taken
from deepmath.descriptions import check_number
from deepmath.errors import ConfigError
from deepmath.formulas.random import epoch_order
from deepmath.study.copies import check_model, copy_of

ORDER = 0xDA7C0000
"""The epoch number of the order that folds are cut from: no training reaches it."""


@dataclass(frozen=True)
class Folds:
    """J (the cost) of each fold's training on the rows that judged and on those that trained, and its metrics.

    `metrics` maps a name to one number for each fold, on the rows that judged.
    """

    held: tuple[float, ...]
    trained: tuple[float, ...]
    metrics: dict[str, tuple[float, ...]]

    @property
    def mean(self) -> float:
        """The mean of J over the folds."""
        return float(np.mean(self.held))

    @property
    def variance(self) -> float:
        """The variance of J over the folds, divided by folds - 1."""
        return float(np.var(self.held, ddof=1))

    def text(self) -> str:
        """Mean and variance, and a line for each fold."""
        lines = [f"J over {len(self.held)} folds: mean {self.mean:.5g}, variance {self.variance:.5g}"]
        for i, (held, trained) in enumerate(zip(self.held, self.trained, strict=True)):
            rest = "".join(f", {name} {values[i]:.5g}" for name, values in self.metrics.items())
            lines.append(f"  fold {i + 1}: {held:.5g} on the rows held out, {trained:.5g} on the others{rest}")
        return "\n".join(lines) + "\n"

    __str__ = text


def k_fold(
    model: Any, X: Any, y: Any, folds: int = 5, *, epochs: int = 10, batch_size: int | str = 32, seed: int = 0,
    **settings: Any,
) -> Folds:  # fmt: skip
    """Train a fresh copy of the model on all folds but one, measure it on that one, and so on for each.

    Rows are shuffled by `seed`; where y holds classes, each fold gets its share of each. Copies begin with the
    first weights of the model's seed; preprocessing that isn't fitted yet is fitted on the rows that train. With
    preprocessing that is fitted already, rows held out have had their say in it: ConfigError. `settings` go to `fit`;
    class weights, and the label to ignore, hold for the rows held out too.

    Source: article 3, "k-fold"; Stone (1974), "Cross-validatory choice".

    >>> from deepmath import Dense, Sequential, study
    >>> model = Sequential([Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> result = study.k_fold(model, [[float(i)] for i in range(6)], [1.0] * 6, 3, epochs=1)
    >>> len(result.held)
    3
    """
    model = check_model("k_fold", model)
    X, y = (as_array(a) for a in columns_taken(Rows(X, y), "k_fold")[:2])
    rows = int(X.shape[0])
    folds = check_number("k_fold", "folds", folds, low=2, high=rows, whole=True)
    if model.preprocessing is not None and not hasattr(model.preprocessing, "fit"):
        raise ConfigError(
            "k_fold: the model's preprocessing is fitted already, on rows that would be held out; give a model whose "
            "preprocessing isn't, such as Standardize()"
        )
    held, trained = [], []
    metrics: dict[str, list[float]] = {}
    where: dict[str, Any] = {
        n: settings[n] for n in ("backend", "device", "precision", "ignore_label") if n in settings
    }
    for judges, others in split_into(folds, y, rows, seed):
        made = copy_of(model, metrics=True)
        training, held_out = ((taken(X, numbers), taken(y, numbers)) for numbers in (others, judges))
        made.fit(*training, epochs=epochs, batch_size=batch_size, verbose=0, **settings)
        where["class_weight"] = _class_weight(settings, made, training)
        values = made.evaluate(*held_out, **where)
        held.append(values["cost"])
        trained.append(made.evaluate(*training, **where)["cost"])
        for name in values.keys() - {"cost", "loss"}:
            if np.ndim(values[name]) == 0:
                metrics.setdefault(name, []).append(values[name])
    return Folds(tuple(held), tuple(trained), {name: tuple(v) for name, v in sorted(metrics.items())})


def _class_weight(settings: dict[str, Any], model: Any, training: tuple[Any, Any]) -> Any:
    """The weights of classes that trained, by the classes of the target; "balanced" is counted on those rows."""
    given = adapt(*training, who="k_fold")
    found = weighting(settings.get("class_weight"), settings.get("ignore_label"), model.target, given).class_weight
    classes = getattr(model.target, "classes", None)
    return found if not isinstance(found, Mapping) or classes is None else {classes[c]: n for c, n in found.items()}


def split_into(folds: int, y: Any, rows: int, seed: int) -> Iterator[tuple[Any, Any]]:
    """(rows that judge, all others) for each fold, in order; sizes differ by one at most.

    Rows are dealt out in turn, class after class where y has fewer than rows / 2 different values.

    >>> y = np.asarray([0, 0, 1, 1])
    >>> [y[judges].tolist() for judges, _ in split_into(2, y, 4, seed=0)]
    [[0, 1], [0, 1]]
    """
    order = epoch_order(seed, ORDER, rows)
    targets = np.asarray(to_numpy(y))
    _, codes = np.unique(targets, axis=0, return_inverse=True)
    codes = np.reshape(codes, -1)
    if 2 * (int(codes.max()) + 1) <= rows:
        order = order[np.argsort(codes[order], kind="stable")]
    for fold in range(folds):
        judges = np.sort(order[fold::folds])
        yield judges, np.setdiff1d(np.arange(rows), judges)
