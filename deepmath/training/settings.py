"""The settings of a training run, checked before anything else."""

from __future__ import annotations

from deepmath.backend import Backend
from deepmath.descriptions import check_number
from deepmath.errors import ConfigError
from deepmath.training.nonfinite import CHOICES

ON_CUDA = ("tf32", "bf16", "float16")
"""Precisions of the backend for CUDA alone."""


def check_precision(backend: Backend, precision: str) -> None:
    """Raise ConfigError for a precision that a backend lacks."""
    if precision not in backend.precisions:
        known = ", ".join(backend.precisions)
        cure = "; on a CUDA device, backend='cupy' has it" if precision in ON_CUDA and backend.name != "cupy" else ""
        raise ConfigError(f"backend '{backend.name}' has no precision {precision!r}; it has {known}{cure}")


def check(epochs: int, accumulate: int, initial_epoch: int, on_nan: str) -> None:
    """Raise ConfigError for a setting of `fit` that can't be used."""
    check_number("fit", "epochs", epochs, low=0, whole=True)
    check_number("fit", "initial_epoch", initial_epoch, low=0, whole=True)
    check_number("fit", "accumulate", accumulate, low=1, whole=True)
    if on_nan not in CHOICES:
        raise ConfigError(f"fit: on_nan must be 'stop', 'rollback' or 'skip'; got {on_nan!r}")


def batch_size(given: int | str, rows: int, drop_last: bool, accumulate: int) -> int:
    """The rows of a micro-batch: a number, or "full" for all rows."""
    if isinstance(given, str) and given == "full":
        return rows
    size = int(check_number("fit", "batch_size", given, low=1, whole=True))
    if drop_last and size * accumulate > rows:
        raise ConfigError(f"fit: drop_last leaves no batch: {rows} rows, batches of {size * accumulate}")
    return size
