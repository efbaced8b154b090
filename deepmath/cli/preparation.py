"""From a data set to what is trained on: the target, the parts, what columns become, and how inputs are scaled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from deepmath import datasets, losses
from deepmath.cli import data as reading
from deepmath.cli.data import DataSet
from deepmath.cli.memory import is_large
from deepmath.cli.settings import Settings, kinds_of, optimizer_of
from deepmath.data.encoding import fitted
from deepmath.datasets import TableSource
from deepmath.errors import ConfigError, LabelError
from deepmath.preprocessing import Chain, MinMax, SmoothClip, Standardize, behind_table
from deepmath.tables import ClassTarget, NumberTarget, TableEncoder, Target, scaled_to, target_of
from deepmath.tables.columns import Numbers
from deepmath.tables.frames import no_column, values_of
from deepmath.tables.kinds import wanted
from deepmath.tables.places import table_names

Resolve = Callable[[int], Settings]
"""The settings for so many rows."""

_ENDS = {
    "chances": "sigmoid",
    "distribution": "softmax",
    "positive": "softplus",
}
"""The last activation by what a loss takes for predictions; others take any number."""


@dataclass(frozen=True)
class Parts:
    """Row numbers of the part that trains, of the part that measures each epoch, and of the test part."""

    train: Any
    validation: Any
    test: Any

    @property
    def judging(self) -> Any:
        """The rows that say how good a model is: the test part, or where there is none, those that trained."""
        return self.test if len(self.test) else self.train


@dataclass(frozen=True)
class Task:
    """What is to be learned: the loss, and the last layer that goes with it."""

    loss: str
    outputs: int
    activation: str


@dataclass(frozen=True)
class Prepared:
    """All that a network needs to be made and trained; `preprocessing` is fitted to the rows of `data`."""

    settings: Settings
    data: DataSet
    parts: Parts
    task: Task
    encoder: TableEncoder
    preprocessing: Any

    @property
    def whole_preprocessing(self) -> Any:
        """What a model does to rows as somebody has them: columns become numbers in front of the rest."""
        encoding = self.data.encoding
        return self.preprocessing if encoding is None else behind_table(encoding, self.preprocessing, self.encoder)


def prepare(resolve: Resolve) -> Prepared:
    """Read the data, split them, and learn from the part that trains what columns, inputs and target become.

    Raises ConfigError, LabelError, FormatError or NumericError for data that can't be learned from.
    """
    first = resolve(0)
    encoder = TableEncoder()
    if first.is_table:
        name, encoder, kind = _columns(first)
        read = _from_source if is_large(first.data) else _from_table
        settings, data, parts = read(resolve, name, encoder, kind)
        settings = replace(settings, target=name)
    else:
        data = reading.named(first, lambda y, name: _target(y, name, first, None))
        settings = resolve(data.rows)
        parts = parts_of(data.codes(), settings)
        data = replace(data, target=_scaled(data.target, settings, data.y[parts.train]))
    task = task_of(data, settings.loss)
    settings = replace(settings, loss=task.loss, learning_rate=getattr(optimizer_of(settings), "learning_rate", None))
    return Prepared(settings, data, parts, task, encoder, _preprocessing(settings, data, parts.train))


def _columns(settings: Settings) -> tuple[str, TableEncoder, str | None]:
    """The target's name, the encoder of the other columns, and the target's kind where it is said."""
    kinds, names = kinds_of(settings), table_names(settings.data, header=settings.header)
    for name in kinds:
        if name not in names:
            no_column(name, names, f"--column: {settings.data}")
    name = reading.target_name(settings)
    kind = kinds.pop(name, None)
    return name, TableEncoder(kinds), kind


def _from_table(
    resolve: Resolve, name: str, encoder: TableEncoder, kind: str | None
) -> tuple[Settings, DataSet, Parts]:
    first = resolve(0)
    text = {*encoder.text, *([name] if kind is not None and wanted(name, kind).numbers is not None else [])}
    table = reading.table(first, name, text=text)
    target = _target(table.y, name, first, kind)
    table = table.known(target)
    settings, codes = resolve(table.inputs.rows), target.encode(table.y)
    parts = parts_of(codes, settings)
    found = encoder.fit_chunks([table.inputs.take(np.sort(parts.train))])
    target = _scaled(target, settings, codes[parts.train])
    return settings, table.numbers(found.encoding.with_na(settings.na), target, found.summary), parts


def _from_source(
    resolve: Resolve, name: str, encoder: TableEncoder, kind: str | None
) -> tuple[Settings, DataSet, Parts]:
    """A table larger than memory: its numbers go to files, whose parts are read in the order of the rows."""
    first, chosen = resolve(0), list[tuple[Settings, Parts]]()

    def learn_from(y: Any) -> Any:
        settings = resolve(len(y))
        parts = parts_of(y, settings)
        chosen.append((settings, Parts(*(np.sort(rows) for rows in (parts.train, parts.validation, parts.test)))))
        return parts.train

    source = TableSource(
        first.data,
        target=name,
        encoder=encoder,
        kind=kind or _kind(first.loss),
        scale=_scales(first),
        learn_from=learn_from,
        header=first.header,
        na=first.na,
    )
    settings, parts = chosen[0]
    names, target = source.encoding.output_names, source.target
    data = DataSet(first.data, None, None, names, target, source.encoding, source.summary or (), source.dropped, source)
    return settings, data, parts


def _kind(loss: str) -> str | None:
    """What a loss takes a target for, "category" or "number"."""
    if loss == "auto":
        return None
    return "category" if losses.get(loss).targets in ("labels", "shares", "signs") else "number"


def _target(cells: Any, name: str, settings: Settings, kind: str | None) -> Target:
    """What the target is: as said, as the loss needs it, or as its cells look."""
    loss, wants = settings.loss, kind or _kind(settings.loss)
    column = values_of(cells, name)
    fractions = isinstance(column, Numbers) and bool(
        np.any(column.values != np.floor(column.values), where=~column.missing)
    )
    if kind is None and wants == "category" and fractions:
        if losses.get(loss).predictions == "distribution":
            raise LabelError(f"loss '{loss}' needs labels; the target of {settings.data} holds numbers with fractions")
        return NumberTarget(name)
    try:
        return target_of(column, name, wants)
    except LabelError as error:
        if kind is None and wants == "number":
            raise ConfigError(f"loss '{loss}' needs numbers. In {settings.data}, {error}") from error
        raise


def _scales(settings: Settings) -> bool:
    """Whether a target of numbers is trained on with mean 0 and deviation 1."""
    numbers = settings.loss == "auto" or losses.get(settings.loss).targets == "values"
    return settings.scale in ("standard", "smooth") and numbers


def _scaled(target: Target, settings: Settings, numbers: Any) -> Target:
    return scaled_to(target, numbers) if isinstance(target, NumberTarget) and _scales(settings) else target


def task_of(data: DataSet, loss: str) -> Task:
    """Two classes are told apart by one output, more by one each; numbers are met in the mean square."""
    classes = data.classes
    if loss == "auto":
        loss = "mse" if classes is None else "sparse_categorical_crossentropy"
        loss = "binary_crossentropy" if classes is not None and len(classes) == 2 else loss
    predictions = losses.get(loss).predictions
    if classes is not None and predictions != "distribution" and len(classes) > 2:
        raise LabelError(f"loss '{loss}' tells two classes apart; {data.name} has {len(classes)}. Use --loss auto")
    outputs = len(classes) if classes is not None and predictions == "distribution" else 1
    return Task(loss, outputs, _ENDS.get(predictions, "linear"))


def parts_of(codes: Any, settings: Settings) -> Parts:
    """The same split for the same targets, shares and seed; each class has its share where they are classes."""
    rows, nobody = np.arange(len(codes)), np.arange(0)
    train, test = rows, nobody
    if settings.test:
        chosen = (codes, settings.test, settings.seed)
        train, test = (
            datasets.stratified_split(*chosen) if codes.dtype.kind == "i" else datasets.split(len(codes), *chosen[1:])
        )
    kept = len(train) - round(len(train) * settings.validation_split)
    if not kept:
        raise ConfigError(
            f"--validation-split {settings.validation_split:g} of {len(train)} rows leaves none to train on"
        )
    return Parts(train[:kept], train[kept:], test)


def _preprocessing(settings: Settings, data: DataSet, train: Any) -> Any:
    """What the model does to its inputs: nothing, scale them by what the training part says, or by a number."""
    if settings.scale == "none":
        return None
    if settings.scale not in ("standard", "smooth"):
        return MinMax().fit(np.outer((0.0, float(settings.scale)), np.ones(data.inputs)))
    steps = Standardize() if settings.scale == "standard" else Chain([Standardize(), SmoothClip()])
    if data.source is None:
        return steps.fit(data.X[train])
    return fitted(steps, data.at(train)[0])
