"""ONNX nodes, run by onnxruntime or else by ONNX's reference, against the formula in float64."""

import everything
import numpy as np
import pytest
from exporting import by_names
from helpers import assert_close, rounded
from table import TABLE

from deepmath.printers import onnx as printer
from deepmath.trace import trace

FORWARD = [row for row in TABLE if not {"index", "row_index"} & set(row.kinds)]


ROUGH = {("tanh", "float64")}
"""What onnxruntime doesn't compute to 2 ulp: ONNX's own reference does."""


def printed(formula, kinds, arguments, dtype, reference=False):
    """The results of a printed formula for arrays."""
    traced = trace(formula, kinds)
    names = [f"in{i}" for i in range(len(kinds))]
    collected = printer.Printer()
    outputs = collected.formula(formula, kinds, names, dtype)
    wanted = [{"float": np.dtype(dtype), "int": np.dtype(np.int64), "bool": np.dtype(bool)}[o.dtype]
              for o in traced.outputs]  # fmt: skip
    return by_names(
        collected, dict(zip(names, arguments, strict=True)), list(zip(outputs, wanted, strict=True)), reference
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("row", FORWARD, ids=lambda row: row.name)
def test_every_formula(row, dtype):
    shape = (5, 7)
    arguments = rounded(row.draw(np.random.default_rng(shape), shape), dtype)
    passed = [np.asarray(a, np.int64 if kind.endswith(":int") else dtype)
              for kind, a in zip(row.trace_kinds, arguments, strict=True)]  # fmt: skip
    found = printed(row.formula, row.trace_kinds, passed, dtype, (row.name, dtype) in ROUGH)
    full = [np.broadcast_to(f, np.broadcast_shapes(f.shape, (5, 1))) for f in found]
    assert_close(row, full, arguments, dtype, trace(row.formula, row.trace_kinds))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_function_and_operator(dtype):
    arguments, expected = everything.arguments_and_results(dtype)
    found = printed(everything.formula, everything.KINDS, arguments, dtype)
    for number, (got, want) in enumerate(zip(found, expected, strict=True)):
        everything.assert_equal(got, want, arguments[0], str(number))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("mine", "exact"), [(printer.log1p, np.log1p), (printer.expm1, np.expm1)])
def test_small_and_large_numbers_keep_their_digits(mine, exact, dtype):
    powers = np.concatenate([-(10.0 ** np.arange(-30.0, 0.0)), 10.0 ** np.arange(-30.0, 3.0)])
    x = np.asarray([*powers, 0.0, -1.0 + 2.0**-20, np.inf, np.nan], dtype)
    x = np.concatenate([x, [-np.inf, -50.0]]).astype(dtype) if exact is np.expm1 else np.append(x, [-1.0]).astype(dtype)
    with np.errstate(all="ignore"):
        found, wanted = mine(np, x), exact(x.astype(np.float64)).astype(dtype)
    assert found.dtype == np.dtype(dtype)
    np.testing.assert_allclose(found, wanted, rtol=6 * np.finfo(dtype).eps)
