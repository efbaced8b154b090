"""Several optimisers from one start."""

import numpy as np
import pytest

from deepmath import Dense, Sequential, datasets
from deepmath.errors import ConfigError
from deepmath.optimizers import SGD, Adam
from deepmath.study import compare


def model():
    made = Sequential([Dense(6, "tanh", input_dim=2), Dense(1, "sigmoid")], seed=3)
    made.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    return made


def test_each_history_is_that_of_fit_from_the_same_weights():
    X, y = datasets.moons(100)
    given = model()
    given.set_weights([w + 0.25 for w in given.get_weights()])
    before = given.get_weights()
    found = compare(given, X, y, optimizers=["sgd", Adam(0.01)], epochs=3, batch_size=10)
    assert list(found.histories) == ["sgd", "Adam(0.01)"]
    for name, rule in (("sgd", SGD()), ("Adam(0.01)", Adam(0.01))):
        other = model()
        other.compile(rule, "binary_crossentropy", metrics=["accuracy"])
        other.set_weights(before)
        assert found.histories[name] == other.fit(X, y, epochs=3, batch_size=10, verbose=0).history
    assert all(np.array_equal(a, b) for a, b in zip(before, given.get_weights(), strict=True))


def test_the_lowest_end_wins_on_validation_rows_where_there_are_any():
    X, y = datasets.moons(200)
    rules = {"none": SGD(0.0), "some": Adam(0.05)}
    found = compare(model(), X, y, optimizers=rules, epochs=5, validation_split=0.25)
    assert (found.best, found.watched) == ("some", "val_cost")
    assert found.text().splitlines()[0] == "best: some"
    assert compare(model(), X, y, optimizers=rules, epochs=1).watched == "cost"


def test_one_that_breaks_is_said_to():
    X = np.linspace(-1.0, 1.0, 20)[:, None]
    made = Sequential([Dense(1)])
    made.compile(loss="mse")
    found = compare(made, X, X[:, 0], optimizers={"wild": SGD(1e20), "tame": SGD(0.1)}, epochs=4)
    assert found.best == "tame"
    assert "wild  broke off: " in found.text()
    assert compare(made, X, X[:, 0], optimizers={"wild": SGD(1e20)}, epochs=4).best is None


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ([], r"compare: optimizers is empty; give one at least, such as \['sgd', 'adam'\]"),
        ("sgd", "compare: optimizers must be a list or a dict of optimisers; got 'sgd'"),
        ([SGD(0.1), SGD(0.1, momentum=0.9)], r"compare: two optimisers are called SGD\(0.1\); name them in a dict"),
    ],
)
def test_what_cannot_be_compared_is_refused(rules, message):
    with pytest.raises(ConfigError, match=f"^{message}$"):
        compare(model(), [[0.0, 1.0]], [1.0], optimizers=rules)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, "compare: model must be a Sequential; got int"),
        (Sequential([Dense(1)]), r"compare: the model has no loss; call model.compile\(loss=...\) first"),
    ],
)
def test_what_is_no_model_is_refused(given, message):
    with pytest.raises(ConfigError, match=f"^{message}$"):
        compare(given, [[0.0]], [1.0], optimizers=["sgd"])
