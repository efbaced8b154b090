"""The training loop: programs run in calls of about 50 ms, and everything else happens in between."""

from __future__ import annotations

import contextlib
import functools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from deepmath.errors import NonFiniteError
from deepmath.training.callbacks import Callback, Run
from deepmath.training.history import RATE, summaries, summarize
from deepmath.training.nonfinite import Guard
from deepmath.training.signals import Signals, interruptions

Validate = Callable[[], dict[str, float]]

CALL_SECONDS = 0.05
"""About how long one call of a program lasts, so that signals, callbacks and progress have their turn."""


def train(
    run: Run,
    callbacks: Sequence[Callback],
    validate: Validate | None = None,
    guard: Guard | None = None,
    minimize: Callable[[Callable[[Any], bool]], bool] | None = None,
) -> None:
    """Train until `run.epochs` epochs are complete, a callback stops, or the user interrupts.

    `minimize` makes the steps itself, on all rows (L-BFGS): it calls its argument with the results of each step,
    which is an epoch, and ends when that gives True. Else `guard` watches that values stay finite.

    Ctrl-C finishes the step at hand, lets the callbacks save, and then raises KeyboardInterrupt; SIGTERM does the
    same and raises Terminated. A second signal waits for nothing and nothing is saved then.
    """
    callbacks = sorted(callbacks, key=lambda c: c.last)
    at_end = sorted(callbacks, key=lambda c: not c.last)
    with interruptions() as signals:
        _each(callbacks, "on_train_begin", run)
        try:
            if minimize is not None:
                if run.epochs > run.epoch and not run.stop:
                    whole_epoch = functools.partial(_whole_epoch, run, callbacks, validate, signals)
                    converged = minimize(whole_epoch)
                    run.history.converged = None if run.stop else converged
            elif guard is not None:
                _epochs(run, callbacks, validate, guard, signals)
        except KeyboardInterrupt:
            run.failed = run.failed or not signals.obeyed
            raise
        finally:
            with contextlib.ExitStack() as ends:  # each has its turn, whatever another one raises
                for callback in reversed(at_end):
                    ends.callback(callback.on_train_end, run)
        signals.check()  # one that came while callbacks saved


def _epochs(run: Run, callbacks: Sequence[Callback], validate: Validate | None, guard: Guard, signals: Signals) -> None:
    pace = _Pace()
    guard.begin()
    try:
        while run.epoch < run.epochs and not run.stop:
            _epoch(run, callbacks, validate, guard, pace, signals)
    except BaseException:
        if not run.failed:
            guard.finish()
        raise
    guard.finish()


def _epoch(
    run: Run,
    callbacks: Sequence[Callback],
    validate: Validate | None,
    guard: Guard,
    pace: _Pace,
    signals: Signals,
) -> None:
    if run.step_in_epoch == 0:
        _each(callbacks, "on_epoch_begin", run)
    guard.begin_epoch()
    watched = bool(callbacks) or validate is not None or guard.careful  # else many epochs can run in one call
    while run.step_in_epoch < run.steps_per_epoch or not guard.closes_epoch():
        if run.step_in_epoch == run.steps_per_epoch:  # the last step was left out
            continue
        epochs = 1 if watched else run.epochs - run.epoch
        k = min(pace.steps, epochs * run.steps_per_epoch - run.step_in_epoch, *_until_due(run, callbacks))
        with signals.at_once():  # where data can't be read, or don't come, the run stands between two steps
            k = run.program.ready(k)
            run.program.pace.ask(run.step, k)
        try:
            with np.errstate(all="ignore"):  # what overflows is found below, with the step it came from
                results = pace.timed(functools.partial(run.program.run, k), k)
        except BaseException:
            guard.put_back()
            raise
        results = _last_epoch_of(run, np.asarray(results))
        run.rate = run.program.pace.rate(run.step - 1)  # callbacks may change it from here on
        if guard.admits(results):
            run.results.extend(results)
            run.step_in_epoch += len(results)
        _each(callbacks, "on_steps_end", run)
        signals.check()
        if run.stop:
            return
    with signals.at_once():
        measured = _measured(run, callbacks, validate)
    _end_epoch(run, callbacks, measured)
    signals.check()


def _last_epoch_of(run: Run, results: Any) -> Any:
    """End the epochs behind which results go on; gives those of the last one, or of the first with a bad loss."""
    size, rest = run.steps_per_epoch, run.steps_per_epoch - run.step_in_epoch
    if len(results) <= rest:
        return results
    bad = np.flatnonzero(~np.isfinite(results[:, 0]))
    good = int(bad[0]) if len(bad) else len(results) - 1
    if good < rest:
        return results
    run.results.extend(results[:rest])
    stop = good - (good - rest) % size
    before = run.step - len(results)
    run.rate, *rates = run.program.pace.rates(range(before + rest - 1, before + stop, size))
    _end_epoch(run, (), {})
    ended = summaries(run.columns, results[rest:stop].reshape(-1, size, results.shape[1]))
    for logs, rate in zip(ended, rates, strict=True):
        run.history.add(run.epoch, logs | {RATE: rate})
        run.epoch += 1
    return results[stop:]


def _whole_epoch(
    run: Run,
    callbacks: Sequence[Callback],
    validate: Validate | None,
    signals: Signals,
    results: Any,
) -> bool:
    """Take in one step on all rows; whether training ends here."""
    _check_finite(run, results)
    run.results = [np.asarray(results)]
    _each(callbacks, "on_steps_end", run)
    _end_epoch(run, callbacks, _measured(run, callbacks, validate))
    signals.check()
    return run.stop or run.epoch >= run.epochs


def _measured(run: Run, callbacks: Sequence[Callback], validate: Validate | None) -> dict[str, float]:
    if validate is None:
        return {}
    _each(callbacks, "on_validation_begin", run)
    return validate()


def _end_epoch(run: Run, callbacks: Sequence[Callback], measured: dict[str, float]) -> None:
    logs = summarize(run.columns, run.results) | {f"val_{name}": value for name, value in measured.items()}
    if RATE in run.reported:
        logs[RATE] = run.program.pace.rate(run.step - 1) if run.rate is None else run.rate
    run.history.add(run.epoch, logs)
    run.epoch, run.step_in_epoch, run.results = run.epoch + 1, 0, []
    for callback in callbacks:
        callback.on_epoch_end(run, logs)


def _check_finite(run: Run, results: Any) -> None:
    if not math.isfinite(results[0]):
        run.failed = True
        raise NonFiniteError(f"loss became {float(results[0])} in iteration {run.epoch + 1} of LBFGS. Scale the data.")


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
