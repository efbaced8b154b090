"""The network that the settings describe, and how it is told in a line."""

from __future__ import annotations

from itertools import groupby

from deepmath.cli.preparation import Task, preprocessing_of
from deepmath.cli.settings import Settings, optimizer_of
from deepmath.layers import Activation, BatchNormalization, Dense, Dropout
from deepmath.model import Sequential
from deepmath.regularizers import L2


def network(settings: Settings, task: Task, features: int) -> Sequential:
    """A compiled model: for each width a dense layer, its normalisation, activation and dropout; then the outputs."""
    model = Sequential(seed=settings.seed, preprocessing=preprocessing_of(settings, features))
    penalty = L2(settings.l2) if settings.l2 else None
    inputs: int | None = features
    for width in settings.hidden:
        if settings.batch_norm:
            model.add(Dense(width, use_bias=False, kernel_regularizer=penalty, input_dim=inputs))
            model.add(BatchNormalization())
            model.add(Activation(settings.activation))
        else:
            model.add(Dense(width, settings.activation, kernel_regularizer=penalty, input_dim=inputs))
        if settings.dropout:
            model.add(Dropout(settings.dropout))
        inputs = None
    model.add(Dense(task.outputs, task.activation, kernel_regularizer=penalty, input_dim=inputs))
    model.compile(optimizer_of(settings), task.loss, ["accuracy"] if task.classes else [])
    return model


def network_line(settings: Settings, task: Task, features: int, parameters: int) -> str:
    """Widths from input to output, with what stands between."""
    chain = "-".join(map(str, (features, *settings.hidden, task.outputs)))
    extras = [
        settings.activation if settings.hidden else "",
        "batch norm" if settings.batch_norm else "",
        f"dropout {settings.dropout:g}" if settings.dropout else "",
        f"L2 {settings.l2:g}" if settings.l2 else "",
        f"{task.activation} output",
        f"{parameters:,} parameters",
    ]
    return f"{chain}: {', '.join(e for e in extras if e)}"


def plan_line(plan: str) -> str:
    """The plan's rows as one line, neighbours that run alike together.

    >>> plan_line("Dense    fused\\nDense    fused\\nDropout  reference on numpy")
    '2 Dense fused; Dropout reference on numpy'
    """
    rows = [tuple(row.split(None, 1)) for row in plan.splitlines()]
    rows = [row[1:] if row[-1].startswith(f"{row[0]} ") else row for row in rows]  # "steps    steps compiled: ..."
    told = []
    for row, same in groupby(rows):
        count = len(list(same))
        told.append(" ".join((f"{count} " if count > 1 else "", *row)).strip().replace("  ", " "))
    return "; ".join(told)
