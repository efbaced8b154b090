"""CUDA text on the CPU, against the formula in float64; and through the CUDA compiler where there is one."""

import ctypes
import re
import shutil
import subprocess
import sys
from pathlib import Path

import everything
import numpy as np
import pytest
from helpers import (
    SHAPES,
    assert_close,
    call_cpp,
    cpp_library,
    empty_results,
    has_row_max,
    kernel_arguments,
    kernel_of,
    rounded,
)
from table import TABLE, by_name

from deepmath.derivative import pullback
from deepmath.errors import TraceError
from deepmath.formulas import activations
from deepmath.printers import cuda, loops
from deepmath.trace import trace

needs_cpp = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
NVCC = shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")
ELEMENT = "element"


def bias_pullback():
    """An element result and a sum over the rows."""
    return pullback(lambda xp, x, b: xp.tanh(x + b), [ELEMENT, "column"], [0, 1])


def sums_kernel():
    """Nothing but a sum over the rows."""
    formula = lambda xp, x, b, c: xp.batch_sum(2.0 * x * b * c)  # noqa: E731
    return loops.kernel("sums", formula, [ELEMENT, "column", ELEMENT], ["db"])


def total_kernel():
    return loops.kernel("totals", lambda xp, x: xp.batch_sum(xp.sum(x, axis=-1, keepdims=True)), [ELEMENT], ["total"])


def all_kernels(dtype):
    kernels = [kernel_of(row, dtype) for row in TABLE]
    kernels.append(loops.kernel("bias", bias_pullback(), [ELEMENT, "column", ELEMENT], ["dx", "db"]))
    kernels += [sums_kernel(), total_kernel()]
    names = [f"y{i}" for i in range(len(trace(everything.formula, everything.KINDS).outputs))]
    return [*kernels, loops.kernel("everything", everything.formula, everything.KINDS, names)]


@pytest.fixture(scope="module", params=["float32", "float64"])
def library(request, tmp_path_factory):
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    text = cuda.module(all_kernels(request.param), request.param)
    return cpp_library(text, tmp_path_factory.mktemp("cuda"), request.param), request.param


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


def test_sums_over_rows(library):
    code, dtype = library
    rng = np.random.default_rng(1)
    for shape in [(1, 1), (5, 7), (33, 16)]:
        x, c = rng.standard_normal((2, *shape)).astype(dtype)
        b = rng.standard_normal(shape[1]).astype(dtype)
        dx, db = np.empty_like(x), np.empty_like(b)
        call_cpp(code["bias"], [x, b, c], [dx, db], shape)
        want = (c.astype(float) / np.cosh(x.astype(float) + b) ** 2).astype(float)
        eps = np.finfo(dtype).eps
        np.testing.assert_allclose(dx, want, rtol=40 * eps)
        np.testing.assert_allclose(db, want.sum(0), atol=40 * eps * np.abs(want).sum(0).max())
        call_cpp(code["sums"], [x, b, c], [db], shape)
        want = 2.0 * x.astype(float) * b * c
        np.testing.assert_allclose(db, want.sum(0), atol=(4 + shape[0]) * eps * np.abs(want).sum(0).max())


def test_total(library):
    code, dtype = library
    x = np.arange(12, dtype=dtype).reshape(3, 4)
    out = np.full(1, 77.0)
    call_cpp(code["totals"], [x], [out], x.shape)
    assert out.tolist() == [66.0]


def test_non_finite_pattern(library):
    code, dtype = library
    z = np.asarray([[np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-30, -1e4, 1e4]], dtype)
    for row in TABLE:
        if hasattr(activations, row.name):
            out = np.empty_like(z)
            call_cpp(code[f"{row.name}_{dtype}"], [z] * len(row.kinds), [out], z.shape)
            with np.errstate(all="ignore"):
                expected = row.formula(np, *[z] * len(row.kinds))
            for test in (np.isnan, np.isposinf, np.isneginf):
                np.testing.assert_array_equal(test(out), test(expected), err_msg=row.name)


@needs_cpp
def test_written_in_place(tmp_path):
    kernel = loops.kernel("update", by_name("momentum").formula, by_name("momentum").kinds, ["w", "v"])
    code = cpp_library(cuda.module([kernel], "float64"), tmp_path, "update")
    w, g, v, rate, mu = by_name("momentum").draw(np.random.default_rng(0), (3, 5))
    new_w, new_v = by_name("momentum").formula(np, w, g, v, rate, mu)
    call_cpp(code.update, [w, g, v, rate, mu], [], (3, 5))
    np.testing.assert_allclose(w, new_w, rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(v, new_v, rtol=1e-14, atol=1e-15)


ON_THREADS = [
    "softmax",
    "categorical_crossentropy_logits",
    "normalize_pullback",
    "clip_by_norm",
    "categorical_accuracy",
]


def with_launcher(kernel):
    """The kernel, and a function `launch_name(blocks, threads, ...)` that starts it."""
    text = cuda.function(kernel)
    parameters = re.match(r'extern "C" __global__ void \w+\((.*)\) \{', text).group(1)
    names = ", ".join(p.split()[-1] for p in parameters.split(", "))
    head = f'extern "C" void launch_{kernel.name}(long long blocks, long long threads, {parameters})'
    return f"{text}\n{head} {{ launch(blocks, threads, [=] {{ {kernel.name}({names}); }}); }}\n"


@needs_cpp
@pytest.mark.skipif(sys.platform != "linux", reason="the threads need pthread barriers")
def test_blocks_of_threads(tmp_path):
    dtype = "float32"
    kernels = {name: kernel_of(by_name(name), dtype) for name in ON_THREADS}
    bias = loops.kernel("bias", bias_pullback(), [ELEMENT, "column", ELEMENT], ["dx", "db"])
    shim = Path(__file__).with_name("threads_on_cpu.hpp").read_text(encoding="utf-8")
    texts = [with_launcher(k) for k in [*kernels.values(), bias, total_kernel()]]
    code = cpp_library("\n".join([shim, cuda.module([], dtype), *texts]), tmp_path, "threads")
    for blocks, threads, shape in [(1, 32, (2, 70)), (3, 96, (4, 70)), (2, 64, (3, 1)), (2, 64, (0, 5))]:
        for name, kernel in kernels.items():
            row = by_name(name)
            if shape[0] == 0:
                continue
            arguments = rounded(row.draw(np.random.default_rng(shape), shape), dtype)
            passed = kernel_arguments(row, kernel, arguments, dtype)
            again = []
            for _ in range(2):
                results = empty_results(kernel, shape, dtype)
                call_cpp(code[f"launch_{kernel.name}"], [blocks, threads, *passed], results, shape)
                assert_close(row, results, arguments, dtype, trace(row.formula, row.trace_kinds))
                again.append([r.tobytes() for r in results])
            assert again[0] == again[1]
        x = np.ones(shape, dtype)
        parts, b, dx, db = np.full(blocks, 77.0), np.zeros(shape[1], dtype), np.empty_like(x), np.empty(shape[1], dtype)
        call_cpp(code.launch_totals, [blocks, threads, x], [parts], shape)
        assert parts.sum() == x.size
        call_cpp(code.launch_bias, [blocks, threads, x, b, x], [dx, db], shape)
        np.testing.assert_allclose(db, np.full(shape[1], shape[0] / np.cosh(1.0) ** 2), rtol=1e-5)


@needs_cpp
@pytest.mark.skipif(sys.platform != "linux", reason="the threads need pthread barriers")
def test_nan_in_any_thread_is_the_largest(tmp_path):
    kernel = loops.kernel("largest", lambda xp, x: xp.max(x, axis=-1, keepdims=True), [ELEMENT], ["y"])
    shim = Path(__file__).with_name("threads_on_cpu.hpp").read_text(encoding="utf-8")
    code = cpp_library("\n".join([shim, cuda.module([], "float32"), with_launcher(kernel)]), tmp_path, "largest")
    places = [0, 1, 31, 32, 63, 69]
    x = np.tile(np.arange(70, dtype=np.float32), (len(places) + 1, 1))
    for row, place in enumerate(places):
        x[row, place] = np.nan
    y = np.zeros(len(x), np.float32)
    call_cpp(code.launch_largest, [2, 64, x], [y], x.shape)
    assert np.isnan(y[:-1]).all()
    assert y[-1] == 69.0


def test_a_sum_over_rows_beside_a_row_reduction_is_refused():
    formula = pullback(lambda xp, x, b: xp.sum(xp.exp(x + b), axis=-1, keepdims=True), [ELEMENT, "column"], [1])
    kernel = loops.kernel("both", lambda xp, x, b, c: (formula(xp, x, b, c), xp.sum(x, axis=-1, keepdims=True)),
                          [ELEMENT, "column", "row"], ["db", "s"])  # fmt: skip
    with pytest.raises(TraceError, match="kernel 'both' sums over rows and also works on whole rows"):
        cuda.function(kernel)


def test_text_holds_no_header_outside_the_host_branch():
    text = cuda.module(all_kernels("float32"), "float32")
    cuda_branch, host = text.split("#else", 1)
    assert "#include" not in cuda_branch
    assert re.findall(r"#include .*", host) == ["#include <cmath>"]


@pytest.mark.skipif(NVCC is None, reason="nvcc is not installed")
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
def test_compiles_for_cuda(architecture, tmp_path):
    for dtype in ("float32", "float64"):
        source = tmp_path / f"{dtype}.cu"
        source.write_text(cuda.module(all_kernels(dtype), dtype), encoding="utf-8")
        command = [NVCC, "-std=c++17", "-cubin", f"-arch={architecture}", source, "-o", tmp_path / f"{dtype}.cubin"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / f"{dtype}.cubin").read_bytes()[:4] == b"\x7fELF"


def test_scalars_come_as_double(library):
    code, dtype = library
    w = np.ones((1, 1), dtype)
    out = np.empty_like(w)
    code[f"sgd_{dtype}"](
        *(a.ctypes.data_as(ctypes.c_void_p) for a in (w, w)), ctypes.c_double(0.1), out.ctypes.data_as(ctypes.c_void_p),
        ctypes.c_longlong(1), ctypes.c_longlong(1),
    )  # fmt: skip
    assert out[0, 0] == w[0, 0] - np.dtype(dtype).type(0.1)
