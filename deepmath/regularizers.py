"""Regularisers, penalties on a layer's kernel that are added to the loss, and constraints on it."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Any

from deepmath.descriptions import Table, check_number, described
from deepmath.formulas import regularizers as formulas
from deepmath.typing import Namespace

__all__ = ["L1", "L1L2", "L2", "Constraint", "MaxNorm", "Regularizer", "get", "names"]


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


@described
@dataclass(frozen=True)
class L1L2(Regularizer):
    """Adds l1 sum(|w|) + (l2 / 2) sum(w^2) to the loss."""

    l1: float = 0.01
    l2: float = 0.01

    def __post_init__(self) -> None:
        check_number("L1L2", "l1", self.l1, low=0.0)
        check_number("L1L2", "l2", self.l2, low=0.0)

    @property
    def strengths(self) -> tuple[float, ...]:
        return self.l1, self.l2

    def penalty(self, xp: Namespace, w: Any, *strengths: Any) -> Any:
        return formulas.l1_l2(xp, w, *strengths)

    def slope(self, xp: Namespace, w: Any, *strengths: Any) -> Any:
        return formulas.l1_l2_slope(xp, w, *strengths)


@described
@dataclass(frozen=True)
class L1(Regularizer):
    """Adds l sum(|w|) to the loss; the slope at 0 is 0."""

    l: float = 0.01  # noqa: E741 - the field's own name

    def __post_init__(self) -> None:
        check_number("L1", "l", self.l, low=0.0)

    @property
    def strengths(self) -> tuple[float, ...]:
        return self.l, 0.0

    def penalty(self, xp: Namespace, w: Any, *strengths: Any) -> Any:
        return formulas.l1_l2(xp, w, *strengths)

    def slope(self, xp: Namespace, w: Any, *strengths: Any) -> Any:
        return formulas.l1_l2_slope(xp, w, *strengths)


class Constraint(abc.ABC):
    """What a kernel must fulfil after each update: a formula that puts it back."""

    @property
    @abc.abstractmethod
    def limits(self) -> tuple[float, ...]:
        """The numbers that the formula takes after the weights."""

    @abc.abstractmethod
    def project(self, xp: Namespace, w: Any, *limits: Any) -> Any:
        """The nearest allowed weights; w is [units, features], a row for each unit."""


@described
@dataclass(frozen=True)
class MaxNorm(Constraint):
    """Keeps the length of the weights that lead into each unit at or below `max_value`."""

    max_value: float = 2.0

    def __post_init__(self) -> None:
        check_number("MaxNorm", "max_value", self.max_value, low=0.0, open_low=True)

    @property
    def limits(self) -> tuple[float, ...]:
        return (self.max_value,)

    def project(self, xp: Namespace, w: Any, *limits: Any) -> Any:
        return formulas.max_norm(xp, w, *limits)


_TABLE: Table[Regularizer] = Table("regularizer", Regularizer)  # type: ignore[type-abstract]
get, names = _TABLE.get, _TABLE.names
_TABLE.add(L1(), "l1")
_TABLE.add(L2(), "l2")
_TABLE.add(L1L2(), "l1_l2")
