"""From a data set to what is trained on: the kind of task, the parts, and the scale of the numbers."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepmath import datasets, losses
from deepmath.cli.settings import Settings
from deepmath.cli.tables import Source, codes_of
from deepmath.errors import ConfigError, LabelError
from deepmath.preprocessing import MinMax, Standardize
from deepmath.preprocessing.standardize import Standardized

logger = logging.getLogger("deepmath")
MANY_CLASSES = 50


@dataclass(frozen=True)
class Task:
    """What is to be learned. `classes` are the names of the labels, or None where the target is numbers."""

    loss: str
    outputs: int
    activation: str
    classes: tuple[str, ...] | None


@dataclass(frozen=True)
class Unit:
    """A target of numbers in its own unit: target = value * size + origin, with values of mean 0 and deviation 1."""

    origin: float = 0.0
    size: float = 1.0

    def values(self, target: Any) -> Any:
        """What the model is trained on."""
        return (target - self.origin) / self.size

    def targets(self, values: Any) -> Any:
        """What a model's outputs mean."""
        return values * self.size + self.origin


@dataclass(frozen=True)
class Fitted:
    """What a run found in its data beyond what its model holds: the table [fitted] of config.toml."""

    features: tuple[str, ...]
    target: str | None
    classes: tuple[str, ...] | None
    digest: str
    unit: Unit = Unit()

    def table(self) -> dict[str, Any]:
        """Plain values for a file."""
        unit = {} if self.unit == Unit() else {"target_mean": self.unit.origin, "target_std": self.unit.size}
        return {
            "features": self.features,
            "target": self.target,
            "classes": self.classes,
            "digest": self.digest,
            **unit,
        }

    @staticmethod
    def read(table: Mapping[str, Any]) -> Fitted:
        """The values of a file. Raises KeyError, TypeError or ValueError for a table that `table` didn't write."""
        classes = table.get("classes")
        return Fitted(
            tuple(map(str, table["features"])),
            table.get("target"),
            None if classes is None else tuple(map(str, classes)),
            str(table["digest"]),
            Unit(float(table["target_mean"]), float(table["target_std"])) if "target_mean" in table else Unit(),
        )

    def targets(self, source: Source, loss: str) -> Any:
        """y as the loss takes it: codes [rows], one-hot rows [rows, classes], or scaled numbers [rows]."""
        if self.classes is None:
            return self.unit.values(np.asarray(source.y, np.float64))
        codes = codes_of(source, self.classes)
        return np.eye(len(self.classes))[codes] if loss == "categorical_crossentropy" else codes


@dataclass(frozen=True)
class Parts:
    """Row numbers of the training part and the test part, which may be empty."""

    train: Any
    test: Any


def task_of(source: Source, loss: str) -> Task:
    """Two classes are binary, more are classes, numbers with fractions are regression; `loss` can say otherwise."""
    labels = source.labels() if loss in ("auto", "binary_crossentropy") or "categorical" in loss else None
    if labels is None and "categorical" in loss:
        raise LabelError(f"loss '{loss}' needs labels; the target of {source.name} holds numbers with fractions")
    if labels is None and source.classes is not None and source.target is not None:
        raise ConfigError(f"loss '{loss}' needs numbers; the target '{source.target}' of {source.name} holds text")
    if labels is None:
        name = "mse" if loss == "auto" else loss
        last = {"chances": "sigmoid", "positive": "softplus"}.get(losses.get(name).predictions, "linear")
        return Task(name, 1, last, None)
    classes = source.classes or tuple(map(str, sorted({int(label) for label in labels})))
    if len(classes) < 2:
        raise LabelError(f"every row of {source.name} has the label '{classes[0]}'; there is nothing to tell apart")
    if source.classes is None and len(classes) > MANY_CLASSES:
        logger.warning(
            "the target of %s holds %d different whole numbers, taken as classes; for regression use --loss mse",
            source.name,
            len(classes),
        )
    if loss == "binary_crossentropy" and len(classes) > 2:
        raise LabelError(
            f"loss 'binary_crossentropy' tells two classes apart; {source.name} has {len(classes)}. Use --loss auto"
        )
    if len(classes) == 2 and loss in ("auto", "binary_crossentropy"):
        return Task("binary_crossentropy", 1, "sigmoid", classes)
    return Task("sparse_categorical_crossentropy" if loss == "auto" else loss, len(classes), "softmax", classes)


def parts_of(source: Source, settings: Settings, stratify: bool) -> Parts:
    """The same split for the same data, share and seed."""
    if settings.test == 0.0:
        return Parts(np.arange(len(source.y)), np.arange(0))
    if stratify:
        return Parts(*datasets.stratified_split(source.y, settings.test, settings.seed))
    return Parts(*datasets.split(len(source.y), settings.test, settings.seed))


def fit(source: Source, task: Task, settings: Settings, train: Any) -> Fitted:
    """What the training part says about the target: with --scale standard, an mse target gets deviation 1."""
    unit = Unit()
    if settings.scale == "standard" and task.loss in ("mse", "mean_squared_error"):
        target = Standardize().fit(source.y[train][:, None])
        assert isinstance(target, Standardized)
        unit = Unit(float(target.invert(np.zeros((1, 1)))[0, 0]), float(target.scale[0]))
    return Fitted(source.features, source.target, task.classes, source.digest, unit)


def preprocessing_of(settings: Settings, features: int) -> Any:
    """What the model does to its inputs: nothing, standardise them, or divide them by a number."""
    if settings.scale == "none":
        return None
    if settings.scale == "standard":
        return Standardize()
    return MinMax().fit(np.outer((0.0, float(settings.scale)), np.ones(features)))
