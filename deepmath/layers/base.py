"""What every layer can do.

A layer draws its first parameters (`init`) and maps a batch forward, giving back what goes backward
(`apply`). This is the reference: programs may run a layer otherwise, and must agree with it.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from typing import Any

from deepmath.initializers import Draws
from deepmath.ranges import UNKNOWN, Range
from deepmath.regularizers import Constraint, Regularizer
from deepmath.typing import Namespace

Shape = tuple[int, ...]
Values = dict[str, Any]
Bits = Callable[[int, int], Any]
Pullback = Callable[[Any], tuple[Any, Values]]


class Layer(abc.ABC):
    """What every layer can do. Shapes leave out the batch axis."""

    @abc.abstractmethod
    def init(self, shape: Shape, draws: Callable[[int], Draws]) -> tuple[Values, Values]:
        """First parameters and state for inputs of this shape, by name, as float64 NumPy arrays.

        `draws(i)` is where the random numbers of parameter number i come from. Parameters are trained; state
        (running averages) is what `apply` hands on.
        """

    @abc.abstractmethod
    def apply(
        self, xp: Namespace, params: Mapping[str, Any], state: Mapping[str, Any], x: Any, bits: Bits, training: bool
    ) -> tuple[Any, Pullback, Values]:
        """(y, pullback, new state) for inputs x [batch, *shape].

        The pullback takes dy and gives (dx, gradients by parameter name). `bits(rows, units)` gives whole
        numbers in [0, 2^24) [rows, units], the same on every library. Nothing that is passed in is changed.
        """

    def output_shape(self, shape: Shape) -> Shape:
        """The shape that inputs of this shape come out with."""
        return shape

    def output_range(self, inputs: Range) -> Range:
        """Which values its outputs can have in training, for inputs from this range; unknown for one of one's own."""
        return UNKNOWN

    def parts(self) -> tuple[Layer, ...]:
        """The layer as a chain of simpler ones; programs fuse and replace these. All parameters are the first's."""
        return (self,)

    def penalties(self) -> Mapping[str, Regularizer]:
        """Regularisers by parameter name."""
        return {}

    def constraints(self) -> Mapping[str, Constraint]:
        """Constraints by parameter name."""
        return {}
