"""`deepmath train --diagnose`: what the training doctor says of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from deepmath.backend import load_backend
from deepmath.cli.settings import Settings
from deepmath.data.adapters import adapt, hold_out, rows_of
from deepmath.model import Sequential
from deepmath.storage import write_whole
from deepmath.study import diagnose
from deepmath.study.findings import Diagnosis
from deepmath.training.history import History

FILE = "diagnosis.txt"
"""What the verdict is called in the run's folder."""


def verdict(
    model: Sequential, settings: Settings, training: tuple[Any, Any], test: tuple[Any, Any], history: History,
    first: Sequence[Any] | None = None,
) -> Diagnosis:  # fmt: skip
    """The training doctor's verdict on a trained model, whose weights were `first` or are drawn again.

    `training` are the rows that `fit` got: the last of them measured each epoch where the settings say so, and
    judge variance then. Else the test part does, where there is one. Trials run where the training did.
    """
    trained, held_out = hold_out(adapt(*training), None, settings.validation_split)
    rows = rows_of(trained)
    held = test if held_out is None else rows_of(held_out)[:2]
    return diagnose(
        model,
        rows.X,
        rows.y,
        validation_data=held if len(held[0]) else None,
        history=history,
        initial_weights=first,
        batch_size=len(rows.X) if settings.batch_size == "full" else int(settings.batch_size),
        backend=load_backend(settings.backend, settings.device),
        seed=settings.seed,
    )


def write(folder: Path, found: Diagnosis, quiet: bool) -> None:
    """The verdict in the folder and, unless told otherwise, on the screen."""
    write_whole(folder / FILE, found.text().encode())
    if not quiet:
        click.echo(f"\n{found.text()}")
