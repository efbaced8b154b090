"""C99 text, compiled by gcc with warnings as errors, against the formula in float64."""

import ctypes
import shutil
import subprocess

import everything
import numpy as np
import pytest
from helpers import SHAPES, assert_close, call_cpp, empty_results, has_row_max, kernel_arguments, kernel_of, rounded
from table import TABLE

from deepmath.printers import c99, loops
from deepmath.trace import trace

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")


def sums_kernel():
    """A sum over the rows beside one over everything."""
    formula = lambda xp, x, b: (xp.batch_sum(x * b), xp.batch_sum(xp.sum(x, axis=-1, keepdims=True)))  # noqa: E731
    return loops.kernel("sums", formula, ["element", "column"], ["by_column", "total"])


def all_kernels(dtype):
    names = [f"y{i}" for i in range(len(trace(everything.formula, everything.KINDS).outputs))]
    whole = loops.kernel("everything", everything.formula, everything.KINDS, names)
    return [*(kernel_of(row, dtype) for row in TABLE), sums_kernel(), whole]


@pytest.fixture(scope="module", params=["float32", "float64"])
def library(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("c99")
    source, built = folder / "kernels.c", folder / "kernels.so"
    source.write_text(c99.module(all_kernels(request.param), request.param), encoding="utf-8")
    options = ["-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-pedantic", "-shared", "-fPIC"]
    done = subprocess.run(["gcc", *options, source, "-o", built, "-lm"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:3000]
    return ctypes.CDLL(str(built)), request.param


def test_every_formula(library):
    code, dtype = library
    for row in TABLE:
        kernel = kernel_of(row, dtype)
        for shape in SHAPES:
            if shape[0] == 0 and has_row_max(row):
                continue  # the reference can't take the largest of no numbers
            arguments = rounded(row.draw(np.random.default_rng(shape), shape), dtype)
            results = empty_results(kernel, shape, dtype)
            call_cpp(code[kernel.name], kernel_arguments(row, kernel, arguments, dtype), results, shape)
            assert_close(row, results, arguments, dtype, trace(row.formula, row.trace_kinds))


def test_every_function_and_operator(library):
    code, dtype = library
    kernel = all_kernels(dtype)[-1]
    arguments, expected = everything.arguments_and_results(dtype)
    results = empty_results(kernel, arguments[0].shape, dtype)
    call_cpp(code["everything"], arguments, results, arguments[0].shape)
    for output, got, want in zip(kernel.outputs, results, expected, strict=True):
        everything.assert_equal(got, want, arguments[0], str(output))


def test_sums_over_rows_and_over_everything(library):
    code, dtype = library
    x, b = np.arange(12, dtype=dtype).reshape(3, 4), np.arange(4, dtype=dtype)
    by_column, total = np.full(4, 77, dtype), np.full(1, 77.0)
    call_cpp(code["sums"], [x, b], [by_column, total], x.shape)
    assert by_column.tolist() == [0.0, 15.0, 36.0, 63.0]
    assert total.tolist() == [66.0]
