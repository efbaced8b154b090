"""The compiled loops of single formulas, against the same formula as NumPy expressions."""

import array_api_compat.numpy as xnp
import numpy as np
import pytest
from deepmath_numpy import loop
from deepmath_numpy.kernels import Kernels
from deepmath_numpy.traces import keeps_input

from deepmath import activations

SHAPE = (512, 256)
NAMES = ["relu", "sigmoid", "tanh", "gelu", "softplus"]


@pytest.fixture
def z():
    return np.random.default_rng(0).standard_normal(SHAPE, dtype=np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_compiled(benchmark, name, z):
    """In place, so every round gets fresh values; the copy isn't timed."""
    function = activations.get(name)
    forward, _ = Kernels("float32").activation(function, bias=False)
    y = np.empty_like(z)
    benchmark.group = f"{name} of {z.size} values"

    def run(values):
        loop.call(forward, (values, y), function.constants, *SHAPE)

    benchmark.pedantic(run, setup=lambda: ((z.copy(),), {}), rounds=100, warmup_rounds=2)
    found = z.copy()
    run(found)
    np.testing.assert_allclose(y if keeps_input(function) else found, function.value(xnp, z), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_numpy(benchmark, name, z):
    value = activations.get(name).value
    benchmark.group = f"{name} of {z.size} values"
    benchmark.pedantic(value, (xnp, z), rounds=100, warmup_rounds=2)
