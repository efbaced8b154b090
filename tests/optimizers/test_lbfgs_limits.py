"""Where L-BFGS ends: at a minimum, at a limit, or where a callback says so; the history tells which."""

import numpy as np
import pytest

from deepmath import Dense, Sequential
from deepmath.callbacks import Lambda
from deepmath.errors import ConfigError
from deepmath.optimizers import LBFGS

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 3))
Y = np.tanh(X[:, 0] * X[:, 1])


def trained(epochs=500, callbacks=(), **limits):
    model = Sequential([Dense(6, "tanh"), Dense(1)])
    model.compile(LBFGS(**limits), "mse")
    return model.fit(X, Y, epochs=epochs, verbose=0, precision="float64", callbacks=callbacks)


def stop_at_three(run, logs):
    run.stop = run.epoch == 3


def test_a_minimum():
    history = trained(tolerance=1e-3)
    assert history.converged is True
    assert 3 < len(history.epoch) < 500


@pytest.mark.parametrize("limits", [{"max_iter": 3}, {"epochs": 3}, {"max_evaluations": 3}])
def test_a_limit(limits):
    history = trained(**limits)
    assert history.converged is False
    assert len(history.epoch) <= 4


def test_a_callback():
    history = trained(callbacks=[Lambda(on_epoch_end=stop_at_three)])
    assert history.converged is None
    assert len(history.epoch) == 3


def test_a_small_share_of_the_loss_is_enough():
    long, short = trained(tolerance=0.0), trained(tolerance=0.0, loss_tolerance=0.01)
    assert short.converged is True
    assert len(short.epoch) < len(long.epoch)
    losses = short.history["loss"]
    assert losses[-2] - losses[-1] <= 0.01 * max(losses[-2], 1.0)


def test_optimisers_that_step_say_nothing_of_it():
    model = Sequential([Dense(1)])
    model.compile("sgd", "mse")
    assert model.fit(X, Y, verbose=0).converged is None


def test_limits_are_checked():
    with pytest.raises(ConfigError, match="LBFGS: max_evaluations must be a whole number >= 1; got 0"):
        LBFGS(max_evaluations=0)
    with pytest.raises(ConfigError, match="LBFGS: loss_tolerance must be a number >= 0; got -1"):
        LBFGS(loss_tolerance=-1)
