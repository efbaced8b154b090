"""The compiled update equals the formula, in place, step after step from the same state."""

import array_api_compat.numpy as xnp
import numpy as np
import pytest
from compiled_rules import updating

STEPS, SIZE = 20, 37
TOLERANCE = {"float32": 8 * float(np.finfo(np.float32).eps), "float64": 1e-14}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_compiled_equals_reference(optimizer, dtype):
    rng = np.random.default_rng(0)
    loop = updating(optimizer, dtype)
    arrays = [rng.standard_normal((1, SIZE)).astype(dtype)]
    arrays += [np.zeros((1, SIZE), dtype) for _ in optimizer.slots]
    for step in range(STEPS):
        g = (rng.standard_normal((1, SIZE)) * 10.0 ** rng.uniform(-3, 2, SIZE)).astype(dtype)
        numbers = optimizer.coefficients(step)
        wanted = optimizer.update(xnp, arrays[0], g, *arrays[1:], *numbers)
        kept, given = list(arrays), g.copy()
        loop(arrays[0], g, *arrays[1:], *numbers)
        assert all(a is b for a, b in zip(arrays, kept, strict=True))
        assert np.array_equal(g, given)
        for name, found, want in zip(("w", *optimizer.slots), arrays, wanted, strict=True):
            # a velocity is a sum that may cancel: its error is that of the larger of its terms
            scale = np.maximum(np.abs(want), np.abs(g)) if name != "w" else np.maximum(np.abs(want), 1.0)
            assert np.max(np.abs(found - want) / scale) < TOLERANCE[dtype], (name, step)


def test_every_rule_is_compiled(optimizer):
    assert callable(updating(optimizer, "float32"))
