"""`deepmath evaluate`: loss and metrics of a saved model."""

from __future__ import annotations

from typing import Any

import click
import numpy as np

from deepmath.cli import options, preparation, using
from deepmath.cli.data import DataSet
from deepmath.cli.folder import Trained, data_settings, read_run
from deepmath.cli.measuring import errors, own_unit
from deepmath.cli.screen import count, show


@click.command()
@click.argument("model")
@click.argument("data", required=False)
@options.from_file
@options.on_backend
def evaluate(model: str, data: str | None, **given: Any) -> None:
    """Measure MODEL, a folder of 'deepmath train' or a model file, on DATA.

    DATA is a data set or a file; without it, the data of the run. On those, the rows measured are the test part of the
    run, if it had one; on any other data, all rows that have a target.
    """
    trained = read_run(model)
    reading = {name: given[name] for name in ("target", "header", "na", "data_dir")}
    known = using.measured(trained, data_settings(trained, data, reading))
    rows, part = _rows(trained, known)
    where, network = options.where(trained.settings, given), using.takes_numbers(trained)
    values = network.evaluate(*known.at(rows), **where)
    told = [("data", f"{known.name}: {part}"), *((name, f"{value:.6g}") for name, value in values.items())]
    if own_unit(known.target):
        found = errors(network, known, rows, where)
        unit = f"in the unit of '{known.target.name}'"
        told += [("rmse", f"{found.rmse:.6g} {unit}"), ("mae", f"{found.mae:.6g} {unit}"), ("r2", f"{found.r2:.6g}")]
    show(told)


def _rows(trained: Trained, known: DataSet) -> tuple[Any, str]:
    """The rows to measure, and how that is told."""
    rows, lost = known.rows, f"; {count(known.dropped, 'row')} without a target" if known.dropped else ""
    if trained.settings is None or known.digest() != trained.digest:
        return np.arange(rows), f"all {count(rows, 'row')}{lost}"
    test = preparation.parts_of(known.codes(), trained.settings).test
    if not len(test):
        return np.arange(rows), f"all {count(rows, 'row')}, which are those it was trained on{lost}"
    return test, f"the test part, {count(len(test), 'row')} of {rows:,}{lost}"
