"""Fifty random networks train on the shim, and agree with the reference by the design's rules."""

import pytest
from cuda_programs import COUNT, STEPS, lock_step, on_shim, prepare, relative, spread, trained
from random_networks import random_case


def test_float64_runs_free(shim, record_property):
    cases = [random_case(seed) for seed in range(COUNT)]
    prepare(cases, ["float64"])
    worst, sensitive = 0.0, []
    for seed, case in enumerate(cases):
        difference = relative(trained(case, on_shim(seed)), trained(case))
        if difference > 1e-11:
            assert difference < 100 * spread(case), f"network {seed}: {difference}"
            sensitive.append(seed)
        else:
            worst = max(worst, difference)
    record_property("worst", worst)
    record_property("sensitive", sensitive)
    assert len(sensitive) <= 2


def agree_in_lock_step(steps, record_property):
    cases = [random_case(seed) for seed in range(COUNT)]
    prepare(cases, ["float32"])
    found = [lock_step(case, on_shim(seed), "float32", steps) for seed, case in enumerate(cases)]
    beyond = [seed for seed, worst in enumerate(found) if worst > 1e-5]
    record_property("worst", max(w for w in found if w <= 1e-5))
    record_property("beyond", beyond)
    assert len(beyond) <= 2, beyond  # a relu's sign may change in the last digit
    for seed in beyond:
        assert any("relu" in str(layer) for layer in cases[seed].layers), f"network {seed}: {found[seed]}"


def test_float32_agrees_in_lock_step(shim, record_property):
    agree_in_lock_step({0, 7, 19}, record_property)


@pytest.mark.slow
def test_float32_agrees_in_lock_step_at_every_step(shim, record_property):
    agree_in_lock_step(set(range(STEPS)), record_property)


@pytest.mark.parametrize(("precision", "bound"), [("tf32", 1e-5), ("bf16", 0.06), ("float16", 0.01)])
def test_shorter_precisions_stay_near(shim, precision, bound):
    """bf16 keeps 8 binary digits, float16 keeps 11: gradients of small networks stay within a few of their units."""
    cases = [random_case(seed) for seed in (0, 1, 2, 4, 6)]
    prepare(cases, [precision])
    worst = [lock_step(case, on_shim(seed), precision, {0, 10}) for seed, case in enumerate(cases)]
    assert max(worst) < bound
    if precision != "tf32":
        assert min(worst) > 1e-5  # it is the shorter precision that ran
