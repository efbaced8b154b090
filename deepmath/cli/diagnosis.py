"""`deepmath train --diagnose`: what the training doctor says of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from deepmath.backend import load_backend
from deepmath.cli.preparation import Prepared
from deepmath.model import Sequential
from deepmath.storage import write_whole
from deepmath.study import diagnose
from deepmath.study.findings import Diagnosis
from deepmath.training.history import History

FILE = "diagnosis.txt"
"""What the verdict is called in the run's folder."""
MOST = 100_000
"""So many rows of a table larger than memory are looked at."""


def verdict(model: Sequential, prepared: Prepared, history: History, first: Sequence[Any] | None = None) -> Diagnosis:
    """The training doctor's verdict on a trained model, whose weights were `first` or are drawn again.

    Variance is judged by the rows that measured each epoch, else by the test part, where there is one. Trials run
    where the training did.
    """
    settings, data, parts = prepared.settings, prepared.data, prepared.parts
    X, y = data.sample(parts.train, MOST)
    held = parts.validation if len(parts.validation) else parts.test
    return diagnose(
        model,
        X,
        y,
        validation_data=data.sample(held, MOST) if len(held) else None,
        history=history,
        initial_weights=first,
        batch_size=len(X) if settings.batch_size == "full" else int(settings.batch_size),
        backend=load_backend(settings.backend, settings.device),
        seed=settings.seed,
    )


def write(folder: Path, found: Diagnosis, quiet: bool) -> None:
    """The verdict in the folder and, unless told otherwise, on the screen."""
    write_whole(folder / FILE, found.text().encode())
    if not quiet:
        click.echo(f"\n{found.text()}")
