"""`fit(shuffle=...)` with a function: the caller says in which order each epoch visits the rows."""

import numpy as np
import pytest
from networks import PROGRAMS

from deepmath import Dense, Sequential
from deepmath.callbacks import Checkpoint
from deepmath.datasets import NpySource
from deepmath.errors import ConfigError

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((30, 3)), RNG.standard_normal((30, 1))


def backwards(epoch, rows):
    return np.roll(np.arange(rows)[::-1], epoch)


def trained(X=X, Y=Y, epochs=3, **settings):
    model = Sequential([Dense(4, "tanh", input_dim=3), Dense(1)], seed=2)
    model.compile("adam", "mse")
    model.fit(X, Y, epochs=epochs, batch_size=8, verbose=0, **settings)
    return model


@pytest.mark.parametrize("backend", PROGRAMS)
def test_each_epoch_visits_the_rows_in_its_order(backend):
    found = trained(shuffle=backwards, backend=backend)
    stepped = trained(epochs=0, backend=backend)
    for epoch in range(3):
        order = backwards(epoch, 30)
        for start in range(0, 30, 8):
            stepped.train_on_batch(X[order[start : start + 8]], Y[order[start : start + 8]], backend=backend)
    for a, b in zip(found.get_weights(), stepped.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_epochs_go_on_counting_and_checkpoints_resume(tmp_path):
    seen = []

    def noted(epoch, rows):
        seen.append(epoch)
        return backwards(epoch, rows)

    whole = trained(epochs=5, shuffle=noted)
    assert sorted(set(seen)) == [0, 1, 2, 3, 4]
    trained(epochs=2, shuffle=backwards, callbacks=[Checkpoint(tmp_path)])
    resumed = trained(epochs=5, shuffle=backwards, resume=tmp_path)
    assert all(np.array_equal(a, b) for a, b in zip(whole.get_weights(), resumed.get_weights(), strict=True))


@pytest.mark.parametrize(
    ("order", "told"),
    [
        (lambda epoch, rows: np.arange(rows - 1), "of shape (29,) from 0 to 28"),
        (lambda epoch, rows: np.arange(rows) + 1, "of shape (30,) from 1 to 30"),
        (lambda epoch, rows: np.arange(rows) / 1, "gave float64"),
    ],
)
def test_what_is_no_order_is_refused(order, told):
    with pytest.raises(ConfigError, match="whole numbers of rows, 0 to 29") as error:
        trained(shuffle=order)
    assert told in str(error.value)


@pytest.mark.parametrize("backend", PROGRAMS)
def test_files_follow_it_too(backend, tmp_path):
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", Y)
    source = NpySource(tmp_path / "X.npy", tmp_path / "y.npy")
    found, expected = (trained(*rows, shuffle=backwards, backend=backend) for rows in ((source, None), (X, Y)))
    assert all(np.array_equal(a, b) for a, b in zip(found.get_weights(), expected.get_weights(), strict=True))
    with pytest.raises(ConfigError, match=r"whole numbers of rows, 0 to 29; for epoch 0 it gave float64"):
        trained(source, None, shuffle=lambda epoch, rows: np.arange(rows) / 1)


def test_batches_have_no_rows_to_order():
    with pytest.raises(ConfigError, match="shuffle by a function orders rows; for batches give True or False"):
        trained([(X, Y)], None, shuffle=backwards)
