"""The compiled update of each optimiser over the parameters of 784-256-128-10."""

import numpy as np
import pytest
from compiled_rules import updating

from deepmath import optimizers
from deepmath.benchmark.networks import parameters

SIZE = parameters((784, 256, 128, 10))
STEPWISE = [name for name in optimizers.names() if name != "lbfgs"]


@pytest.mark.parametrize("name", STEPWISE)
def test_update(benchmark, name):
    optimizer, rng = optimizers.get(name), np.random.default_rng(0)
    update = updating(optimizer, "float32")
    w, g = (rng.standard_normal((1, SIZE), dtype=np.float32) for _ in range(2))
    slots = [np.zeros((1, SIZE), np.float32) for _ in optimizer.slots]
    benchmark.group = f"update of {SIZE} parameters"
    given = w, g, *slots, *optimizer.coefficients(0)
    benchmark.pedantic(update, given, rounds=200, warmup_rounds=2)
    assert np.isfinite(w).all()
