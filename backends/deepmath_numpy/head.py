"""What stands behind the last layer, fused: loss, its gradient, and metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from deepmath.errors import TraceError
from deepmath.program import Head, head_formula, head_kinds, results_formula, weighted_sums
from deepmath_numpy.kernels import Kernels


class FusedHead:
    """Loss, its gradient and metrics in one fused loop; by the reference where a formula can't be traced."""

    def __init__(self, kernels: Kernels, xp: Any, head: Head, rows: int) -> None:
        dtype = kernels.precision
        names = [f"m{i}" for i in range(len(head.metrics))]
        self._labelled = head.labelled
        self._dz = np.empty((rows, head.outputs), dtype)
        self._rows = [np.empty(rows, dtype) for _ in range(1 + len(names))]
        self._weight = np.empty(rows, dtype)
        kinds = head_kinds(head)
        constants = ["scalar"] * len(head.loss.constants)
        self._constants = head.loss.constants
        try:
            both = kernels.compiled("head", head_formula(head), [*kinds, *constants], ["dz", "loss", *names])
            results = kernels.compiled("results", results_formula(head), [*kinds[:-1], *constants], ["loss", *names])
        except TraceError:
            both, results = _by_reference(xp, head)
        self._both, self._results = both, results

    def backward(self, z: Any, targets: Any, weights: Any) -> tuple[Any, Any]:
        """(dz, [weighted loss, *metric sums]) for a micro-batch whose weights are shares of the loss."""
        n = len(z)
        weight = self._weight[:n]
        weight[:] = weights
        dz, rows = self._dz[:n], [r[:n] for r in self._rows]
        self._both(z, targets, weight, *self._constants, dz, *rows)
        return dz, weighted_sums(rows, weights)

    def sums(self, z: Any, targets: Any, weights: Any) -> Any:
        """[sum of weights times loss, *metric sums]."""
        rows = [r[: len(z)] for r in self._rows]
        self._results(z, targets, *self._constants, *rows)
        return weighted_sums(rows, weights)


def _by_reference(xp: Any, head: Head) -> tuple[Any, Any]:
    formula, results = head_formula(head), results_formula(head)
    index, count = np.arange(head.outputs)[None, :], len(head.loss.constants)

    def store(values: Sequence[Any], arrays: Sequence[Any]) -> None:
        for array, value in zip(arrays, values, strict=True):
            array[...] = value.reshape(array.shape)

    def targets_of(targets: Any) -> Any:
        return targets[:, None] if head.labelled else targets

    return (
        lambda z, t, w, *rest: store(formula(xp, z, targets_of(t), index, w[:, None], *rest[:count]), rest[count:]),
        lambda z, t, *rest: store(results(xp, z, targets_of(t), index, *rest[:count]), rest[count:]),
    )
