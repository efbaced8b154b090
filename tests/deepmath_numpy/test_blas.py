"""Large products go to BLAS at its address, that of NumPy or of SciPy: forward, back, and for the weights."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from deepmath_numpy import blas, is_fused

from deepmath import Dense, Sequential

pytestmark = pytest.mark.skipif(not is_fused(), reason="needs numba")

SOURCES = {"numpy": blas._of_numpy, "scipy": blas._of_scipy}


def has(source):
    return bool(SOURCES[source]("sgemm"))


def assert_agrees(precision, batch_size, rows=130, width=0):
    """Three epochs of ours and of the reference; `width` is added to every layer's."""
    tolerance = {"float32": 1e-4, "float64": 1e-11}[precision]
    draw = np.random.default_rng(0)
    X, Y = draw.standard_normal((rows, 96)), draw.standard_normal((rows, 80))
    found = []
    for backend in ("numpy", "reference"):
        model = Sequential([Dense(128 + width, "tanh", input_dim=96), Dense(112 + width, "tanh"), Dense(80)])
        model.compile(optimizer="sgd", loss="mse")
        history = model.fit(
            X, Y, epochs=3, batch_size=batch_size, verbose=0, backend=backend, precision=precision
        ).history
        single = model.predict(X[:1], backend=backend, precision=precision)
        found.append((history["loss"], model.predict(X, backend=backend, precision=precision), single))
        found[-1] += (*model.get_weights(),)
    assert "products by BLAS" in model.plan(backend="numpy", precision=precision)
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(("batch_size", "width"), [(64, 0), (1, 700)], ids=["matrices", "single rows"])
@pytest.mark.skipif(not (has("numpy") or has("scipy")), reason="there is no BLAS to call")
def test_large_products_agree_with_the_reference(precision, batch_size, width):
    assert_agrees(precision, batch_size, rows=130 if batch_size > 1 else 3, width=width)


ALONE = """
import sys
sys.path.insert(0, {folder!r})
from deepmath_numpy import blas
blas._of_{other} = lambda name: 0
from test_blas import assert_agrees
for precision in ("float32", "float64"):
    assert_agrees(precision, 64)
    assert_agrees(precision, 1, rows=3, width=700)
"""


@pytest.mark.parametrize(("source", "other"), [("numpy", "scipy"), ("scipy", "numpy")])
def test_each_of_them_agrees_alone(source, other):
    """In a process of its own: an address stays in a process's tables."""
    if not has(source):
        pytest.skip(f"{source} has no BLAS that can be called here")
    text = ALONE.format(folder=str(Path(__file__).parent), other=other)
    subprocess.run([sys.executable, "-c", text], check=True)
