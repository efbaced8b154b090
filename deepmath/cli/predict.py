"""`deepmath predict`: what a saved model says about each row."""

from __future__ import annotations

import csv
import io
import itertools
import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np

from deepmath.cli import options, using
from deepmath.cli.folder import data_settings, read_run
from deepmath.cli.screen import count
from deepmath.model import Sequential
from deepmath.storage import check_writable

logger = logging.getLogger("deepmath")


@click.command()
@click.argument("model")
@click.argument("data", required=False)
@options.from_file
@options.on_backend
@click.option("--out", metavar="FILE.csv", help="File for the predictions.  [default: standard output]")
def predict(model: str, data: str | None, out: str | None, **given: Any) -> None:
    """Predict each row of DATA with MODEL, a folder of 'deepmath train' or a model file.

    Writes CSV: the class and the probability of each class, or the predicted number in the target's own unit. The
    columns of a table may stand in any order; the target may be among them, and others are passed over.
    """
    trained = read_run(model)
    settings = data_settings(trained, data, {name: given[name] for name in ("target", "header", "na", "data_dir")})
    rows = using.inputs(trained, settings)
    first = next(rows)  # what can't be read is told before anything is written
    network, where = using.takes_numbers(trained), options.where(trained.settings, given)
    outputs = (network.predict(X, **where) for X in itertools.chain([first], rows))
    if out is None:
        for text, _ in _texts(network, outputs):
            click.echo(text, nl=False)
        return
    logger.info("%s written to %s", count(_write(Path(out), _texts(network, outputs)), "prediction"), out)


def _write(path: Path, texts: Iterable[tuple[str, int]]) -> int:
    """Write texts to a file that has its name when it is whole; gives the number of their rows."""
    check_writable(path)
    beside, rows = path.with_name(f".{path.name}.tmp.{os.getpid()}"), 0
    try:
        with open(beside, "w", encoding="utf-8", newline="") as file:
            for text, number in texts:
                file.write(text)
                rows += number
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    return rows


def _texts(model: Sequential, outputs: Iterable[Any]) -> Iterator[tuple[str, int]]:
    """CSV with the header first, piece by piece, and how many rows each is."""
    for number, p in enumerate(outputs):
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        head, *rows = _table(model, np.asarray(p))
        writer.writerows(rows if number else [head, *rows])
        yield text.getvalue(), len(p)


def _table(model: Sequential, p: Any) -> list[list[str]]:
    """Header and rows; numbers have the digits that their precision needs."""
    classes, last = _classes(model, p.shape[1]), _activation(model)
    if classes is None:
        names = ["prediction"] if p.shape[1] == 1 else [f"prediction_{i}" for i in range(p.shape[1])]
        return [names, *p.astype(str).tolist()]
    if p.shape[1] == 1 and last != "sigmoid":
        return [["prediction", "margin"], *([classes[int(m > 0)], str(m)] for m in p[:, 0])]
    shares = np.concatenate([1 - p, p], axis=1) if p.shape[1] == 1 else p
    head = ["prediction", *(f"p_{name}" for name in classes)]
    best = shares.argmax(axis=1)
    texts = shares.astype(str).tolist()
    return [head, *([classes[k], *row] for k, row in zip(best.tolist(), texts, strict=True))]


def _classes(model: Sequential, outputs: int) -> tuple[str, ...] | None:
    """Names of the classes; those of a model that was trained on codes are numbers. None where it predicts numbers."""
    known = getattr(model.target, "classes", None)
    if known is not None or model.target is not None:
        return None if known is None else tuple(map(str, known))
    if _activation(model) == "sigmoid" and outputs == 1:
        return "0", "1"
    return tuple(map(str, range(outputs))) if _activation(model) == "softmax" else None


def _activation(model: Sequential) -> str | None:
    return getattr(getattr(model.layers[-1], "activation", None), "name", None)
