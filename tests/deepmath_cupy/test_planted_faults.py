"""Mistakes that are made in kernels, planted one by one: each is caught by what the tests of kernels look at."""

import re
import subprocess
import sys

import numpy as np
import pytest
from cuda_kernels import Guarded, run

from deepmath.formulas import normalization, softmax
from deepmath.printers import cuda, loops

SHAPE = (6, 300)
SOFTMAX = loops.kernel("softmax", softmax.softmax, ["element"], ["y"])
SPREAD = loops.kernel("spread", lambda xp, x: normalization.moments(xp, x)[1], ["element"], ["y"])
SHIFT = loops.kernel("shift", lambda xp, x, b: x + b, ["element", "column"], ["y"])
SUMS = loops.kernel("sums", lambda xp, x: xp.batch_sum(x), ["element"], ["db"])
MEAN = loops.kernel("mean", lambda xp, x: x - xp.mean(x, axis=-1, keepdims=True), ["element"], ["y"])
TRANSPOSED = cuda.Form(transposed=True)
X = np.random.default_rng(0).standard_normal(SHAPE)
B = np.arange(SHAPE[1]) * 1.0

CASES = {
    "softmax": (SOFTMAX, cuda.PLAIN, [X], softmax.softmax(np, X)),
    "spread": (SPREAD, cuda.PLAIN, [X], X.var(1)),
    "shift": (SHIFT, cuda.PLAIN, [X, B], X + B),
    "sums": (SUMS, cuda.PLAIN, [X], X.sum(0)),
    "mean": (MEAN, TRANSPOSED, [X], X - X.mean(1, keepdims=True)),
}


def is_right(name, change):
    """Whether a kernel gives the right numbers, and nothing beside them, for three orders of its threads."""
    kernel, form, arguments, expected = CASES[name]
    kernels = Guarded([(kernel, form)], "float64", change)  # a fault that can't be planted is no fault caught
    for seed in range(3):
        try:
            found = run(kernels, kernel, form, arguments, SHAPE, seed)[0]
        except AssertionError:
            return False
        if not np.allclose(found, expected, rtol=1e-12, atol=1e-12):
            return False
    return True


@pytest.mark.parametrize("name", CASES)
def test_the_kernels_are_right_as_they_are(shim, name):
    assert is_right(name, lambda text: text)


def without(text, *spoiled):
    """A change of a kernel's text: each of these pairs is (what stands there, what stands there then)."""
    pairs = [(text, spoiled[0]), *zip(spoiled[1::2], spoiled[2::2], strict=True)]

    def change(whole):
        for old, new in pairs:
            assert old in whole, f"the fault was not planted: {old}"
            whole = whole.replace(old, new)
        return whole

    return change


OF_WARPS, OF_LANES = "of_warps[threadIdx.x / 32] = x;\n", "of_threads[32 * threadIdx.y + threadIdx.x] = x;\n"
WAIT = "  __syncthreads();"
LAST_CALL = f"{WAIT}  // the last call's values have been read\n"
COLUMNS, LANE = "j < columns;", "inside ? first + threadIdx.x : rows - 1"
FAULTS = {
    "a barrier is missing in a block's sum": ("softmax", without(OF_WARPS + WAIT, OF_WARPS)),
    "a barrier is missing between two sums": ("spread", without(LAST_CALL, "")),
    "a barrier is missing in a sum of lanes": ("mean", without(OF_LANES + WAIT, OF_LANES)),
    "the last column is passed": ("softmax", without(COLUMNS, "j <= columns;")),
    "a bound of columns is missing": ("shift", without(COLUMNS, "j < columns + 1;")),
    "a bound of rows is missing": ("sums", without("r < bottom;", "r <= bottom;")),
    "a guard of lanes is missing": ("mean", without(f"inside && {COLUMNS}", COLUMNS, LANE, "first + threadIdx.x")),
    "the last row is lost": ("shift", without("r < rows;", "r < rows - 1;")),
    "a row of a sum is lost": ("sums", without("long long r = top;", "long long r = top + 1;")),
    "a block steps over rows": ("softmax", without("r = blockIdx.x;", "r = 2 * blockIdx.x;")),
    "a thread's share is lost": ("softmax", without("j += blockDim.x", "j += 2 * blockDim.x")),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_caught(shim, fault):
    name, change = FAULTS[fault]
    assert not is_right(name, change)


def test_a_barrier_that_not_all_threads_reach_is_caught(shim):
    """It ends the process, with a message: on a device it would hang."""
    program = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "import numpy as np, test_planted_faults as t\n"
        "from cuda_kernels import Guarded, run\n"
        "kernel, form, arguments, _ = t.CASES['softmax']\n"
        "spoil = t.without('V total = of_warps[0];', 'if (threadIdx.x < 5) { __syncthreads(); } V total = 0;')\n"
        "run(Guarded([(kernel, form)], 'float64', spoil), kernel, form, arguments, t.SHAPE, 0)\n"
    )
    folders = [str(p) for p in (__file__.rpartition("/")[0], __file__.rpartition("/")[0].rpartition("/")[0])]
    done = subprocess.run([sys.executable, "-c", program, *folders], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert re.search(r"divergent barrier in block \(\d+, 0\)", done.stderr), done.stderr
