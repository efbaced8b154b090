"""k-fold cross-validation: each row judges once, and J is that of a training by hand."""

import numpy as np
import pytest

from deepmath import Dense, Sequential, datasets
from deepmath.errors import ConfigError
from deepmath.preprocessing import Standardize
from deepmath.study import k_fold
from deepmath.study.folds import split_into


def model(preprocessing=None):
    made = Sequential([Dense(1, "sigmoid")], seed=5, preprocessing=preprocessing)
    made.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return made


@pytest.mark.parametrize(("rows", "folds"), [(10, 2), (11, 3), (7, 7), (100, 10)])
def test_each_row_judges_once_and_trains_otherwise(rows, folds):
    y = np.arange(rows) % 2
    parts = list(split_into(folds, y, rows, seed=1))
    assert sorted(np.concatenate([judges for judges, _ in parts]).tolist()) == list(range(rows))
    for judges, others in parts:
        assert not set(judges) & set(others)
        assert len(judges) + len(others) == rows
        assert abs(np.sum(y[judges]) - np.sum(y) / folds) <= 1.0
    sizes = {len(judges) for judges, _ in parts}
    assert max(sizes) - min(sizes) <= 1


def test_numbers_that_differ_are_dealt_by_chance():
    y = np.arange(50.0)
    first = [judges.tolist() for judges, _ in split_into(5, y, 50, seed=0)]
    assert first != [judges.tolist() for judges, _ in split_into(5, y, 50, seed=1)]
    assert all(np.ptp(judges) > 20 for judges in first)


def test_j_is_that_of_a_training_by_hand():
    X, y = datasets.moons(60, seed=2)
    found = k_fold(model(Standardize()), X, y, 3, epochs=2, batch_size=8, seed=4)
    held = []
    for judges, others in split_into(3, y, 60, seed=4):
        made = model(Standardize())
        made.fit(X[others], y[others], epochs=2, batch_size=8, verbose=0)
        values = made.evaluate(X[judges], y[judges])
        held.append(values["cost"])
        assert values["accuracy"] in found.metrics["accuracy"]
    assert found.held == tuple(held)
    assert found.mean == pytest.approx(sum(held) / 3)
    assert found.variance == pytest.approx(sum((j - sum(held) / 3) ** 2 for j in held) / 2)
    assert found.text().splitlines()[0] == f"J over 3 folds: mean {found.mean:.5g}, variance {found.variance:.5g}"


def test_class_weights_hold_for_the_rows_held_out():
    X, y = datasets.moons(60, seed=2)
    y = np.where(np.arange(60) % 4 == 0, y, 0)
    settings = {"epochs": 1, "batch_size": 8, "backend": "reference"}
    found = k_fold(model(), X, y, 3, class_weight="balanced", **settings)
    by_hand = []
    for judges, others in split_into(3, y, 60, seed=0):
        made = model()
        made.fit(X[others], y[others], class_weight="balanced", verbose=0, **settings)
        weights = len(others) / (2 * np.bincount(y[others]))
        values = made.evaluate(X[judges], y[judges], sample_weight=weights[y[judges]], backend="reference")
        by_hand.append((values["cost"], values["accuracy"]))
    np.testing.assert_allclose(found.held, [cost for cost, _ in by_hand], rtol=1e-12)
    np.testing.assert_allclose(found.metrics["accuracy"], [accuracy for _, accuracy in by_hand], rtol=1e-12)


def test_rows_held_out_have_no_say_in_preprocessing():
    X, y = datasets.moons(40)
    trained = model(Standardize())
    trained.fit(X, y, epochs=1, verbose=0)
    with pytest.raises(ConfigError, match=r"^k_fold: the model's preprocessing is fitted already, on rows that would"):
        k_fold(trained, X, y)


@pytest.mark.parametrize("folds", [1, 41, 2.5])
def test_folds_must_fit_the_rows(folds):
    X, y = datasets.moons(40)
    with pytest.raises(ConfigError, match=r"^k_fold: folds must be a whole number >= 2 and <= 40; got"):
        k_fold(model(), X, y, folds)
