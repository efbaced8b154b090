"""Products too large for our own go to SciPy's BLAS at its address: forward, back, and for the weights."""

import numpy as np
import pytest
from deepmath_numpy import is_fused

from deepmath import Dense, Sequential

pytestmark = pytest.mark.skipif(not is_fused(), reason="needs numba")


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-4), ("float64", 1e-11)])
def test_large_products_agree_with_the_reference(precision, tolerance):
    pytest.importorskip("scipy", reason="compiled products need SciPy's BLAS")
    draw = np.random.default_rng(0)
    X, Y = draw.standard_normal((130, 96)), draw.standard_normal((130, 80))
    found = []
    for backend in ("numpy", "reference"):
        model = Sequential([Dense(128, "tanh", input_dim=96), Dense(112, "tanh"), Dense(80)])
        model.compile(optimizer="sgd", loss="mse")
        losses = model.fit(X, Y, epochs=3, batch_size=64, verbose=0, backend=backend, precision=precision).history[
            "loss"
        ]
        found.append((losses, model.predict(X, backend=backend, precision=precision), *model.get_weights()))
    assert "products by BLAS" in model.plan(backend="numpy", precision=precision)
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)
