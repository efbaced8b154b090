"""However the rows are cut into batches, an epoch's gradients average to the gradient of all rows it used."""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import pytest
import torch
from networks import PROGRAMS, Case, compiled, first_values_of
from twin import Twin

from deepmath import Dense, Sequential
from deepmath.errors import ConfigError
from deepmath.formulas.random import epoch_order
from deepmath.optimizers import SGD
from deepmath.regularizers import L2

ROWS, BATCHES, ACCUMULATE = (1, 2, 7, 64, 65), (1, 3, 64, 100), (1, 2, 3, 4)
COMBINATIONS = list(itertools.product(ROWS, BATCHES, (False, True), ACCUMULATE))
LAYERS = (Dense(5, "tanh", kernel_regularizer=L2(0.3)), Dense(2, "sigmoid"))
TOLERANCE = 1e-12
SEED = 3


def case_of(n: int, batch: int, drop_last: bool, accumulate: int, weighted: bool) -> Case:
    rng = np.random.default_rng(n)
    X, y, weights = rng.standard_normal((n, 3)), rng.random((n, 2)), rng.choice([0.5, 1.0, 3.0], n)
    rule = SGD(0.0, momentum=0.5)
    chosen = weights if weighted else None
    return Case(LAYERS, "binary_crossentropy", rule, X, y, chosen, batch, accumulate, drop_last, True, SEED)


def epoch_gradient(case: Case, backend: str, steps: int) -> tuple[dict[str, Any], float, int]:
    """The weighted mean of the steps' gradients at the initial values, their weight and number of rows.

    After one step of rate 0 with momentum from a velocity of zero, the velocity is the gradient, to the bit.
    """
    program = compiled(case, backend)
    start = program.state()
    total, weight, rows = {n: 0.0 for n in start if n.startswith("v.")}, 0.0, 0
    for step in range(steps):
        program.load(start | {"step": np.asarray(step)})
        row = np.asarray(program.run(1))[0]
        state = program.state()
        total = {n: t + row[2] * state[n] for n, t in total.items()}
        weight, rows = weight + row[2], rows + int(row[3])
    return {n.removeprefix("v."): t / weight for n, t in total.items()}, weight, rows


def full_gradient(case: Case, used: Any) -> dict[str, Any]:
    """PyTorch's gradient of the objective over these rows at once."""
    weights = None if case.weights is None else case.weights[used]
    whole = Case(LAYERS, case.loss, SGD(0.0), case.X[used], case.y[used], weights, len(used), shuffle=False, seed=SEED)
    twin = Twin(whole, first_values_of(case))
    return dict(zip(twin.params, torch.autograd.grad(twin.objective(), list(twin.params.values())), strict=True))


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize(("n", "batch"), list(itertools.product(ROWS, BATCHES)))
def test_the_epoch_s_gradient_is_the_gradient_of_all_its_rows(n, batch, backend, record_property):
    worst = 0.0
    for drop_last, accumulate, weighted in itertools.product((False, True), ACCUMULATE, (False, True)):
        case = case_of(n, batch, drop_last, accumulate, weighted)
        logical = batch * accumulate
        used = epoch_order(SEED, 0, n)
        if drop_last:
            used = used[: n // logical * logical]
            if not len(used):  # an error of `fit`: see below
                continue
        found, weight, rows = epoch_gradient(case, backend, -(-len(used) // logical))
        assert rows == len(used)
        assert weight == pytest.approx(rows if case.weights is None else case.weights[used].sum(), rel=1e-14)
        for name, wanted in full_gradient(case, used).items():
            wanted = wanted.numpy()
            worst = max(worst, float(np.max(np.abs(found[name] - wanted) / np.maximum(1.0, np.abs(wanted)))))
            assert np.abs(wanted).max() > 1e-4, "a gradient this small proves nothing"
    record_property("worst", worst)
    assert worst < TOLERANCE


EMPTY = [(n, b, a) for n, b, drop_last, a in COMBINATIONS if drop_last and b * a > n]


def test_all_combinations_are_tried():
    assert len(COMBINATIONS) == 160
    assert len(EMPTY) == 53


@pytest.mark.parametrize("backend", PROGRAMS)
def test_no_batch_at_all_is_an_error(backend):
    for n, batch, accumulate in EMPTY:
        case = case_of(n, batch, True, accumulate, False)
        model = Sequential(LAYERS)
        model.compile("sgd", case.loss)
        text = f"fit: drop_last leaves no batch: {n} rows, batches of {batch * accumulate}"
        with pytest.raises(ConfigError, match=f"^{re.escape(text)}$"):
            model.fit(
                case.X, case.y, batch_size=batch, accumulate=accumulate, drop_last=True, verbose=0, backend=backend
            )


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize(("n", "batch", "accumulate"), [(1, 1, 1), (7, 3, 2), (65, 64, 1), (64, 100, 1)])
def test_fit_uses_the_same_rows(n, batch, accumulate, backend):
    """One epoch of `fit` at rate 0 reports the mean over the rows that its steps used."""
    drop_last = batch * accumulate <= n
    case = case_of(n, batch, drop_last, accumulate, True)
    model = Sequential(LAYERS, seed=SEED)
    model.compile(SGD(0.0), case.loss)
    settings = {"batch_size": batch, "accumulate": accumulate, "drop_last": drop_last, "sample_weight": case.weights}
    history = model.fit(case.X, case.y, precision="float64", verbose=0, backend=backend, **settings)
    logical = batch * accumulate
    used = epoch_order(SEED, 0, n)[: n // logical * logical or n]
    whole = Case(
        LAYERS, case.loss, SGD(0.0), case.X[used], case.y[used], case.weights[used], n, shuffle=False, seed=SEED
    )
    assert history.history["loss"][0] == pytest.approx(float(Twin(whole).objective().detach()), rel=1e-12)
