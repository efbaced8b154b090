"""The network that the settings describe, and how it is told in a line."""

from __future__ import annotations

from itertools import groupby

from deepmath.cli.preparation import Prepared
from deepmath.cli.screen import count
from deepmath.cli.settings import optimizer_of
from deepmath.layers import Activation, BatchNormalization, Dense, Dropout
from deepmath.model import Sequential
from deepmath.regularizers import L2


def network(prepared: Prepared) -> Sequential:
    """A compiled model for the numbers of a data set: for each width a dense layer, its normalisation, activation and
    dropout; then the outputs. It knows how to scale its inputs and what its target is.
    """
    settings, task = prepared.settings, prepared.task
    model = Sequential(seed=settings.seed, preprocessing=prepared.preprocessing)
    model.target = prepared.data.target
    penalty = L2(settings.l2) if settings.l2 else None
    inputs: int | None = prepared.data.inputs
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
    compile_anew(model, prepared)
    return model


def compile_anew(model: Sequential, prepared: Prepared) -> None:
    """Choose optimiser, loss and metrics; the learning rate is the settings' own again."""
    metrics = ["accuracy"] if prepared.data.classes else []
    model.compile(optimizer_of(prepared.settings), prepared.task.loss, metrics)


def network_line(prepared: Prepared, model: Sequential) -> str:
    """Widths from input to output, with what stands between."""
    settings, task = prepared.settings, prepared.task
    chain = "-".join(map(str, (prepared.data.inputs, *settings.hidden, task.outputs)))
    extras = [
        settings.activation if settings.hidden else "",
        "batch norm" if settings.batch_norm else "",
        f"dropout {settings.dropout:g}" if settings.dropout else "",
        f"L2 {settings.l2:g}" if settings.l2 else "",
        f"{task.activation} output",
        f"{sum(w.size for w in model.get_weights()):,} parameters",
    ]
    return f"{chain}: {', '.join(e for e in extras if e)}"


def data_line(prepared: Prepared) -> str:
    """What there is to learn from, and what is to be learned."""
    data = prepared.data
    columns = [c for c in data.summary if c.becomes != "left out"]
    inputs = (
        f"{count(len(columns), 'column')}, {count(data.inputs, 'input')}"
        if data.summary
        else count(data.inputs, "feature")
    )
    kind = f"{len(data.classes)} classes" if data.classes else "a number to predict"
    return f"{data.name}: {count(data.rows, 'row')}, {inputs}, {kind}"


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
