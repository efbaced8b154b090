"""Compiled loops for the formulas of a network: each formula is compiled once, whatever network it stands in.

A kernel is called at its address (see `loop.py`), with the addresses of arrays `a` and numbers `c` in the order that
its role has here and in `text/steps.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deepmath.activations import ActivationFunction
from deepmath.formulas import dropout, normalization, rectifiers, regularizers
from deepmath.formulas.random import philox
from deepmath.optimizers import Optimizer
from deepmath.printers import numba
from deepmath.program import Head, head_formula, head_kinds, results_formula
from deepmath.regularizers import Constraint, Regularizer
from deepmath.trace import Formula
from deepmath_numpy import blas, cache, loop
from deepmath_numpy.cache import remembered
from deepmath_numpy.traces import is_identity, needs

MATRIX, ROW, COLUMN, ONE = "matrix(a[{0}], R, C)", "vector(a[{0}], R)", "vector(a[{0}], C)", "vector(a[{0}], 1)"
LABELS = "whole(a[{0}], R)"
WORDS = "integers(a[0], R, 4 * C)[{1}]"
"""How a kernel's arrays are made from addresses; R and C are its numbers of rows and columns."""


@dataclass(frozen=True)
class Kernels:
    """Addresses of compiled loops of one precision. `narrow`: matrices of a batch are stored [columns, rows].

    Every method raises TraceError for a formula that can't be traced, and gives 0 where nothing is to do.
    """

    precision: str
    narrow: bool = False

    def compiled(
        self,
        formula: Formula,
        kinds: Sequence[str],
        outputs: Sequence[str],
        names: Sequence[str] | None,
        places: Mapping[str, str],
        transposed: bool | None = None,
    ) -> int:
        """The address of a formula's loop; `places` says how each argument and result is found in `a` and `c`.

        Matrices are stored as those of the batch unless `transposed` says otherwise.
        """
        stored = self.narrow if transposed is None else transposed
        return loop.address(formula, kinds, outputs, names, places, self.precision, stored)

    @remembered
    def products(self) -> dict[str, int]:
        """Products of matrices by their places in `info`: BLAS, and our own of small ones (`text/products.py`)."""
        module = cache.load(f"{numba.functions(self.precision)}\n\n\n{cache.text('products')}")
        own = {name: int(getattr(module, name).address) for name in ("times", "times_turned")}
        return {name: blas.address(name, self.precision) for name in ("gemm", "gemv")} | own

    @remembered
    def activation(self, function: ActivationFunction | None, bias: bool) -> tuple[int, int]:
        """y = f(z + b), either part of which may be absent: a = (z, y, b); and a = (dy, z, y, db). c: its constants.

        Where the derivative needs z, z + b is left in z; else y and z may be one array.
        """
        value = function.value if function is not None else (lambda xp, z: z)
        backward = function.backward() if function is not None else (lambda xp, z, y, dy: dy)
        count = len(function.constants) if function is not None else 0
        forward = self._forward(value, bias, needs(backward, count)[0], count) if function is not None or bias else 0
        return forward, self._backward(backward, bias, count)

    def _forward(self, value: Formula, bias: bool, keeps_z: bool, constants: int) -> int:
        def formula(xp: Any, z: Any, *rest: Any) -> Any:
            shifted = z + rest[0] if bias else z
            y = value(xp, shifted, *rest[bias:])
            return (shifted, y) if keeps_z else y

        kinds = ["element", *["column"] * bias, *["scalar"] * constants]
        names = ["z", *["b"] * bias, *_scalars(constants)]
        places = {"z": MATRIX.format(0), "y": MATRIX.format(1), "b": COLUMN.format(2)} | _numbers(constants)
        return self.compiled(formula, kinds, ["z", "y"] if keeps_z else ["z"], names, places)

    def _backward(self, backward: Formula, bias: bool, constants: int) -> int:
        saved = [name for name, needed in zip("zy", needs(backward, constants), strict=True) if needed]
        identity = not saved and is_identity(backward)
        if identity and not bias:
            return 0

        def formula(xp: Any, dy: Any, *rest: Any) -> Any:
            z = rest[0] if "z" in saved else None
            y = rest[len(saved) - 1] if "y" in saved else None
            dz = backward(xp, z, y, dy, *rest[len(saved) :])
            if identity:
                return xp.batch_sum(dz)
            return (dz, xp.batch_sum(dz)) if bias else dz

        outputs = ["db"] if identity else (["dy", "db"] if bias else ["dy"])
        kinds = [*["element"] * (1 + len(saved)), *["scalar"] * constants]
        places = {name: MATRIX.format(i) for i, name in enumerate(("dy", "z", "y"))} | {"db": COLUMN.format(3)}
        return self.compiled(
            formula, kinds, outputs, ["dy", *saved, *_scalars(constants)], places | _numbers(constants)
        )

    @remembered
    def head(self, head: Head) -> tuple[int, int]:
        """Loss, its gradient and metrics; loss and metrics. a = (z, targets or labels, weight, dz, loss, *metrics)."""
        metrics = [f"m{i}" for i in range(len(head.metrics))]
        kinds, constants = head_kinds(head), ["scalar"] * len(head.loss.constants)
        names = ["z", "targets", "index", "weight", *_scalars(len(constants))]
        places = {"z": MATRIX.format(0), "targets": (LABELS if head.labelled else MATRIX).format(1)}
        places |= {"weight": ROW.format(2), "dz": MATRIX.format(3)} | _numbers(len(constants))
        places |= {name: ROW.format(4 + i) for i, name in enumerate(["loss", *metrics])}
        both = self.compiled(head_formula(head), [*kinds, *constants], ["dz", "loss", *metrics], names, places)
        del names[3]
        judged = self.compiled(results_formula(head), [*kinds[:-1], *constants], ["loss", *metrics], names, places)
        return both, judged

    @remembered
    def predictions(self, function: ActivationFunction | None) -> int:
        """Scores become predictions, in place: a = (z), c: the activation's constants."""
        if function is None:
            return 0
        count = len(function.constants)
        kinds, names = ["element", *["scalar"] * count], ["z", *_scalars(count)]
        return self.compiled(function.value, kinds, ["z"], names, {"z": MATRIX.format(0)} | _numbers(count))

    @remembered
    def optimizer(self, optimizer: Optimizer) -> int:
        """The update, in place: a = (w, g, *slots) with one row, c: the coefficients."""
        arrays = ["w", "g", *(f"slot{i}" for i in range(len(optimizer.slots)))]
        count = len(optimizer.coefficients(0))
        kinds = ["element"] * len(arrays) + ["scalar"] * count
        places = {name: MATRIX.format(i) for i, name in enumerate(arrays)} | _numbers(count)
        outputs = [name for name in arrays if name != "g"]
        return self.compiled(optimizer.update, kinds, outputs, [*arrays, *_scalars(count)], places, transposed=False)

    @remembered
    def regularizer(self, regularizer: Regularizer | None) -> int:
        """Adds the slope to g and writes the penalty: a = (w, g, penalty) with one row, c: the strengths."""
        if regularizer is None:
            return 0

        def formula(xp: Any, w: Any, g: Any, *strengths: Any) -> Any:
            return g + regularizer.slope(xp, w, *strengths), regularizer.penalty(xp, w, *strengths)

        count = len(regularizer.strengths)
        kinds = ["element", "element", *["scalar"] * count]
        places = {"w": MATRIX.format(0), "g": MATRIX.format(1), "penalty": ONE.format(2)} | _numbers(count)
        return self.compiled(formula, kinds, ["g", "penalty"], ["w", "g", *_scalars(count)], places, transposed=False)

    @remembered
    def constraint(self, constraint: Constraint | None) -> int:
        """Puts weights back into what is allowed: a = (w), whose rows are units, stored [features, units]."""
        if constraint is None:
            return 0
        count = len(constraint.limits)
        kinds, names = ["element", *["scalar"] * count], ["w", *_scalars(count)]
        places = {"w": MATRIX.format(0)} | _numbers(count)
        return self.compiled(constraint.project, kinds, ["w"], names, places, transposed=True)

    @remembered
    def clips(self) -> tuple[int, int]:
        """By the norm, a = (g, norm), and by value, a = (g), with one row; c: the limit."""
        kinds, names = ["element", "scalar"], ["g", "c0"]
        places = {"g": MATRIX.format(0), "norm": ONE.format(1)} | _numbers(1)
        by_norm = self.compiled(regularizers.clip_by_norm, kinds, ["g", "norm"], names, places, transposed=False)
        return by_norm, self.compiled(regularizers.clip_by_value, kinds, ["g"], names, places, transposed=False)

    @remembered
    def noise(self) -> int:
        """24 random bits for each row and unit: a = (bits), with groups of four units as columns.

        c: first row, step, layer, seed, stream.
        """
        words = {name: WORDS.format(0, f"{i}::4" if self.narrow else f":, {i}::4") for i, name in enumerate("pqrs")}
        return self.compiled(_bits, _WORD_KINDS, list("pqrs"), _WORD_NAMES, words | _wholes())

    @remembered
    def dropout(self) -> tuple[int, int]:
        """a = (x, bits, y), and in place a = (dy, bits); c: threshold, growth."""
        kinds, names = ["element", "element:int", "scalar:int", "scalar"], ["x", "bits", "threshold", "growth"]
        bits = "integers(a[1], R, (C + 3) // 4 * 4)"
        places = {"x": MATRIX.format(0), "bits": bits, "y": MATRIX.format(2)}
        places |= {"threshold": "np.int64(c[0])", "growth": "c[1]"}
        forward = self.compiled(dropout.dropout, kinds, ["y"], names, places)
        return forward, self.compiled(dropout.dropout, kinds, ["x"], names, places)

    @remembered
    def normalization(self, over_batch: bool) -> tuple[int, int, int]:
        """a = (x, gamma, beta, y, mean, variance); a = (x, mean, variance, gamma, dy, dgamma, dbeta); c: epsilon.

        The third is that by given moments, for batch normalisation: a = (x, mean, variance, gamma, beta, y). Its
        rows are the features, along the batch.
        """
        stored = not self.narrow if over_batch else self.narrow
        own, kind = (ROW, "row") if over_batch else (COLUMN, "column")
        places = {
            "x": MATRIX.format(0), "gamma": own.format(1), "beta": own.format(2), "y": MATRIX.format(3),
            "mean": ROW.format(4), "variance": ROW.format(5), "eps": "c[0]",
        }  # fmt: skip
        kinds, outputs = ["element", kind, kind, "scalar"], ["y", "mean", "variance"]
        forward = self.compiled(normalization.normalize, kinds, outputs, None, places, stored)
        places |= {
            "mean": ROW.format(1), "variance": ROW.format(2), "gamma": own.format(3), "dy": MATRIX.format(4),
            "dgamma": own.format(5), "dbeta": own.format(6),
        }  # fmt: skip
        back = _features_back if over_batch else _rows_back
        kinds = ["element", "row", "row", kind, "element", "scalar"]
        backward = self.compiled(back, kinds, ["dy", "dgamma", "dbeta"], None, places, stored)
        if not over_batch:
            return forward, backward, 0
        places |= {"beta": ROW.format(4), "y": MATRIX.format(5)}
        kinds = ["element", *["row"] * 4, "scalar"]
        return forward, backward, self.compiled(normalization.scale, kinds, ["y"], None, places, stored)

    @remembered
    def average(self) -> int:
        """A running average follows: a = (average, value) with one row, c: momentum and its rest."""
        kinds, names = ["element", "element", "scalar", "scalar"], ["average", "value", *_scalars(2)]
        places = {"average": MATRIX.format(0), "value": MATRIX.format(1)} | _numbers(2)
        return self.compiled(normalization.running_average, kinds, ["average"], names, places, transposed=False)

    @remembered
    def prelu(self) -> tuple[int, int]:
        """a = (x, alpha, y), and a = (x, alpha, dy, dalpha)."""
        places = {"z": MATRIX.format(0), "alpha": COLUMN.format(1), "y": MATRIX.format(2)}
        forward = self.compiled(rectifiers.prelu, ["element", "column"], ["y"], ["z", "alpha"], places)
        places |= {"dy": MATRIX.format(2), "dalpha": COLUMN.format(3)}
        kinds = ["element", "column", "element"]
        return forward, self.compiled(_prelu_back, kinds, ["dy", "dalpha"], ["z", "alpha", "dy"], places)

    @remembered
    def words(self) -> int:
        """Whole 32-bit random words, int64, by which an epoch's rows are sorted: one row of them for each epoch.

        a = (words,), c = (first epoch, part, purpose, seed, stream).
        """
        words = {name: f"wholes(a[0], R, 4 * C)[:, {i}::4]" for i, name in enumerate("pqrs")}
        return self.compiled(_epochs, _WORD_KINDS, list("pqrs"), _WORD_NAMES, words | _wholes(), transposed=False)


_WORD_NAMES = ["unit", "row", "first", "step", "layer", "seed", "stream"]
_WORD_KINDS = ["index", "row_index", *["scalar:int"] * 5]


def _words(xp: Any, unit: Any, row: Any, first: Any, step: Any, layer: Any, seed: Any, stream: Any) -> Any:
    return philox(xp, unit, row + first, step, layer, seed, stream)


def _epochs(xp: Any, unit: Any, row: Any, first: Any, part: Any, purpose: Any, seed: Any, stream: Any) -> Any:
    return philox(xp, unit, part, (row + first) & 0xFFFFFFFF, purpose, seed, stream)


def _bits(*arguments: Any) -> Any:
    return tuple(word >> 8 for word in _words(*arguments))


def _wholes() -> dict[str, str]:
    return {name: f"np.int64(c[{i}])" for i, name in enumerate(_WORD_NAMES[2:])}


def _features_back(xp: Any, x: Any, mean: Any, variance: Any, gamma: Any, dy: Any, eps: Any) -> tuple[Any, Any, Any]:
    dx, share = normalization.normalize_pullback(xp, x, mean, variance, gamma, dy, eps)
    return dx, xp.sum(share, axis=-1, keepdims=True), xp.sum(dy, axis=-1, keepdims=True)


def _rows_back(xp: Any, x: Any, mean: Any, variance: Any, gamma: Any, dy: Any, eps: Any) -> tuple[Any, Any, Any]:
    dx, share = normalization.normalize_pullback(xp, x, mean, variance, gamma, dy, eps)
    return dx, xp.batch_sum(share), xp.batch_sum(dy)


def _prelu_back(xp: Any, z: Any, alpha: Any, dy: Any) -> tuple[Any, Any]:
    dz, share = rectifiers.prelu_pullback(xp, z, alpha, dy)
    return dz, xp.batch_sum(share)


def _scalars(count: int) -> list[str]:
    return [f"c{i}" for i in range(count)]


def _numbers(count: int) -> dict[str, str]:
    return {f"c{i}": f"c[{i}]" for i in range(count)}
