"""The rules by which scikit-learn's MLP ends a training and changes its rate, kept as a callback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deepmath.optimizers import LBFGS, Optimizer
from deepmath.schedules import Schedule
from deepmath.training.callbacks import Callback, Run

LOWEST_RATE = 1e-6


class Watch(Callback):
    """Keeps an estimator's fitted numbers up to date, epoch by epoch, and stops when they say so.

    `score(program)` measures held-out rows where the estimator stops by them, by what `score_name` says; the values
    of the best score are put back at the end.
    """

    def __init__(
        self, estimator: Any, optimizer: Optimizer, rows: int, score: Callable[[Any], float] | None = None,
        score_name: str = "",
    ) -> None:  # fmt: skip
        self._e, self._rows, self._score, self._score_name = estimator, rows, score, score_name
        self._whole = isinstance(optimizer, LBFGS)
        self._rate: Any = optimizer.learning_rate
        self._best: dict[str, Any] = {}
        self.enough = False

    def on_train_begin(self, run: Run) -> None:
        if self._score is not None and self._e.validation_scores_:  # goes on from the best values of the fit before
            self._best = run.program.state()

    def on_epoch_end(self, run: Run, logs: dict[str, float]) -> None:
        if "val_loss" in logs:
            self._e.validation_loss_curve_.append(float(logs["val_loss"]))
        score = None if self._score is None else self._score(run.program)
        if score is not None and score > self._e.best_validation_score_:
            self._best = run.program.state()
        factor = self._e._rate_factor
        self.after(float(logs["loss"]), score)
        if self._e._rate_factor != factor:
            run.program.pace.factor *= self._e._rate_factor / factor
        if isinstance(self._rate, Schedule):
            self._e.learning_rate_ = run.program.pace.rate(run.step)
        run.stop = run.stop or self.enough

    def on_train_end(self, run: Run) -> None:
        if self._best:
            values = {n: v for n, v in self._best.items() if n.startswith(("params.", "state."))}
            run.program.load(run.program.state() | values)

    def after(self, loss: float, score: float | None = None) -> None:
        """Take in one pass over the data."""
        e = self._e
        e.n_iter_, e.t_, e.loss_ = e.n_iter_ + 1, e.t_ + self._rows, loss
        e.loss_curve_.append(loss)
        self._say(f"Iteration {e.n_iter_}, loss = {loss:.8f}")
        if self._whole:
            e.best_loss_ = loss
            return
        self._count(loss, score)
        if self._law == "invscaling":
            e._rate_factor = (e.t_ + 1) ** -float(e.power_t)
            if not isinstance(self._rate, Schedule):
                e.learning_rate_ = float(self._rate) / (e.t_ + 1) ** e.power_t
        if e._no_improvement_count > e.n_iter_no_change:
            self._had_enough()

    @property
    def _law(self) -> Any:
        """Adam follows no law but schedules: so does scikit-learn's, whose `learning_rate` is for "sgd"."""
        return "constant" if self._e.solver == "adam" else self._e.learning_rate

    def _count(self, loss: float, score: float | None) -> None:
        """Count the passes in a row that were not better by `tol`."""
        e = self._e
        if score is None:
            worse = loss > e.best_loss_ - e.tol
            e.best_loss_ = min(e.best_loss_, loss)
        else:
            e.validation_scores_.append(score)
            self._say(f"Validation score: {score:f} ({self._score_name})")
            worse = score < e.best_validation_score_ + e.tol
            e.best_validation_score_ = max(e.best_validation_score_, score)
        e._no_improvement_count = e._no_improvement_count + 1 if worse else 0

    def _had_enough(self) -> None:
        e = self._e
        what = "Training loss" if self._score is None else "Validation score"
        told = f"{what} did not improve more than tol={e.tol:f} for {e.n_iter_no_change} consecutive epochs."
        if self._law == "adaptive" and e.learning_rate_ > LOWEST_RATE:
            e.learning_rate_ /= 5.0
            e._rate_factor /= 5.0
            e._no_improvement_count = 0
            self._say(f"{told} Setting learning rate to {e.learning_rate_:f}")
        else:
            self.enough = True
            self._say(f"{told} Stopping.")

    def _say(self, text: str) -> None:
        if self._e.verbose:
            print(text)
