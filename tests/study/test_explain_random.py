"""20 random networks derived: every number is that of the program which trains, and no line contradicts itself."""

from dataclasses import replace

import numpy as np
import pytest
from networks import Case, Probe, whole_batch
from random_networks import random_case
from studied import model_of

from deepmath import Sequential, explain_step
from deepmath.backend import load_backend
from deepmath.batches import row_weights
from deepmath.data import validation
from deepmath.program import Batch

ROWS = 3
SEEDS = tuple(range(20))


def program_step(model: Sequential, case: Case) -> tuple[dict, dict, dict]:
    """(values before, values after, gradients) of one step of the reference on these rows."""
    chosen = load_backend("reference")
    recipe = replace(model.recipe("float64", shuffle=False), batch_size=len(case.X))
    data = validation.validated(chosen, recipe, case.X, case.y, case.weights)
    program = chosen.compile(recipe, model.values, data)
    before = program.state()
    rows = np.arange(len(case.X), dtype=np.int64)
    gradients = program.gradients(Batch(rows, row_weights(data.weights, rows, recipe.head.loss.summed)))
    program.apply(gradients)
    return before, program.state(), gradients.values


def few_rows(case: Case) -> Case:
    rows = ROWS + 2 * any(type(x).__name__ == "BatchNormalization" for x in case.layers)
    weights = None if case.weights is None else case.weights[:rows]
    return replace(case, X=case.X[:rows], y=case.y[:rows], weights=weights)


def trained(case: Case, model: Sequential) -> None:
    """Some steps on other rows, so that slots and running averages aren't zero."""
    model.fit(
        case.X, case.y, batch_size=5, verbose=0, precision="float64", sample_weight=case.weights, backend="reference"
    )


def same(found, expected, what, scale=1.0):
    expected = np.asarray(expected, np.float64)
    size = max(scale, float(np.max(np.abs(expected), initial=0.0)))
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12 * size, err_msg=what)


LONG = [pytest.param(seed, "weights", marks=() if seed % 4 == 2 else pytest.mark.slow) for seed in SEEDS]
SHORT = [(seed, "matrices") for seed in SEEDS]


@pytest.mark.parametrize(("seed", "detail"), [*LONG, *SHORT])
def test_every_number_is_the_program_s_own(seed, detail):
    case = random_case(seed)
    model = model_of(case)
    trained(case, model)
    case = few_rows(case)
    step = explain_step(model, case.X, case.y, sample_weight=case.weights, detail=detail)
    before, after, gradients = program_step(model, case)
    for name, g in gradients.items():
        same(step.values[f"gradient.{name}"], g, name)
    for name, value in before.items():
        if name not in ("step", "rate"):
            own = name.removeprefix("params.").removeprefix("state.")
            same(step.values[own], value, own)
            same(step.values[f"new.{own}"], after[name], own)
    if detail == "weights":
        check_equations(step)
        check_fused(step, case, before)


def check_fused(step, case, before):
    """The fused program, which shares no code with the derivation's, has the gradient too."""
    found = Probe(case, "numpy").gradients(before, whole_batch(case), int(before["step"]))
    whole = np.sqrt(sum(float(np.sum(g * g)) for g in found.values()))
    for name, g in found.items():
        same(step.values[f"gradient.{name}"], g, name, whole)


def check_equations(step):
    """Each line that names a number of an array has that number; all trained numbers have lines."""
    seen = set()
    for equation in step.equations:
        name, place = equation.left.place
        if name in step.values:
            value = np.asarray(step.values[name], np.float64)
            same(equation.value, value[place] if value.shape else value, equation.left.plain)
            seen.add(name)
    assert step.equations, step.text()
    assert {n for n in step.values if n.startswith(("gradient.", "new."))} - seen == set()


def test_a_wrong_number_is_seen():
    case = few_rows(random_case(1))
    step = explain_step(model_of(case), case.X, case.y, detail="weights")
    name = next(e.left.place[0] for e in reversed(step.equations) if e.left.place[0] in step.values)
    step.values[name] = np.asarray(step.values[name]) * (1 + 1e-9)
    with pytest.raises(AssertionError):
        check_equations(step)
