"""What scikit-learn gives to an estimator: its classes when the program runs, their types for type checkers.

scikit-learn carries no types. The ones stated here are of what users of `MLPClassifier` and `MLPRegressor` call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar

ArrayLike: TypeAlias = Any
"""An array of NumPy, or of another library under `sklearn.config_context(array_api_dispatch=True)`; a list; a table."""

F = TypeVar("F", bound=Callable[..., Any])

if TYPE_CHECKING:

    def with_callbacks(method: F) -> F:
        """`sklearn.callback.with_callbacks`: lets callbacks end their work when the method ends."""

    def available_if(check: Callable[[Any], bool]) -> Callable[[F], F]:
        """`sklearn.utils.metaestimators.available_if`: the method exists where the check says so."""

    class Estimator:
        """`sklearn.base.BaseEstimator`, and `sklearn.callback.CallbackSupportMixin` where scikit-learn has it."""

        def get_params(self, deep: bool = True) -> dict[str, Any]: ...
        def set_params(self, **params: Any) -> Self: ...
        def set_callbacks(self, *callbacks: Any) -> Self: ...
        def set_fit_request(self, **requests: bool | str | None) -> Self: ...
        def set_score_request(self, **requests: bool | str | None) -> Self: ...
        def __sklearn_tags__(self) -> Any: ...
        def __getstate__(self) -> dict[str, Any]: ...
        def __setstate__(self, state: dict[str, Any]) -> None: ...
        def _init_callback_context(self, *, max_subtasks: int) -> Any: ...

    class ClassifierMixin:
        """`sklearn.base.ClassifierMixin`."""

        def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float: ...

    class RegressorMixin:
        """`sklearn.base.RegressorMixin`."""

        def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float: ...

else:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils.metaestimators import available_if

    try:
        from sklearn.callback import CallbackSupportMixin, with_callbacks
    except ImportError:  # scikit-learn before 1.9

        def with_callbacks(method):
            """The method itself."""
            return method

        class CallbackSupportMixin:
            """Nothing: this scikit-learn has no callbacks."""

    class Estimator(CallbackSupportMixin, BaseEstimator):
        """The base of our estimators."""


__all__ = ["ArrayLike", "ClassifierMixin", "Estimator", "RegressorMixin", "available_if", "with_callbacks"]
