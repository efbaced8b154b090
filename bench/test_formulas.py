"""The compiled loops of single formulas, against the same formula as NumPy expressions."""

import array_api_compat.numpy as xnp
import numpy as np
import pytest
from deepmath_numpy.target import host
from llvm_kernels import compiled

from deepmath import activations

SHAPE = (512, 256)
NAMES = ["relu", "sigmoid", "tanh", "gelu", "softplus"]


@pytest.fixture
def z():
    return np.random.default_rng(0).standard_normal(SHAPE, dtype=np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_compiled(benchmark, name, z):
    function, y = activations.get(name), np.empty_like(z)
    kinds = ["element", *["scalar"] * len(function.constants)]
    loop = compiled(function.value, kinds, ["y"], "float32", lanes=host().lanes("float32"))
    benchmark.group = f"{name} of {z.size} values"
    benchmark.pedantic(loop, (z, *function.constants, y), rounds=100, warmup_rounds=2)
    np.testing.assert_allclose(y, function.value(xnp, z), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_numpy(benchmark, name, z):
    value = activations.get(name).value
    benchmark.group = f"{name} of {z.size} values"
    benchmark.pedantic(value, (xnp, z), rounds=100, warmup_rounds=2)
