"""The kernels of a program: formulas, traced and printed, each under the hash of its text."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from deepmath.activations import ActivationFunction
from deepmath.graph import needed
from deepmath.printers import cuda
from deepmath.printers.loops import kernel
from deepmath.trace import Formula, trace

FIXED = {
    "begin_step": False, "end_step": True, "gather": False, "gather_numbers": False, "gather_labels": False,
    "add_stretches": False, "add_rows": True, "clear": False,
}  # fmt: skip
"""The kernels of `step.cu`, and whether their threads wait for each other."""


class Printed(NamedTuple):
    """A kernel's text and how it is launched; `columns` names its sums over rows, which come in stretches."""

    name: str
    text: str
    layout: str
    barriers: bool
    sums: tuple[str, ...]


class Kernels:
    """The kernels that a plan asks for, each printed once."""

    def __init__(self, precision: str) -> None:
        self.precision = precision
        self.printed: dict[str, Printed] = {}
        self._known: dict[Any, Printed] = {}

    def get(
        self,
        name: str,
        make: Callable[[], Formula],
        kinds: Sequence[str],
        outputs: Sequence[str],
        names: Sequence[str],
        *,
        key: Any = None,
        stored: Collection[str] = (),
        resident: Collection[str] = (),
        transposed: bool = False,
    ) -> Printed:
        """The kernel of a formula. Where `key` tells it from all others of its name, it is traced only once.

        Raises TraceError for a formula that can't be traced.
        """
        known = (name, key) if key is not None else None
        if known is None or known not in self._known:
            form = cuda.Form(transposed, frozenset(stored), frozenset(resident))
            found = self._print(name, make(), kinds, outputs, names, form)
            self.printed[found.name] = found
            if known is None:
                return found
            self._known[known] = found
        return self._known[known]

    def _print(
        self, name: str, formula: Formula, kinds: Sequence[str], outputs: Sequence[str], names: Sequence[str], form: Any
    ) -> Printed:
        laid = kernel(name, formula, kinds, outputs, names)
        digest = hashlib.sha256(cuda.function(laid, form).encode()).hexdigest()[:16]
        laid = laid._replace(name=f"{name}_{digest}")
        text, layout = cuda.function(laid, form), cuda.layout(laid, form)
        sums = tuple(n for n, kind, _ in laid.outputs if kind == "column")
        return Printed(laid.name, text, layout, any(p.reductions for p in laid.passes), sums)

    def text(self, known: Collection[str] = ()) -> str:
        """One translation unit with all of them but those known, self-contained."""
        bodies = [p.text for name, p in sorted(self.printed.items()) if name not in known]
        return "\n".join([cuda.prelude(self.precision), fixed_text(), *bodies]) + "\n"


@cache
def fixed_text() -> str:
    """The kernels that compute no formula."""
    return resources.files(__package__).joinpath("step.cu").read_text(encoding="utf-8")


def kept(function: ActivationFunction) -> tuple[bool, bool]:
    """Whether the activation's derivative needs its input, and its output."""
    traced = trace(function.backward(), [*["element"] * 3, *scalar_kinds(function)])
    used = {n.number for n in needed(traced.outputs)}
    return traced.arguments[0].number in used, traced.arguments[1].number in used


def works_along_rows(formula: Formula, kinds: Sequence[str]) -> bool:
    """Whether a formula sums or compares along rows."""
    return any(n.op in ("row_sum", "row_max") for n in needed(trace(formula, kinds).outputs))


def scalar_kinds(function: ActivationFunction) -> list[str]:
    """The kinds of an activation's constants."""
    return ["scalar"] * len(function.constants)


def scalars(count: int) -> list[str]:
    """Names for a formula's constants."""
    return [f"c{i}" for i in range(count)]
