"""`deepmath predict`: what a saved model says about each row."""

from __future__ import annotations

import csv
import io
import logging
from pathlib import Path
from typing import Any

import click
import numpy as np

from deepmath.cli import options, tables
from deepmath.cli.folder import Trained, data_settings, read_run
from deepmath.cli.screen import count
from deepmath.storage import write_whole

logger = logging.getLogger("deepmath")


@click.command()
@click.argument("model")
@click.argument("data", required=False)
@options.from_csv
@options.on_backend
@click.option("--out", metavar="FILE.csv", help="File for the predictions.  [default: standard output]")
def predict(
    model: str, data: str | None, na: tuple[str, ...], header: bool | None, out: str | None, **given: Any
) -> None:
    """Predict each row of DATA with MODEL, a folder of 'deepmath train' or a model file.

    Writes CSV: the class and the probability of each class, or the predicted number. A CSV file of DATA may lack
    the target column.
    """
    trained = read_run(model)
    target, data_dir = given.pop("target"), given.pop("data_dir")
    settings = data_settings(
        trained, data, {"target": target, "header": header, "na": na or None, "data_dir": data_dir}
    )
    fitted = trained.fitted
    X = tables.load_features(
        settings, fitted.features if fitted else None, target or (fitted.target if fitted else None)
    )
    outputs = trained.model.predict(X, **options.where(trained.settings, given))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows(_table(trained, outputs))
    if out is None:
        click.echo(text.getvalue(), nl=False)
    else:
        write_whole(Path(out), text.getvalue().encode())
        logger.info("%s written to %s", count(len(outputs), "prediction"), out)


def _table(trained: Trained, outputs: Any) -> list[list[str]]:
    """Header and rows; numbers have the digits that their precision needs."""
    classes = _classes(trained, outputs.shape[1])
    if classes is None:
        values = trained.fitted.unit.targets(outputs).astype(outputs.dtype) if trained.fitted else outputs
        names = ["prediction"] if values.shape[1] == 1 else [f"prediction_{i}" for i in range(values.shape[1])]
        return [names, *([str(v) for v in row] for row in values)]
    shares = np.concatenate([1 - outputs, outputs], axis=1) if outputs.shape[1] == 1 else outputs
    head = ["prediction", *(f"p_{name}" for name in classes)]
    best = shares.argmax(axis=1)
    return [head, *([classes[k], *map(str, row)] for k, row in zip(best, shares, strict=True))]


def _classes(trained: Trained, outputs: int) -> tuple[str, ...] | None:
    """Names of the classes; those of a model without its run are numbers. None for a model that predicts numbers."""
    if trained.fitted is not None:
        return trained.fitted.classes
    activation = getattr(getattr(trained.model.layers[-1], "activation", None), "name", None)
    if activation == "sigmoid" and outputs == 1:
        return "0", "1"
    return tuple(map(str, range(outputs))) if activation == "softmax" else None
