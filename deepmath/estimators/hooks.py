"""scikit-learn's callbacks (`set_callbacks`), told of every pass over the data as of a task of the fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deepmath.training.callbacks import Callback, Run


class Hooks(Callback):
    """Tells scikit-learn's callbacks when a fit and each of its iterations begin and end; they may stop it.

    `values(program)` gives what makes a copy of the estimator predict as if the fit ended now.
    """

    def __init__(self, estimator: Any, X: Any, y: Any, sample_weight: Any) -> None:
        self._estimator = estimator
        metadata = {} if sample_weight is None else {"sample_weight": sample_weight}
        self._about = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._fit = estimator._init_callback_context(max_subtasks=int(estimator.max_iter))
        self._task: Any = None
        self.values: Callable[[Any], dict[str, Any]] | None = None
        self._fit.call_on_fit_task_begin(**self._about)

    def on_epoch_begin(self, run: Run) -> None:
        self._begin()

    def on_epoch_end(self, run: Run, logs: dict[str, float]) -> None:
        if self._task is None:  # L-BFGS has no beginning of an epoch
            self._begin()
        task, self._task = self._task, None
        made = self.values
        attributes = None if made is None else lambda: made(run.program)
        if task.call_on_fit_task_end(**self._about, reconstruction_attributes=attributes):
            run.stop = True

    def end(self) -> None:
        """At the end of the fit, when the estimator is fitted."""
        self._fit.call_on_fit_task_end(**self._about, reconstruction_attributes=dict)

    def _begin(self) -> None:
        self._task = self._fit.subcontext(task_name="iteration")
        self._task.call_on_fit_task_begin(**self._about)


def hooks_of(estimator: Any, X: Any, y: Any, sample_weight: Any) -> Hooks | None:
    """Hooks where somebody has set callbacks, on the estimator or on what it is a part of."""
    if not hasattr(estimator, "_skl_callbacks") and not hasattr(estimator, "_parent_callback_ctx"):
        return None
    return Hooks(estimator, X, y, sample_weight)
