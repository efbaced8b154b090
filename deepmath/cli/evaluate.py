"""`deepmath evaluate`: loss and metrics of a saved model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click
import numpy as np

from deepmath.cli import options, preparation, tables
from deepmath.cli.folder import Trained, data_settings, read_run
from deepmath.cli.screen import count, show
from deepmath.cli.settings import Settings
from deepmath.cli.tables import Source


@click.command()
@click.argument("model")
@click.argument("data", required=False)
@options.from_csv
@options.on_backend
def evaluate(model: str, data: str | None, na: tuple[str, ...], header: bool | None, **given: Any) -> None:
    """Measure MODEL, a folder of 'deepmath train' or a model file, on DATA.

    DATA is a data set or a path that ends in .csv; without it, the data of the run. On those, the rows measured
    are the test part of the run, if it had one; on any other data, all rows.
    """
    trained = read_run(model)
    target, data_dir = given.pop("target"), given.pop("data_dir")
    settings = data_settings(
        trained, data, {"target": target, "header": header, "na": na or None, "data_dir": data_dir}
    )
    source = tables.load(settings)
    which, part = _rows(trained, settings, source)
    X, y, unit = _scaled(trained, settings, source)
    values = trained.model.evaluate(X[which], y[which], **options.where(trained.settings, given))
    rows = [("data", f"{source.name}: {part}"), *((name, f"{value:.6g}") for name, value in values.items())]
    if unit is not None:
        rows.append(("mse", f"{values['cost'] * unit:.6g} in the target's own units"))
    show(rows)


def _rows(trained: Trained, settings: Settings, source: Source) -> tuple[Any, str]:
    """The rows to measure, and how that is told."""
    rows = len(source.y)
    if trained.settings is None or trained.fitted is None or source.digest != trained.fitted.digest:
        return np.arange(rows), f"all {count(rows, 'row')}"
    settings = replace(trained.settings, data=settings.data)
    test = preparation.parts_of(source, settings, stratify=trained.fitted.classes is not None).test
    if not len(test):
        return np.arange(rows), f"all {count(rows, 'row')}, which are those it was trained on"
    return test, f"the test part, {count(len(test), 'row')} of {rows:,}"


def _scaled(trained: Trained, settings: Settings, source: Source) -> tuple[Any, Any, float | None]:
    """Inputs and targets as the model takes them, and the square of a scaled target's unit."""
    fitted = trained.fitted
    if fitted is None or trained.settings is None:
        return source.X, source.y, None
    X = source.X
    if settings.is_file:
        X = tables.chosen_columns(source.name, source.features, X, fitted.features, settings.header)
    unit = None if fitted.unit == preparation.Unit() else fitted.unit.size**2
    return X, fitted.targets(source, trained.settings.loss), unit
