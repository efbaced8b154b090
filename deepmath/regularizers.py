"""Regularisers: a penalty on a layer's kernel, added to the loss that is minimised."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Any

from deepmath.descriptions import Table, check_number, described
from deepmath.formulas import regularizers as formulas
from deepmath.typing import Namespace

__all__ = ["L2", "Regularizer", "get", "names"]


class Regularizer(abc.ABC):
    """A penalty and its slope. Both are formulas of flat weights and of `strengths`, which are run-time numbers."""

    @property
    @abc.abstractmethod
    def strengths(self) -> tuple[float, ...]:
        """The numbers that both formulas take after the weights."""

    @abc.abstractmethod
    def penalty(self, xp: Namespace, w: Any, *strengths: Any) -> Any:
        """The penalty of weights [..., size], with shape [..., 1]."""

    @abc.abstractmethod
    def slope(self, xp: Namespace, w: Any, *strengths: Any) -> Any:
        """The penalty's derivative by each weight, in the weights' shape."""


@described
@dataclass(frozen=True)
class L2(Regularizer):
    """Adds (l / 2) sum(w^2) to the loss.

    Article 3's lambda with its 1 / (2 m) is L2(lambda / m). Keras's L2(k) is L2(2 k). scikit-learn's alpha is
    L2(alpha / n) with n the rows of the batch.
    """

    l: float = 0.01  # noqa: E741 - the field's own name

    def __post_init__(self) -> None:
        check_number("L2", "l", self.l, low=0.0)

    @property
    def strengths(self) -> tuple[float, ...]:
        return (self.l,)

    def penalty(self, xp: Namespace, w: Any, *strengths: Any) -> Any:
        return formulas.l2(xp, w, *strengths)

    def slope(self, xp: Namespace, w: Any, *strengths: Any) -> Any:
        return formulas.l2_slope(xp, w, *strengths)


_TABLE: Table[Regularizer] = Table("regularizer", Regularizer)  # type: ignore[type-abstract]
get, names = _TABLE.get, _TABLE.names
_TABLE.add(L2(), "l2")
