"""Every formula as a CUDA kernel, on the shim, in every precision: ragged shapes, shuffled threads, guarded arrays."""

import numpy as np
import pytest
from cuda_kernels import Guarded, run
from cuda_shim import narrowed, widened
from helpers import assert_close, error_bounds, has_row_max, kernel_arguments, reference, rounded
from table import TABLE

from deepmath.graph import KINDS
from deepmath.printers import cuda, loops
from deepmath.trace import trace

SHAPES = [(1, 1), (3, 1), (1, 7), (5, 16), (33, 17), (2, 70), (130, 3)]
SEEDS = (0, 1, 2)
SPACING = {"bf16": 2.0**-8, "float16": 2.0**-11}
"""Half the relative distance between neighbouring numbers."""


def kernel_and_form(row, precision):
    """The kernel of a row of the table; in 16 bits, its element arrays are stored so."""
    kernel = loops.kernel(f"of_{row.name}", row.formula, row.kinds, [f"y{i}" for i in range(row.results)])
    if precision not in SPACING or row.name == "gaussian":  # which takes numbers of 24 bits
        return kernel, cuda.PLAIN
    given = {a.value for a in kernel.arguments if a.axes == KINDS["element"] and a.dtype == "float"}
    made = {n.removeprefix("out_") for n, kind, v in kernel.outputs if kind == "element" and v.dtype == "float"}
    return kernel, cuda.Form(stored=frozenset(given | made))


def stored(arguments, row, kernel, form, precision):
    """Arguments with stored arrays rounded to what 16 bits hold, as float64, and as the kernel takes them."""
    values = rounded(arguments, "float32" if precision != "float64" else "float64")
    names = iter(kernel.arguments)
    for i, kind in enumerate(row.kinds):
        if kind.partition(":")[0] in ("element", "row", "column", "scalar") and next(names).value in form.stored:
            bits = narrowed(np.asarray(values[i], np.float32), precision, "S")
            values[i] = widened(bits, precision, "S").astype(np.float64)
    return values


def checked(row, found, arguments, precision, traced):
    """Results against the formula in float64, within what rounding explains."""
    if precision not in SPACING:
        assert_close(row, found, arguments, precision, traced)
        return
    with np.errstate(all="ignore"):  # rounded arguments may lie where the formula has no value
        bounds, expected = error_bounds(traced, arguments, "float32"), reference(row, arguments)
    for got, want, bound in zip(found, expected, bounds, strict=True):
        if got.dtype.kind != "f":
            continue
        want = np.broadcast_to(want, np.broadcast_shapes(np.shape(want), (got.shape[0], 1)))
        got, largest = got.reshape(want.shape), 3.3e38 if precision == "bf16" else 65504.0
        bound = np.broadcast_to(bound, want.shape)
        fits = np.isfinite(want) & np.isfinite(bound) & (np.abs(want) < largest)
        assert fits.mean() > 0.5, row.name
        got, want, bound = got[fits], want[fits], bound[fits]
        room = np.abs(want) * SPACING[precision] * 1.01 + bound + (0 if precision == "bf16" else 2.0**-25)
        bad = np.abs(got - want) > room
        assert not bad.any(), f"{row.name}: {got[bad][:3]} instead of {want[bad][:3]}"


@pytest.mark.parametrize("precision", ["float32", "float64", "bf16", "float16"])
def test_every_formula(shim, precision):
    rows = [(row, *kernel_and_form(row, precision)) for row in TABLE]
    kernels = Guarded([(kernel, form) for _, kernel, form in rows], precision)
    dtype = "float64" if precision == "float64" else "float32"
    for row, kernel, form in rows:
        traced = trace(row.formula, row.trace_kinds)
        for seed, shape in enumerate(SHAPES):
            arguments = row.draw(np.random.default_rng(shape), shape)
            arguments = stored(arguments, row, kernel, form, precision)
            passed = kernel_arguments(row, kernel, arguments, dtype)
            found = run(kernels, kernel, form, passed, shape, SEEDS[seed % 3])
            checked(row, found, arguments, precision, traced)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_order_of_threads_changes_no_bit(shim, seed):
    names = {"softmax", "normalize", "categorical_crossentropy_logits_slope", "length"}
    rows = [(row, *kernel_and_form(row, "float32")) for row in TABLE if row.name in names]
    assert len(rows) == len(names)
    kernels = Guarded([(kernel, form) for _, kernel, form in rows], "float32")
    for row, kernel, form in rows:
        arguments = rounded(row.draw(np.random.default_rng(seed), (9, 300)), "float32")
        passed = kernel_arguments(row, kernel, arguments, "float32")
        one, other = (run(kernels, kernel, form, passed, (9, 300), s) for s in (seed, seed + 100))
        assert [a.tobytes() for a in one] == [a.tobytes() for a in other]


def test_no_row_and_no_column_is_no_error(shim):
    rows = [(row, *kernel_and_form(row, "float64")) for row in TABLE if not has_row_max(row)][:20]
    kernels = Guarded([(kernel, form) for _, kernel, form in rows], "float64")
    for row, kernel, form in rows:
        arguments = row.draw(np.random.default_rng(0), (0, 4))
        run(kernels, kernel, form, kernel_arguments(row, kernel, arguments, "float64"), (0, 4), 0)


@pytest.mark.parametrize("precision", ["bf16", "float16"])
def test_every_stored_number_is_read_and_written_as_it_is(shim, precision):
    """All 65536 of them, and numbers between them, ties among them, as NumPy rounds them."""
    kernel = loops.kernel("same", lambda xp, x: x, ["element"], ["y"])
    narrow = cuda.Form(stored=frozenset({"y"}))
    bits = np.arange(1 << 16, dtype=np.uint16)
    numbers = widened(bits, precision, "S")
    finite = numbers[np.isfinite(numbers)]
    ordered = np.sort(finite)
    between = (ordered[1:].astype(np.float64) + ordered[:-1]) / 2
    beside = [np.nextafter(between.astype(np.float32), np.float32(d)) for d in (-np.inf, np.inf)]
    x = np.concatenate([numbers, between.astype(np.float32), *beside, np.float32([1e-30, 3e38, -3e38, 65519, 65520])])
    found = run(Guarded([(kernel, narrow)], precision), kernel, narrow, [x[None, :]], (1, len(x)), 0, raw=True)[0]
    np.testing.assert_array_equal(found.reshape(-1), narrowed(x, precision, "S").astype(np.uint16))
    wide = cuda.Form(stored=frozenset({"x"}))
    found = run(Guarded([(kernel, wide)], precision), kernel, wide, [numbers[None, :]], (1, 1 << 16), 0)[0]
    np.testing.assert_array_equal(found.reshape(-1), numbers)
