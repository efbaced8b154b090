"""The kernels that a program runs, in LLVM IR: the head of a classifier, updates in place, random words."""

import numpy as np
import pytest
from accuracy import DTYPES
from llvm_kernels import LANES, Compiled, compiled

from deepmath.formulas import losses, optimizers, regularizers
from deepmath.formulas.random import philox
from deepmath.printers import llvm, loops

SIZES = [0, 1, 3, 15, 16, 17, 64, 257]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("classes", [1, 2, 10, 17, 100])
def test_the_head_of_a_classifier(classes, dtype):
    def formula(xp, z, label, index, weight):
        d = losses.one_hot(xp, label, index, z)
        slope = losses.categorical_crossentropy_logits_slope(xp, z, d)
        return slope * weight, losses.categorical_crossentropy_logits(xp, z, d)

    rng = np.random.default_rng(classes)
    z = (5 * rng.normal(size=(33, classes))).astype(dtype)
    label, weight = rng.integers(0, classes, 33), rng.random(33).astype(dtype)
    kernel = loops.kernel("head", formula, ["element", "row:int", "index", "row"], ["dz", "loss"])
    short = llvm.is_short(kernel, classes, LANES[dtype])
    assert short == (3 * classes <= 2 * LANES[dtype])
    dz, loss = np.full_like(z, 7), np.full(33, 7, dtype)
    Compiled(kernel, dtype, short=short)(z, label, weight, dz, loss)
    want = formula(
        losses_namespace(), z.astype("f8"), label[:, None], np.arange(classes)[None], weight[:, None].astype("f8")
    )
    np.testing.assert_allclose(dz, want[0], rtol=0, atol=8 * np.finfo(dtype).eps)
    np.testing.assert_allclose(loss, want[1][:, 0], rtol=0, atol=40 * np.finfo(dtype).eps)


def losses_namespace():
    import array_api_compat.numpy as xnp

    return xnp


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_update_in_place(dtype):
    kinds, names = ["element"] * 4 + ["scalar"] * 6, [*"wgmv", *(f"c{i}" for i in range(6))]
    function = compiled(optimizers.adam, kinds, ["w", "m", "v"], dtype, names=names)
    rng = np.random.default_rng(0)
    numbers = optimizers.adam_coefficients(3, 1e-3, 0.9, 0.999, 1e-8)
    for size in SIZES:
        w, g, m, v = np.abs(rng.normal(size=(4, 1, size))).astype(dtype)
        want = optimizers.adam(np, *(a.astype("f8") for a in (w, g, m, v)), *numbers)
        function(w, g, m, v, *numbers)
        for got, exact_one in zip((w, m, v), want, strict=True):
            np.testing.assert_allclose(got, exact_one, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
def test_clipping_by_the_norm(dtype):
    function = compiled(regularizers.clip_by_norm, ["element", "scalar"], ["g", "norm"], dtype, names=["g", "c0"])
    for size in SIZES[1:]:
        g = np.random.default_rng(size).normal(size=(1, size)).astype(dtype)
        clipped, norm = regularizers.clip_by_norm(np, g.astype("f8"), 0.5)
        found = np.empty(1, dtype)
        function(g, 0.5, found)
        np.testing.assert_allclose(g, clipped, rtol=20 * np.finfo(dtype).eps)
        np.testing.assert_allclose(found, norm[0], rtol=20 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("units", [4, 8, 68, 132])
def test_random_words_lie_in_one_another(units, dtype):
    def formula(xp, unit, row, first, step, layer, seed, stream):
        return philox(xp, unit, row + first, step, layer, seed, stream)

    kinds, outputs = ["index", "row_index", *["scalar:int"] * 5], list("pqrs")
    function = compiled(formula, kinds, outputs, dtype, steps=dict.fromkeys(outputs, 4))
    words = np.full((7, units), -1, np.int64)
    places = [words[:, i:] for i in range(4)]
    for rows, columns in (((0, 3), (0, units // 4)), ((3, 7), (0, 1)), ((3, 7), (1, units // 4))):
        function(5, 2**32 - 1, 2, 99, 1, *places, rows=rows, columns=columns)
    counters = np.arange(units // 4)[None, :], np.arange(7)[:, None] + 5
    four = philox(np, *counters, 2**32 - 1, 2, 99, 1)
    np.testing.assert_array_equal(words, np.stack(four, axis=-1).reshape(7, units))


def test_what_a_holds():
    def formula(xp, x, label, b, s):
        y = x * b + s
        return y, xp.where(label > 0, xp.sum(y, axis=-1, keepdims=True), 0.0), xp.batch_sum(y)

    kernel = loops.kernel("held", formula, ["element", "row:int", "column", "scalar"], ["x", "r", "c"])
    assert [tuple(e) for e in llvm.entries(kernel)] == [
        ("x", "element", "float"), ("label", "row", "int"), ("b", "column", "float"), ("s", "scalar", "float"),
        ("out_r", "row", "float"), ("out_c", "column", "float"),
    ]  # fmt: skip
    assert sum(e.places for e in llvm.entries(kernel)) == 11
