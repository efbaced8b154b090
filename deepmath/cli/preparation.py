"""From a data set to what is trained on: the kind of task, the parts, and the scale of the numbers."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepmath import datasets
from deepmath.cli.settings import Settings
from deepmath.cli.tables import Source, codes_of
from deepmath.errors import ConfigError, LabelError

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
class Scale:
    """z = (x - mean) / std, for features [rows, features] or a target [rows]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def apply(self, x: Any) -> Any:
        return (x - np.asarray(self.mean)) / np.asarray(self.std)

    def undo(self, z: Any) -> Any:
        return z * np.asarray(self.std) + np.asarray(self.mean)


UNSCALED = Scale((0.0,), (1.0,))


@dataclass(frozen=True)
class Fitted:
    """What a run found in its data, and what its model needs to be used: the table [fitted] of config.toml."""

    features: tuple[str, ...]
    target: str | None
    classes: tuple[str, ...] | None
    digest: str
    inputs: Scale = UNSCALED
    outputs: Scale = UNSCALED

    def table(self) -> dict[str, Any]:
        """Plain values for a file."""
        scales = {
            f"{name}_{part}": getattr(scale, part)
            for name, scale in (("input", self.inputs), ("target", self.outputs))
            if scale != UNSCALED
            for part in ("mean", "std")
        }
        return {
            "features": self.features,
            "target": self.target,
            "classes": self.classes,
            "digest": self.digest,
            **scales,
        }

    @staticmethod
    def read(table: Mapping[str, Any]) -> Fitted:
        """The values of a file. Raises KeyError, TypeError or ValueError for a table that `table` didn't write."""

        def scale(name: str) -> Scale:
            if f"{name}_mean" not in table:
                return UNSCALED
            return Scale(*(tuple(float(v) for v in table[f"{name}_{part}"]) for part in ("mean", "std")))

        classes = table.get("classes")
        return Fitted(
            tuple(map(str, table["features"])),
            table.get("target"),
            None if classes is None else tuple(map(str, classes)),
            str(table["digest"]),
            scale("input"),
            scale("target"),
        )

    def targets(self, source: Source, loss: str) -> Any:
        """y as the loss takes it: codes [rows], one-hot rows [rows, classes], or scaled numbers [rows]."""
        if self.classes is None:
            return self.outputs.apply(np.asarray(source.y, np.float64))
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
        binary = loss == "binary_crossentropy"
        return Task("mse" if loss == "auto" else loss, 1, "sigmoid" if binary else "linear", None)
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
    """What the training part says about the scale; "standard" also standardises a target of numbers."""
    inputs = outputs = UNSCALED
    if settings.scale == "standard":
        inputs = _standard(source.X[train])
        if task.loss in ("mse", "mean_squared_error"):
            outputs = _standard(source.y[train][:, None])
    elif settings.scale != "none":
        inputs = Scale((0.0,), (float(settings.scale),))
    return Fitted(source.features, source.target, task.classes, source.digest, inputs, outputs)


def _standard(x: Any) -> Scale:
    """Mean and standard deviation of each column [rows, columns]; a constant column becomes zeros."""
    mean, std = x.mean(axis=0), x.std(axis=0)
    constant = np.ptp(x, axis=0) == 0.0
    mean = np.where(constant, x[0], mean)
    return Scale(tuple(mean.tolist()), tuple(np.where(constant, 1.0, std).tolist()))
