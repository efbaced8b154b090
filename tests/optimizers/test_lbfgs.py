"""L-BFGS over a program: it finds what SciPy finds by itself, and leaves the program where it says."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.optimize
from networks import PROGRAMS, Case, first_values_of, recipe_of

from deepmath.backend import load_backend
from deepmath.data import validation
from deepmath.errors import ConfigError, MissingExtra, NonFiniteError, TraceError
from deepmath.layers import BatchNormalization, Dense, Dropout
from deepmath.optimizers import LBFGS
from deepmath.regularizers import L2
from deepmath.training.lbfgs import all_rows, fit_lbfgs, standing

RNG = np.random.default_rng(0)
X = RNG.standard_normal((30, 3))
LINE = X @ np.asarray([[1.0], [-2.0], [0.5]]) + 0.3 + 0.1 * RNG.standard_normal((30, 1))


def prepared(layers, loss="mse", y=LINE, backend="numpy", precision="float64", batch_size=30, weights=None):
    """A program for `fit_lbfgs` and its rows."""
    case = Case(layers, loss, LBFGS(), X, y, weights=weights, batch_size=batch_size)
    chosen = load_backend(backend)
    recipe = standing(replace(recipe_of(case), precision=precision))
    data = validation.validated(chosen, recipe, X, y, weights)
    return chosen.compile(recipe, first_values_of(case), data), all_rows(recipe, data.rows, data.weights)


def fitted(layers, optimizer=None, **settings):
    program, batches = prepared(layers, **settings)
    rows = []
    fit_lbfgs(program, optimizer or LBFGS(), batches, lambda results: rows.append(np.array(results)))
    return program, np.asarray(rows)


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize("batch_size", [30, 7])
def test_least_squares_are_solved(backend, batch_size):
    program, rows = fitted((Dense(1),), LBFGS(tolerance=1e-10), backend=backend, batch_size=batch_size)
    wanted = np.linalg.lstsq(np.column_stack([X, np.ones(30)]), LINE, rcond=None)[0].ravel()
    state = program.state()
    found = np.concatenate([state["params.0.kernel"].ravel(), state["params.0.bias"]])
    np.testing.assert_allclose(found, wanted, rtol=1e-7)
    assert int(state["step"]) == len(rows)
    assert np.all(np.diff(rows[:, 0]) <= 0.0)
    assert rows[-1, 3] == rows[-1, 2] == 30


def test_weights_count():
    weights = np.where(np.arange(30) < 10, 0.0, 2.0)
    program, _ = fitted((Dense(1),), LBFGS(tolerance=1e-10), weights=weights)
    wanted = np.linalg.lstsq(np.column_stack([X, np.ones(30)])[10:], LINE[10:], rcond=None)[0].ravel()
    np.testing.assert_allclose(program.state()["params.0.kernel"].ravel(), wanted[:3], rtol=1e-7)


LAYERS = (Dense(5, "tanh", kernel_regularizer=L2(0.01)), Dense(1))


def by_scipy(program, batches, optimizer):
    """The objective at each iteration, by SciPy on a function written here."""
    state = program.state()
    names = [n for n in state if n.startswith("params.")]

    def f(x):
        start, values = 0, {}
        for n in names:
            values[n] = x[start : start + state[n].size].reshape(state[n].shape)
            start += state[n].size
        h = np.tanh(X @ values["params.0.kernel"] + values["params.0.bias"])
        e = h @ values["params.1.kernel"] + values["params.1.bias"] - LINE
        dh = (2 / 30 * e @ values["params.1.kernel"].T) * (1 - h * h)
        slopes = {
            "params.0.kernel": X.T @ dh + 0.01 * values["params.0.kernel"],
            "params.0.bias": dh.sum(0),
            "params.1.kernel": h.T @ e * 2 / 30,
            "params.1.bias": 2 / 30 * e.sum(0),
        }
        value = np.mean(e * e) + 0.005 * np.sum(values["params.0.kernel"] ** 2)
        return value, np.concatenate([slopes[n].ravel() for n in names])

    found = []
    start = np.concatenate([state[n].ravel() for n in names])
    options = {"maxcor": optimizer.history, "maxiter": optimizer.max_iter, "maxls": 50}
    scipy.optimize.minimize(
        f, start, jac=True, method="L-BFGS-B", options=options, callback=lambda x: found.append(f(x)[0])
    )
    return found


@pytest.mark.parametrize("backend", PROGRAMS)
def test_iterations_are_scipys(backend):
    optimizer = LBFGS(max_iter=12, history=4)
    program, batches = prepared(LAYERS, backend=backend)
    wanted = by_scipy(program, batches, optimizer)
    rows = []
    fit_lbfgs(program, optimizer, batches, lambda results: rows.append(results[0]))
    assert len(rows) == 12
    np.testing.assert_allclose(rows, wanted, rtol=1e-8)


@pytest.mark.parametrize("backend", PROGRAMS)
def test_float32_ends_without_an_error(backend):
    program, rows = fitted(LAYERS, backend=backend, precision="float32")
    assert rows[-1, 0] < 0.2 * rows[0, 0]
    assert program.state()["params.0.kernel"].dtype == np.float32


@pytest.mark.parametrize("backend", PROGRAMS)
def test_the_program_stands_at_the_last_iteration(backend):
    program, batches = prepared(LAYERS, backend=backend)
    seen = []

    def note(results):
        seen.append((results[0], program.state()))
        return len(seen) == 5

    fit_lbfgs(program, LBFGS(), batches, note)
    assert len(seen) == 5
    assert program.step == 5
    now = program.state()
    assert all(np.array_equal(now[n], v) for n, v in seen[-1][1].items())
    gradients = None
    for batch in batches:
        gradients = program.gradients(batch, gradients)
    assert float(gradients.sums[0] + gradients.sums[1]) == pytest.approx(seen[-1][0], rel=1e-12)


def test_a_point_before_the_last_one_tried_is_evaluated_again(monkeypatch):
    program, batches = prepared(LAYERS)
    kept = {}

    def minimize(f, x, callback, **_):
        kept["wanted"], _slope = f(x + 0.5)
        f(x - 3.0)
        callback(intermediate_result=scipy.optimize.OptimizeResult(x=x + 0.5))
        return scipy.optimize.OptimizeResult(success=True)

    monkeypatch.setattr(scipy.optimize, "minimize", minimize)
    fit_lbfgs(program, LBFGS(), batches, lambda results: kept.update(found=results[0]))
    assert kept["found"] == kept["wanted"]


def test_an_exception_leaves_the_last_point():
    program, batches = prepared(LAYERS)
    seen = []

    def interrupt(results):
        seen.append(program.state())
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_lbfgs(program, LBFGS(), batches, interrupt)
    assert all(np.array_equal(program.state()[n], v) for n, v in seen[-1].items())


@pytest.mark.parametrize("backend", PROGRAMS)
def test_running_averages_follow_each_iteration(backend):
    layers = (Dense(4, "tanh"), BatchNormalization(), Dense(1))
    program, batches = prepared(layers, backend=backend)
    before = program.state()["state.1.moving_mean"]
    means = []
    fit_lbfgs(program, LBFGS(max_iter=6), batches, lambda _: means.append(program.state()["state.1.moving_mean"]))
    assert len(means) == 6
    assert all(not np.array_equal(a, b) for a, b in zip([before, *means], means, strict=False))


@pytest.mark.parametrize("backend", PROGRAMS)
def test_dropout_is_refused(backend):
    program, batches = prepared((Dense(4, "tanh"), Dropout(0.5), Dense(1)), backend=backend)
    before = program.state()
    with pytest.raises(ConfigError, match="LBFGS needs the same loss each time it is asked, and a layer such as Drop"):
        fit_lbfgs(program, LBFGS(), batches, lambda _: None)
    assert all(np.array_equal(program.state()[n], v) for n, v in before.items())


def test_a_start_without_a_loss_is_refused():
    program, batches = prepared((Dense(1),))
    state = program.state()
    program.load(state | {"params.0.kernel": np.full((3, 1), 1e200)})
    with pytest.raises(NonFiniteError, match=r"loss is inf before the first step of LBFGS\. Scale the data\."):
        fit_lbfgs(program, LBFGS(), batches, lambda _: None)


def test_without_scipy_the_cure_is_named(monkeypatch):
    program, batches = prepared((Dense(1),))
    monkeypatch.setitem(__import__("sys").modules, "scipy.optimize", None)
    with pytest.raises(MissingExtra, match=r"L-BFGS steps need the package 'scipy': pip install 'deepmath\[fast\]'"):
        fit_lbfgs(program, LBFGS(), batches, lambda _: None)


@pytest.mark.parametrize("backend", PROGRAMS)
def test_a_program_that_would_step_row_by_row_says_so(backend):
    case = Case((Dense(1),), "mse", LBFGS(), X, LINE)
    chosen = load_backend(backend)
    recipe = recipe_of(case)
    program = chosen.compile(recipe, first_values_of(case), validation.validated(chosen, recipe, X, LINE))
    assert np.all(np.isfinite(np.asarray(program.predict(program.data.x))))
    with pytest.raises(TraceError, match="LBFGS has no update element by element"):
        program.run(1)
