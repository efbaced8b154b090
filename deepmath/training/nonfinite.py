"""Training that stops being numbers: found, traced to its first step, and answered as `fit(on_nan=...)` says.

The loss of each step tells that something went wrong, at the latest one step after it did. To know what, the guard
goes back to a good state and computes from there again. The program gives the same bits, so the step that broke the
values is found, and the state before it.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from deepmath.errors import ConfigError, NonFiniteError
from deepmath.optimizers import LBFGS
from deepmath.program import Data, Recipe
from deepmath.training.callbacks import Callback, Run
from deepmath.training.causes import NO_UPDATE, cause_of
from deepmath.training.checkpoints import Checkpoint
from deepmath.training.copies import Copies, Copy
from deepmath.training.witness import bad_value_of, first_bad_value

logger = logging.getLogger("deepmath")

CHOICES = ("stop", "rollback", "skip")
ROLLBACKS = 5
"""How often one run begins an epoch again."""
SKIPS_IN_A_ROW = 10
"""How many steps in a row are left out before it is clear that the values themselves are of no use."""

BETWEEN_STEPS = ("on_epoch_begin", "on_steps_end", "on_validation_begin", "on_epoch_end")
"""The events at which a callback could change the values in the middle of training."""


class Guard:
    """Watches one run. "stop" raises NonFiniteError, and the program stands at its last finite values.

    "rollback" begins the epoch again with half the learning rate and with the values of the last epoch's beginning
    whose first loss was at most twice the lowest such loss: the newest ones may be on their way out. "skip" leaves
    out the steps that give values which are not finite. Both look at all values at the end of each epoch, and neither
    depends on when copies were taken: same seed, same run.

    `data_at(step)` are the data that hold a step's rows; where they come only once, it is None: then nothing can
    be computed again, and there is only "stop", which goes back to the last copy and can't tell which layer it was.
    `values` are those that the program was compiled with, if the run begins with them: they need no copy.
    """

    def __init__(
        self, run: Run, recipe: Recipe, data_at: Callable[[int], Data] | None, on_nan: str = "stop",
        values: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        if on_nan != "stop" and isinstance(recipe.optimizer, LBFGS):
            raise ConfigError(f"fit: on_nan={on_nan!r} needs an optimizer that steps; LBFGS can only stop")
        if on_nan != "stop" and data_at is None:
            raise ConfigError(
                f"fit: on_nan={on_nan!r} goes back to earlier steps, and an iterable of batches can't; give a sequence "
                "of batches, a source or arrays, or on_nan='stop'"
            )
        self._run, self._recipe, self._data_at, self._on_nan = run, recipe, data_at, on_nan
        self.careful = on_nan != "stop"
        self._rollbacks, self._skips, self._in_a_row = 0, 0, 0
        self._last_skip = -2
        self._copies = Copies(run.program)
        self._values = values if _keep_values(run.callbacks, "on_train_begin") else None
        self._steady = _keep_values(run.callbacks, *BETWEEN_STEPS)
        self._start: tuple[Copy, int] | None = None
        self._lowest = math.inf

    def begin(self) -> None:
        """Before the first step: raise NonFiniteError for values that are not finite already."""
        program, start = self._run.program, time.perf_counter()
        self._begun = program.step
        if not program.is_finite():
            self._run.failed = True
            raise NonFiniteError(
                f"the model holds values that are not finite before the first step: "
                f"{bad_value_of(self._recipe, program.state())}. Set other weights, or draw new ones in a new model."
            )
        self._copies.begin(self._values, time.perf_counter() - start)

    def begin_epoch(self) -> None:
        """The place that "rollback" goes back to, and what "skip" counts from."""
        if not self.careful:
            return
        run = self._run
        self._first_step = run.step - run.step_in_epoch
        self._left_out = run.step_in_epoch - len(run.results)
        self._skipped: list[int] = []
        self._position = run.step, run.step_in_epoch, len(run.results)
        if not self._steady or self._copies.is_due():  # what others changed can't be computed again
            self._copies.keep()
        self._candidate: tuple[Copy, int] | None = (self._copies.newest, run.step)
        self._start = self._start or self._candidate

    def admits(self, results: Any) -> bool:
        """Take in what a call gave. False where it went wrong and the run was put back to go on from there."""
        run, losses = self._run, results[:, 0].tolist()  # NumPy would need longer to begin than the sum takes
        self._copies.note_rate(run.step - len(losses))
        if self.careful and self._candidate is not None:
            self._consider(losses[0])
        bad = _first_not_finite(losses)
        if bad is None:
            return not self._copies.is_due() or self._look(list(results))
        step = run.step - len(losses) + bad
        self._answer(step, f"loss became {losses[bad]} at step {step}", list(results))
        return False

    def closes_epoch(self) -> bool:
        """Whether the epoch can end here: with "rollback" and "skip" only with finite values."""
        if not self.careful:
            return True
        if not self._run.results:
            what, good = f"every step of epoch {self._run.epoch + 1} was left out", self._copies.newest.state()
            self._fail(what, None, good, first=self._is_untouched(self._run.step))
        return self._is_finite([])

    def finish(self) -> None:
        """At the end: raise NonFiniteError if the last step broke the values."""
        self.careful, self._on_nan = False, "stop"
        self._is_finite([])

    def put_back(self) -> None:
        """To the last copy of good values: after what stopped in the middle of a step."""
        self._run.failed = True
        self._run.program.load(self._copies.newest.state())

    def _is_finite(self, results: list[Any]) -> bool:
        """Check the values as they stand, after a call that gave `results`. False where the run was put back."""
        if self._run.program.is_finite():
            return True
        self._answer(None, f"values stopped being finite before step {self._run.step}", results)
        return False

    def _look(self, results: list[Any]) -> bool:
        """Check and keep the values as they stand. False where the run was put back.

        With "rollback" and "skip" bad values are left for the next loss or the epoch's end to tell, so that what is
        answered, and in which words, doesn't depend on when somebody looked.
        """
        start = time.perf_counter()
        good = self._run.program.is_finite() if self.careful else self._is_finite(results)
        if good:
            self._copies.keep(time.perf_counter() - start)
        return good or self.careful

    def _answer(self, bad: int | None, what: str, results: list[Any]) -> None:
        """Find the step that broke the values, and do what `on_nan` says. `bad` is the first with a bad loss."""
        run = self._run
        what = f"{what} (epoch {run.epoch + 1})"
        if self._on_nan == "rollback" and self._rollbacks < ROLLBACKS:
            self._roll_back(what)
            return
        if self._data_at is None:
            self._fail(what, None, self._copies.newest.state(), first=bad is not None and self._is_untouched(bad))
        broken = run.step if bad is None else bad
        step, good = self._copies.culprit(broken)
        with np.errstate(all="ignore"):
            cause = first_bad_value(self._recipe, self._data_at(step), good)
        found = bad is not None or step < broken
        if self._on_nan == "skip" and found and step >= self._first_step:
            self._skip(step, good, what, cause, results)
        else:
            self._fail(what, f"{cause} (step {step})" if cause else None, good, first=self._is_untouched(step))

    def _consider(self, loss: float) -> None:
        """Whether "rollback" goes to the values at this epoch's beginning: not if they were on their way out."""
        if self._candidate is not None and math.isfinite(loss) and loss <= self._lowest + abs(self._lowest):
            self._start, self._lowest = self._candidate, min(self._lowest, loss)
        self._candidate = None

    def _roll_back(self, what: str) -> None:
        run = self._run
        step, run.step_in_epoch, count = self._position
        del run.results[count:]
        pace = run.program.pace
        pace.factor /= 2.0
        rate = pace.value
        assert self._start is not None
        start = self._copies.at(*self._start)
        run.program.load(start | {"step": np.asarray(step), "rate": rate})
        self._copies.keep()
        self._rollbacks += 1
        logger.warning(
            "%s; back to the values of step %d with %g of the learning rate (%d of at most %d times)",
            what, start["step"], pace.factor, self._rollbacks, ROLLBACKS,
        )  # fmt: skip

    def _skip(self, step: int, good: dict[str, Any], what: str, cause: str | None, results: list[Any]) -> None:
        run = self._run
        self._in_a_row = self._in_a_row + 1 if step == self._last_skip + 1 else 1
        if self._in_a_row > SKIPS_IN_A_ROW:
            told = f"{what} after {SKIPS_IN_A_ROW} steps in a row were left out"
            self._fail(told, cause, good, first=self._is_untouched(step))
        run.results.extend(results)
        kept = step - self._first_step - self._left_out - len(self._skipped)
        del run.results[kept:]
        self._skipped.append(step)
        self._skips, self._last_skip = self._skips + 1, step
        run.program.load(good | {"step": np.asarray(step + 1)})
        run.step_in_epoch = step + 1 - self._first_step
        self._copies.keep()
        logger.warning("%s; step %d left out (%s); %d left out so far", what, step, cause, self._skips)

    def _fail(self, what: str, cause: str | None, good: dict[str, Any], *, first: bool = False) -> NoReturn:
        """Raise NonFiniteError with the last good values in place; `first` where no update of the run came before."""
        self._run.failed = True
        self._run.program.load(good)
        saved = next((c.newest for c in self._run.callbacks if isinstance(c, Checkpoint) and c.newest), None)
        bad = f"First bad value: {cause}." if cause else "Computed alone, the step before gives finite values."
        if self._data_at is None:
            bad = (
                f"The last good values kept are those of step {int(good['step'])}. Batches that come only once can't "
                "be computed again: for the layer and its first bad value give a sequence of batches, a source or "
                "arrays."
            )
        rate = self._run.program.pace.rate(self._run.step)
        lower = f"Try a lower learning rate (now {rate:g}), or gradient clipping (clipnorm=1.0)."
        advice = self._of_first_step(good) if first else ""
        told = [f"{what}.", bad, f"Last good checkpoint: {saved}." if saved else "", advice or lower]
        raise NonFiniteError(" ".join(t for t in told if t))

    def _is_untouched(self, step: int) -> bool:
        """Whether no update of this run came before this step."""
        return step - self._begun == self._skips

    def _of_first_step(self, good: dict[str, Any]) -> str:
        """Why it is not finite though no update came before it; empty where the rate may be the cause."""
        if self._data_at is None:
            return f"{NO_UPDATE}: look at the scale of inputs and targets."
        cause = cause_of(self._recipe, self._data_at(self._begun), good | {"step": np.asarray(self._begun)})
        return "" if cause is None or not cause.blames(self._begun) else f"{NO_UPDATE}: {cause.told}"


def _first_not_finite(losses: list[float]) -> int | None:
    if math.isfinite(sum(losses)):
        return None
    return next((i for i, loss in enumerate(losses) if not math.isfinite(loss)), None)


def _keep_values(callbacks: Sequence[Callback], *events: str) -> bool:
    """Whether these events leave the values as they are: our own callbacks see to that, others may do what they like.

    The rate may change.
    """
    functions = (getattr(callback, event) for callback in callbacks for event in events)
    return all(str(getattr(function, "__module__", "")).startswith("deepmath.") for function in functions)
