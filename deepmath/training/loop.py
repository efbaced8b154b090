"""The training loop: programs run in calls of about 50 ms, and everything else happens in between."""

from __future__ import annotations

import functools
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import numpy as np

from deepmath.errors import NonFiniteError
from deepmath.training.callbacks import Callback, Run
from deepmath.training.history import summarize

Validate = Callable[[], dict[str, float]]

CALL_SECONDS = 0.05
"""About how long one call of a program lasts, so that signals, callbacks and progress have their turn."""


def train(
    run: Run,
    callbacks: Sequence[Callback],
    validate: Validate | None = None,
    minimize: Callable[[Callable[[Any], bool]], None] | None = None,
) -> None:
    """Train until `run.epochs` epochs are complete, a callback stops, or the user interrupts.

    `minimize` makes the steps itself, on all rows (L-BFGS): it calls its argument with the results of each step,
    which is an epoch, and ends when that gives True. Ctrl-C finishes the step at hand and then raises
    KeyboardInterrupt; a second one interrupts at once.
    """
    pace = _Pace()
    callbacks = sorted(callbacks, key=lambda c: c.last)
    with _interrupts() as interrupted:
        _each(callbacks, "on_train_begin", run)
        try:
            if minimize is not None and run.epochs > run.epoch and not run.stop:
                minimize(functools.partial(_whole_epoch, run, callbacks, validate, interrupted))
            while minimize is None and run.epoch < run.epochs and not run.stop:
                _epoch(run, callbacks, validate, pace, interrupted)
        finally:
            _each(sorted(callbacks, key=lambda c: not c.last), "on_train_end", run)


def _epoch(
    run: Run,
    callbacks: Sequence[Callback],
    validate: Validate | None,
    pace: _Pace,
    interrupted: Callable[[], None],
) -> None:
    if run.step_in_epoch == 0:
        _each(callbacks, "on_epoch_begin", run)
    while run.step_in_epoch < run.steps_per_epoch:
        k = min(pace.steps, run.steps_per_epoch - run.step_in_epoch, *_until_due(run, callbacks))
        with np.errstate(all="ignore"):  # what overflows is found below, with the step it came from
            results = pace.timed(functools.partial(run.program.run, k), k)
        check_finite(run, results)
        run.results.extend(np.asarray(results))
        run.step_in_epoch += k
        _each(callbacks, "on_steps_end", run)
        interrupted()
        if run.stop:
            return
    _end_epoch(run, callbacks, validate)


def _whole_epoch(
    run: Run,
    callbacks: Sequence[Callback],
    validate: Validate | None,
    interrupted: Callable[[], None],
    results: Any,
) -> bool:
    """Take in one step on all rows; whether training ends here."""
    run.results = [np.asarray(results)]
    _each(callbacks, "on_steps_end", run)
    _end_epoch(run, callbacks, validate)
    interrupted()
    return run.stop or run.epoch >= run.epochs


def _end_epoch(run: Run, callbacks: Sequence[Callback], validate: Validate | None) -> None:
    logs = summarize(run.columns, run.results)
    if validate is not None:
        _each(callbacks, "on_validation_begin", run)
        logs |= {f"val_{name}": value for name, value in validate().items()}
    run.history.add(run.epoch, logs)
    run.epoch, run.step_in_epoch, run.results = run.epoch + 1, 0, []
    for callback in callbacks:
        callback.on_epoch_end(run, logs)


def check_finite(run: Run, results: Any) -> None:
    """Raise NonFiniteError for the first step whose loss is not a finite number."""
    bad = np.flatnonzero(~np.isfinite(np.asarray(results)[:, 0]))
    if len(bad):
        run.failed = True
        step = run.step - len(results) + int(bad[0])
        value = float(np.asarray(results)[bad[0], 0])
        raise NonFiniteError(
            f"loss became {value} at step {step} (epoch {run.epoch + 1}). "
            "Try a lower learning rate, or gradient clipping (clipnorm=1.0)."
        )


def _until_due(run: Run, callbacks: Sequence[Callback]) -> Iterator[int]:
    for callback in callbacks:
        if callback.every is not None:
            yield callback.every - run.step % callback.every


def _each(callbacks: Sequence[Callback], event: str, run: Run) -> None:
    for callback in callbacks:
        getattr(callback, event)(run)


class _Pace:
    """How many steps fit into one call, found by timing the last one."""

    def __init__(self) -> None:
        self.steps = 1

    def timed(self, call: Callable[[], Any], k: int) -> Any:
        start = time.perf_counter()
        result = call()
        each = max((time.perf_counter() - start) / k, 1e-9)
        self.steps = max(1, min(math.ceil(CALL_SECONDS / each), 10 * self.steps))
        return result


@contextmanager
def _interrupts() -> Iterator[Callable[[], None]]:
    """While active, the first Ctrl-C waits for `interrupted()` to be called, and the second doesn't.

    Only the main thread can receive signals; in any other nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    before = signal.getsignal(signal.SIGINT)
    asked = threading.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        asked.set()
        signal.signal(signal.SIGINT, before)

    def interrupted() -> None:
        if asked.is_set():
            raise KeyboardInterrupt

    if before is not signal.default_int_handler:  # somebody else handles it, or it is ignored
        yield interrupted
        return
    signal.signal(signal.SIGINT, ask)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)
