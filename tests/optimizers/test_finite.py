"""Awkward gradients never make a parameter infinite or NaN: by the reference and compiled, in both precisions."""

import array_api_compat.numpy as xnp
import numpy as np
import pytest
from compiled_rules import updating

from deepmath.optimizers import Adam, RMSprop

SIZE = 5
GRADIENTS = {
    "zero": lambda info: [0.0, 0.0, 0.0],
    "signed zeros": lambda info: [0.0, -0.0, 0.0],
    "1e-23": lambda info: [1e-23] * 3,
    "denormal": lambda info: [info.smallest_subnormal] * 3,
    "1e30": lambda info: [1e30, -1e30, 1e30],
    "square overflows": lambda info: [4 * info.max**0.5] * 3,
    "one spike": lambda info: [0.3, 1e30, -0.2],
}
CASES = [(g, d) for g in GRADIENTS for d in ("float32", "float64")]


def steps(optimizer, dtype, gradients, compiled):
    """Parameters and slots after each step, [1, size] arrays."""
    arrays = [np.full((1, SIZE), v, dtype) for v in (0.7, *[0.0] * len(optimizer.slots))]
    loop = updating(optimizer, dtype) if compiled else None
    found = []
    for step, value in enumerate(gradients):
        g = np.full((1, SIZE), value, dtype)
        numbers = optimizer.coefficients(step)
        if loop is None:
            with np.errstate(all="ignore"):
                arrays = list(optimizer.update(xnp, arrays[0], g, *arrays[1:], *numbers))
        else:
            loop(arrays[0], g, *arrays[1:], *numbers)
        found.append([a.copy() for a in arrays])
    return found


@pytest.mark.parametrize("compiled", [False, True], ids=["reference", "compiled"])
@pytest.mark.parametrize(("kind", "dtype"), CASES, ids=[f"{g}-{d}" for g, d in CASES])
def test_steps_are_finite(optimizer, kind, dtype, compiled):
    info = np.finfo(dtype)
    found = steps(optimizer, dtype, GRADIENTS[kind](info), compiled)
    before = np.full((1, SIZE), 0.7, dtype)
    for w, *slots in found:
        assert w.dtype == dtype
        assert np.all(np.isfinite(w)), w
        assert not any(np.any(np.isnan(s)) for s in slots), slots
    if "zero" in kind and not getattr(optimizer, "weight_decay", 0.0):
        assert np.array_equal(found[-1][0], before)


def test_an_infinite_second_moment_stops_the_parameter():
    for rule in (Adam(0.1), Adam(0.1, amsgrad=True), RMSprop(0.1), RMSprop(0.1, centered=True)):
        (_, *_), (second, *slots), (third, *_) = steps(rule, "float32", [1e30, 1.0, 1.0], True)
        assert np.all(np.isinf(slots[rule.slots.index("v")]))
        assert np.array_equal(second, third)
        assert np.array_equal(third, np.full((1, SIZE), 0.7, np.float32))


@pytest.mark.parametrize("compiled", [False, True], ids=["reference", "compiled"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_equal_gradients_leave_no_negative_variance(dtype, compiled):
    """Rounding makes v less than the squared mean at some of these."""
    values = 0.1 + 0.037 * np.arange(40)
    rule = RMSprop(0.001, rho=0.5, centered=True)
    arrays = [np.full((1, values.size), v, dtype) for v in (0.7, 0.0, 0.0)]
    g = values.astype(dtype)[None, :]
    loop = updating(rule, dtype)
    negative = False
    for step in range(300):
        numbers = rule.coefficients(step)
        if compiled:
            loop(arrays[0], g, *arrays[1:], *numbers)
        else:
            arrays = list(rule.update(xnp, arrays[0], g, *arrays[1:], *numbers))
        negative |= bool(np.any(np.sqrt(arrays[1]) < np.abs(arrays[2])))
    assert negative
    assert np.all(np.isfinite(arrays[0]))
