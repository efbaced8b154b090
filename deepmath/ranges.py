"""Which values a layer can give: between which bounds, and whether a row of them sums to one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from deepmath.trace import Formula


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`; `low_reached` and `high_reached` say whether these are among them.

    `sums_to_one` says that a row is a distribution. `alone` is what a row of one output always is, in words, where
    the inputs don't matter to it. Of what isn't `known` nothing is said.
    """

    low: float = -math.inf
    high: float = math.inf
    low_reached: bool = False
    high_reached: bool = False
    sums_to_one: bool = False
    alone: str = ""
    known: bool = True

    def lies_in(self, other: Range) -> bool:
        """Whether each of these numbers is one of the other's.

        >>> Range(0.0, 1.0).lies_in(Range(0.0, 1.0)), Range(0.0, 1.0, low_reached=True).lies_in(Range(0.0, 1.0))
        (True, False)
        """
        below = other.low < self.low or (other.low == self.low and (other.low_reached or not self.low_reached))
        above = other.high > self.high or (other.high == self.high and (other.high_reached or not self.high_reached))
        return below and above

    def comes_near(self, low: float, high: float) -> bool:
        """Whether these numbers come as near as one likes to both of the given ones.

        >>> Range(0.0, 1.0).comes_near(0.0, 1.0), Range(0.5, 0.75).comes_near(0.0, 1.0)
        (True, False)
        """
        return self.low <= low and high <= self.high

    def __str__(self) -> str:
        if self.sums_to_one:
            return "rows that sum to 1"
        if math.isinf(self.low) and math.isinf(self.high):
            return "any number"
        if math.isinf(self.high):
            return f"numbers {'>=' if self.low_reached else '>'} {self.low:g}"
        if math.isinf(self.low):
            return f"numbers {'<=' if self.high_reached else '<'} {self.high:g}"
        ends = ", with both ends" if self.low_reached and self.high_reached else ""
        return f"numbers from {self.low:.3g} to {self.high:.3g}{ends}"


ANY = Range()
UNKNOWN = Range(known=False)
POINTS, FAR = 4097, 100.0
"""How finely, and how far, a function is looked at between bounds of its arguments."""


def through(formula: Formula, constants: tuple[float, ...], outputs: Range, inputs: Range) -> Range:
    """What a function gives for inputs from a range; `outputs` is what it gives for any.

    >>> str(through(lambda xp, z: 1.0 / (1.0 + xp.exp(-z)), (), Range(0.0, 1.0), Range(low=0.0, low_reached=True)))
    'numbers from 0.5 to 1'
    """
    if not (inputs.known and outputs.known):
        return UNKNOWN
    alone = outputs.alone or ("one number" if inputs.alone else "")
    bounded = math.isfinite(inputs.low), math.isfinite(inputs.high)
    if not any(bounded):
        return outputs
    if outputs.sums_to_one or outputs.alone:
        if not all(bounded) or not outputs.sums_to_one:
            return outputs
        most = 1.0 / (1.0 + math.exp(inputs.low - inputs.high))  # of two outputs; of more it is less
        return Range(1.0 - most, most, True, True, sums_to_one=True, alone=alone)
    z = np.linspace(inputs.low if bounded[0] else -FAR, inputs.high if bounded[1] else FAR, POINTS)[None, :]
    values = formula(np, z, *constants)[0]
    ends = inputs.low_reached if bounded[0] else False, inputs.high_reached if bounded[1] else False
    low, high = float(values.min()), float(values.max())
    reached = [bool((values[1:-1] == best).any()) or (values[0] == best and ends[0]) or (values[-1] == best and ends[1])
               for best in (low, high)]  # fmt: skip
    for number, bound in enumerate(bounded):  # towards infinity it goes on to where it goes for any inputs
        if not bound and values[-number] == low:
            low, reached[0] = outputs.low, outputs.low_reached
        if not bound and values[-number] == high:
            high, reached[1] = outputs.high, outputs.high_reached
    return Range(low, high, reached[0], reached[1], alone=alone)
