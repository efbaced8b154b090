"""Numbers too small to be normal count as zero while compiled steps train, and only then."""

import platform

import numpy as np
import pytest
from deepmath_numpy import is_fused

from deepmath import Dense, Sequential
from deepmath.optimizers import Adam

pytestmark = pytest.mark.skipif(
    not is_fused() or platform.machine() not in {"x86_64", "AMD64"}, reason="compiled steps on x86 do it"
)
TINY = np.finfo(np.float32).tiny


def trained(backend, width, step):
    """Steps on inputs of zero: the kernel's gradient is zero, and its moment falls from 1e-37 by a tenth a step."""
    X, y = np.zeros((20, 4), np.float32), np.arange(20.0)
    model = Sequential([Dense(width, "relu", input_dim=4), Dense(1)], seed=1)
    model.compile(Adam(0.01), "mse")
    model.fit(X, y, batch_size=20, verbose=0, backend=backend)
    model.values |= {"m.0.kernel": np.full((4, width), 1e-37, np.float32)}
    model.values = dict(model.values)
    if step == "fit":
        model.fit(X, y, batch_size=20, epochs=30, verbose=0, backend=backend)
    else:
        for _ in range(30):
            model.train_on_batch(X, y, backend=backend)
    return model


@pytest.mark.parametrize("step", ["fit", "train_on_batch"])
@pytest.mark.parametrize("width", [6, 40, 400])
def test_a_moment_that_decays_ends_at_zero(width, step):
    found, exact = trained("numpy", width, step), trained("reference", width, step)
    assert 0 < exact.values["m.0.kernel"].max() < TINY
    assert not found.values["m.0.kernel"].any()
    for name, value in exact.values.items():
        np.testing.assert_allclose(found.values[name], value, rtol=1e-4, atol=1e-6)
    assert np.float32(1e-30) * np.float32(1e-10) > 0, "the thread's arithmetic is not as it was"


def test_predictions_keep_them():
    model = Sequential([Dense(1, input_dim=1)])
    model.set_weights([np.array([[1e-30]]), np.zeros(1)])
    assert 0 < model.predict(np.full((1, 1), 1e-10, np.float32))[0, 0] < TINY
