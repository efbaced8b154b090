"""The model's own promises: weights, repeated fits, splits, weights of rows, histories, files."""

from __future__ import annotations

import numpy as np
import pytest
from networks import PROGRAMS

from deepmath import BatchNormalization, Dense, Dropout, Sequential, load_model
from deepmath.errors import ConfigError
from deepmath.optimizers import SGD, Adam
from deepmath.regularizers import L2

RNG = np.random.default_rng(6)
X = RNG.standard_normal((30, 4))
SCORES = X @ RNG.standard_normal((4, 3))
LABELS = SCORES.argmax(1)
EXACT = {"verbose": 0, "precision": "float64"}


def model_of(seed: int = 2, dropout: float = 0.3) -> Sequential:
    layers = [Dense(6, "tanh", kernel_regularizer=L2(0.1), input_dim=4), Dropout(dropout), BatchNormalization()]
    model = Sequential([*layers, Dense(3, "softmax")], seed=seed)
    model.compile(Adam(0.01), "sparse_categorical_crossentropy", ["accuracy"])
    return model


def plain(loss: str = "mse", outputs: int = 3, activation: str | None = None) -> Sequential:
    """Without dropout and batch normalisation, by gradient descent: what a row does depends on no other row."""
    model = Sequential([Dense(5, "tanh", input_dim=4), Dense(outputs, activation)], seed=4)
    model.compile(SGD(0.1), loss, ["accuracy"] if "cross" in loss else ())
    return model


def same_weights(one: Sequential, other: Sequential) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one.get_weights(), other.get_weights(), strict=True))


def assert_close_weights(one: Sequential, other: Sequential) -> None:
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)


def test_weights_are_a_list_of_copies_that_can_be_set():
    model = model_of()
    weights = model.get_weights()
    shapes = [(4, 6), (6,), (6,), (6,), (6, 3), (3,), (6,), (6,)]
    assert sorted(w.shape for w in weights) == sorted(shapes)
    assert [w.shape for w in weights][:2] == [(4, 6), (6,)]
    weights[0][:] = 7.0
    assert not np.any(model.get_weights()[0] == 7.0)
    given = [np.full(w.shape, 0.1 + i) for i, w in enumerate(weights)]
    model.set_weights(given)
    given[0][:] = 9.0
    assert [float(w.flat[0]) for w in model.get_weights()] == [0.1 + i for i in range(8)]
    assert {w.dtype for w in model.get_weights()} == {np.dtype(np.float64)}


def test_initial_weights_are_float64_and_trained_ones_have_the_precision_of_training():
    model = plain()
    assert {w.dtype for w in model.get_weights()} == {np.dtype(np.float64)}
    model.fit(X, SCORES, verbose=0, backend="reference")
    assert {w.dtype for w in model.get_weights()} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        ([np.ones((4, 5))], "set_weights: the model has 4 arrays of weights; got 1"),
        (
            [np.ones((4, 5)), np.ones(4), np.ones((5, 3)), np.ones(3)],
            r"set_weights: 0.bias has shape \(5,\); got \(4,\)",
        ),
    ],
)
def test_weights_of_other_shapes_are_refused_whole(weights, text):
    model = plain()
    before = [w.tolist() for w in model.get_weights()]
    with pytest.raises(ConfigError, match=text):
        model.set_weights(weights)
    assert [w.tolist() for w in model.get_weights()] == before


def test_compiling_never_draws_weights_again():
    model = model_of()
    before = [w.tolist() for w in model.get_weights()]
    model.compile("sgd", "sparse_categorical_crossentropy")
    assert [w.tolist() for w in model.get_weights()] == before
    model.fit(X, LABELS, verbose=0, backend="reference")
    trained = [w.tolist() for w in model.get_weights()]
    model.compile(Adam(0.5), "sparse_categorical_crossentropy")
    assert [w.tolist() for w in model.get_weights()] == trained != before


def test_a_seed_decides_the_weights():
    assert same_weights(model_of(2), model_of(2))
    assert not same_weights(model_of(2), model_of(3))


def test_summary_counts_parameters():
    lines = model_of().summary().splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["Dense", "6", "tanh", "30"],
        ["Dropout", "6", "0"],
        ["BatchNormalization", "6", "12"],
        ["Dense", "3", "softmax", "21"],
        ["total", "63"],
    ]


@pytest.mark.parametrize("backend", PROGRAMS)
def test_two_fits_equal_one_of_all_epochs(backend):
    one, two = model_of(), model_of()
    settings = {"batch_size": 7, "verbose": 0, "backend": backend}
    whole = one.fit(X, LABELS, epochs=5, **settings).history
    first = two.fit(X, LABELS, epochs=2, **settings).history
    second = two.fit(X, LABELS, epochs=3, **settings).history
    assert {n: first[n] + second[n] for n in first} == whole
    assert same_weights(one, two)


@pytest.mark.parametrize("backend", PROGRAMS)
def test_the_validation_split_takes_the_last_rows_before_shuffling(backend):
    one, two = model_of(), model_of()
    settings = {"epochs": 3, "batch_size": 7, "verbose": 0, "backend": backend}
    split = one.fit(X, LABELS, validation_split=0.2, **settings).history
    given = two.fit(X[:24], LABELS[:24], validation_data=(X[24:], LABELS[24:]), **settings).history
    assert split == given
    assert same_weights(one, two)
    expected = two.evaluate(X[24:], LABELS[24:], backend=backend)
    assert {f"val_{n}": [given[f"val_{n}"][-1]] for n in expected} == {f"val_{n}": [v] for n, v in expected.items()}


@pytest.mark.parametrize("backend", PROGRAMS)
def test_weights_count_as_repeated_rows(backend):
    times = np.arange(30) % 4
    one, two = plain(), plain()
    settings = EXACT | {"epochs": 8, "batch_size": "full", "backend": backend}
    weighted = one.fit(X, SCORES, sample_weight=times, **settings).history
    repeated = two.fit(np.repeat(X, times, axis=0), np.repeat(SCORES, times, axis=0), **settings).history
    np.testing.assert_allclose(weighted["loss"], repeated["loss"], rtol=1e-12)
    assert_close_weights(one, two)


@pytest.mark.parametrize("backend", PROGRAMS)
def test_rows_of_weight_zero_do_not_matter(backend):
    """Not even where they hold numbers at which the loss is large beyond bounds."""
    weights = np.where(np.arange(30) < 20, 1.0, 0.0)
    wild = X.copy()
    wild[20:] *= 1e6
    one, two = plain(), plain()
    settings = EXACT | {"epochs": 8, "batch_size": "full", "backend": backend}
    one.fit(wild, SCORES, sample_weight=weights, **settings)
    two.fit(X[:20], SCORES[:20], **settings)
    assert_close_weights(one, two)


@pytest.mark.parametrize("backend", PROGRAMS)
def test_a_certain_mistake_of_weight_zero_costs_nothing(backend):
    """A sigmoid at 0 under categorical cross-entropy costs infinity, which zero times would be NaN."""
    model = Sequential([Dense(2, "sigmoid", False, "ones", input_dim=1)])
    model.compile(SGD(0.1), "categorical_crossentropy")
    rows, hot = np.array([[1.0], [-2000.0]]), np.eye(2)[[0, 1]]
    found = model.evaluate(rows, hot, sample_weight=[1.0, 0.0], backend=backend, precision="float64")["loss"]
    assert found == pytest.approx(np.log1p(np.exp(-1.0)))
    settings = EXACT | {"batch_size": "full", "backend": backend, "sample_weight": [1.0, 0.0]}
    assert model.fit(rows, hot, **settings).history["loss"] == [pytest.approx(np.log1p(np.exp(-1.0)))]
    assert np.all(np.isfinite(model.get_weights()[0]))


@pytest.mark.parametrize("backend", PROGRAMS)
def test_class_weights_are_weights_of_the_rows(backend):
    table = {0: 0.5, 1: 2.0, 2: 0.0}
    by_row = np.array([table[label] for label in LABELS.tolist()])
    rows = np.linspace(0.5, 1.5, 30)
    settings = EXACT | {"epochs": 3, "batch_size": 7, "backend": backend}
    for extra, expected in (({}, by_row), ({"sample_weight": rows}, by_row * rows)):
        one, two = (plain("sparse_categorical_crossentropy", 3, "softmax") for _ in range(2))
        one.fit(X, LABELS, class_weight=table, **extra, **settings)
        two.fit(X, LABELS, sample_weight=expected, **settings)
        assert same_weights(one, two)
    one, two = (plain("categorical_crossentropy", 3, "softmax") for _ in range(2))
    one.fit(X, np.eye(3)[LABELS], class_weight=table, **settings)
    two.fit(X, np.eye(3)[LABELS], sample_weight=by_row, **settings)
    assert same_weights(one, two)


@pytest.mark.parametrize("backend", PROGRAMS)
def test_targets_of_one_output_may_have_one_axis(backend):
    one, two = plain(outputs=1), plain(outputs=1)
    one.fit(X, SCORES[:, 0], backend=backend, **EXACT)
    two.fit(X, SCORES[:, :1], backend=backend, **EXACT)
    assert same_weights(one, two)
    assert one.predict(X, backend=backend).shape == (30, 1)


@pytest.mark.parametrize("backend", PROGRAMS)
def test_a_full_batch_is_one_step(backend):
    one, two = plain(), plain()
    one.fit(X, SCORES, batch_size="full", epochs=2, backend=backend, **EXACT)
    two.fit(X, SCORES, batch_size=30, epochs=2, backend=backend, **EXACT)
    assert same_weights(one, two)
    assert one.values["step"] == 2


@pytest.mark.parametrize("backend", PROGRAMS)
def test_drop_last_leaves_the_ragged_batch_out(backend):
    one, two = plain(), plain()
    settings = EXACT | {"batch_size": 8, "shuffle": False, "backend": backend, "epochs": 2}
    one.fit(X, SCORES, drop_last=True, **settings)
    two.fit(X[:24], SCORES[:24], **settings)
    assert same_weights(one, two)


@pytest.mark.parametrize("backend", PROGRAMS)
def test_the_history_tells_objective_and_cost_apart(backend):
    model = model_of(dropout=0.0)
    model.compile(SGD(0.0), "sparse_categorical_crossentropy", ["accuracy"])
    kernel = model.get_weights()[0]
    history = model.fit(X, LABELS, validation_split=0.5, epochs=2, batch_size=15, backend=backend, **EXACT)
    names = ["loss", "cost", "accuracy"]
    assert list(history.history) == names + [f"val_{n}" for n in names] + ["learning_rate"]
    assert history.epoch == [0, 1]
    penalty = 0.05 * np.sum(kernel**2)
    assert penalty > 0.01
    for start in ("", "val_"):
        loss, cost = np.array(history.history[f"{start}loss"]), np.array(history.history[f"{start}cost"])
        np.testing.assert_allclose(loss - cost, penalty, rtol=1e-11)


@pytest.mark.parametrize("backend", PROGRAMS)
def test_evaluate_gives_the_numbers_of_predict(backend):
    model = model_of()
    model.fit(X, LABELS, epochs=3, backend=backend, **EXACT)
    weights = np.linspace(0.0, 2.0, 30)
    settings = {"backend": backend, "precision": "float64"}
    p = model.predict(X, **settings)
    np.testing.assert_allclose(p.sum(1), 1.0, rtol=1e-14)
    found = model.evaluate(X, LABELS, sample_weight=weights, **settings)
    losses = -np.log(p[np.arange(30), LABELS])
    assert found["cost"] == pytest.approx(np.average(losses, weights=weights), rel=1e-12)
    assert found["loss"] == pytest.approx(found["cost"] + 0.05 * np.sum(model.get_weights()[0] ** 2), rel=1e-12)
    hits = p.argmax(1) == LABELS
    assert found["accuracy"] == pytest.approx(np.average(hits, weights=weights), rel=1e-14)


@pytest.mark.parametrize("backend", PROGRAMS)
def test_verbose_0_writes_nothing_and_2_writes_lines(backend, capsys):
    model = plain()
    model.fit(X, SCORES, epochs=3, verbose=0, backend=backend)
    assert capsys.readouterr().out == ""
    model.fit(X, SCORES, epochs=3, verbose=2, backend=backend)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("epoch 1/3  loss ")
    assert lines[-1].startswith("epoch 3/3  loss ")


@pytest.mark.parametrize("backend", PROGRAMS)
def test_a_saved_model_predicts_the_same_bits_and_goes_on(backend, tmp_path):
    model = model_of()
    settings = {"batch_size": 7, "verbose": 0, "backend": backend}
    model.fit(X, LABELS, epochs=2, **settings)
    model.save(tmp_path / "m")
    other = load_model(tmp_path / "m")
    found, expected = other.predict(X, backend=backend), model.predict(X, backend=backend)
    assert found.tobytes() == expected.tobytes()
    assert other.summary() == model.summary()
    histories = [m.fit(X, LABELS, epochs=3, **settings).history for m in (model, other)]
    assert histories[0] == histories[1]
    assert same_weights(model, other)
    model.save(tmp_path / "w", include_optimizer=False)
    assert (tmp_path / "w").stat().st_size < (tmp_path / "m").stat().st_size
    assert (
        load_model(tmp_path / "w").predict(X, backend=backend).tobytes() == model.predict(X, backend=backend).tobytes()
    )
