"""Data that stay on the host and go to the device in pieces: the same bits as data that lie there."""

import logging
from dataclasses import replace

import numpy as np
import pytest
from cuda_cases import EVERYTHING
from cuda_programs import on_shim
from deepmath_cupy import staging
from deepmath_cupy.staging import Kept
from networks import compiled

from deepmath import Dense, Sequential
from deepmath.batches import InMemory
from deepmath.program import Data

RNG = np.random.default_rng(1)
CASE = replace(EVERYTHING, X=RNG.standard_normal((203, 6)), y=RNG.integers(0, 3, 203), weights=None)


@pytest.fixture
def small(monkeypatch):
    """Every array is too large, and a stage holds two steps and a half."""
    monkeypatch.setattr(staging, "SHARE", 0.0)
    monkeypatch.setattr(staging, "STAGE_BYTES", 80 * 6 * 8)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("precision", ["float64", "bf16"])
def test_the_same_bits_as_on_the_device(shim, monkeypatch, precision, shuffle):
    case = replace(CASE, shuffle=shuffle)
    resident = compiled(case, on_shim(), precision)
    expected = resident.run(25), resident.run(4), resident.state()
    monkeypatch.setattr(staging, "SHARE", 0.0)
    monkeypatch.setattr(staging, "STAGE_BYTES", 80 * 6 * 8)
    monkeypatch.setattr("deepmath_cupy.program.STRETCH", 6)
    staged = compiled(case, on_shim(), precision)
    assert isinstance(staged.data.x, Kept)
    found = staged.run(25), staged.run(4), staged.state()
    for one, other in zip(found[:2], expected[:2], strict=True):
        assert one.tobytes() == other.tobytes()
    for name, value in expected[2].items():
        assert found[2][name].tobytes() == value.tobytes(), name


def test_gradients_predictions_and_measures_of_kept_data(shim, small):
    reference, staged = compiled(CASE), compiled(CASE, on_shim())
    for program in (reference, staged):
        for _ in range(3):
            gradients = None
            for batch in InMemory(program.recipe, program.data).at(program.step):
                gradients = program.gradients(batch, gradients)
            program.apply(gradients)
    for name, value in reference.state().items():
        np.testing.assert_allclose(staged.state()[name], value, rtol=1e-11, atol=1e-13)
    data = Data(staged.data.x, staged.data.targets)
    np.testing.assert_allclose(staged.measure(data), reference.measure(reference.data), rtol=1e-12)
    np.testing.assert_allclose(staged.predict(data.x), reference.predict(CASE.X), rtol=1e-12)


def test_groups_fit_into_a_stage(shim, small):
    program = compiled(CASE, on_shim())
    rows = [np.arange(n) for n in (32, 32, 32, 11, 32, 32)]
    assert program._staging.rows == 80
    assert program._staging.groups(rows) == [range(2), range(2, 5), range(5, 6)]


def test_a_stage_that_is_not_waited_for_gives_other_numbers(shim, small, monkeypatch):
    """The shim copies as late as may be, so a forgotten wait is seen."""
    right = compiled(CASE, on_shim()).run(12)
    backend = on_shim()
    wrong = compiled(CASE, backend)
    monkeypatch.setattr(backend.runtime, "follow", lambda mark: None)
    assert wrong.run(12).tobytes() != right.tobytes()


def test_what_stays_is_said(shim, small, caplog):
    caplog.set_level(logging.INFO, "deepmath")
    model = Sequential([Dense(3, input_dim=6), Dense(1)])
    model.compile("sgd", "mse")
    model.fit(CASE.X, CASE.X[:, :1], epochs=1, verbose=0, backend=on_shim())
    assert "stays on the host: it goes to cuda:0 in pieces" in caplog.text
