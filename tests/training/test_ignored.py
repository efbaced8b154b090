"""Rows with the label to ignore count nothing, wherever labels come in."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from networks import PROGRAMS

from deepmath import Dense, Sequential, metrics
from deepmath.errors import ConfigError
from deepmath.optimizers import SGD
from deepmath.training.sources import ArraySource

ROWS, FEATURES, CLASSES, IGNORE = 60, 4, 3, -1
RNG = np.random.default_rng(8)
X = RNG.standard_normal((ROWS, FEATURES))
LABELS = RNG.integers(0, CLASSES, ROWS)
OUT = RNG.random(ROWS) < 0.3
OUT[:10] = True  # a whole batch in the order of the rows
MARKED = np.where(OUT, IGNORE, LABELS)
WEIGHTS = RNG.uniform(0.1, 2.0, ROWS)
SPARSE = "sparse_categorical_crossentropy"
EXACT = {"precision": "float64", "verbose": 0}
SCORES = ["accuracy", "f1", "auc", metrics.ConfusionMatrix()]


def made(outputs: int = CLASSES, loss: str = SPARSE, measures: object = SCORES) -> Sequential:
    """The same model each time. Steps go with the gradient: Adam would make one of its rounding errors."""
    last = Dense(outputs, "softmax" if outputs > 1 else None)
    model = Sequential([Dense(8, "tanh", input_dim=FEATURES), last], seed=2)
    model.compile(SGD(0.001 if loss == "sse" else 0.1, momentum=0.9), loss, measures)
    return model


def same(found: dict, expected: dict, rtol: float = 1e-12) -> None:
    assert found.keys() == expected.keys()
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=rtol, err_msg=name)


VARIANTS = {
    "plain": (CLASSES, SPARSE, lambda y: y),
    "smoothed": (CLASSES, "sparse_categorical_crossentropy(0.1)", lambda y: y),
    "column": (CLASSES, SPARSE, lambda y: y[:, None].astype(float)),
    "numbers": (1, "mse", lambda y: y * 1.0),
    "margins": (1, "hinge", lambda y: np.where(y == 2, 0, y)),
    "sum": (1, "sse", lambda y: y * 1.0),
}


@pytest.mark.parametrize("extra", ["", "sample_weight", "class_weight", "balanced"])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("backend", PROGRAMS)
def test_training_is_that_on_the_other_rows(backend, variant, extra):
    outputs, loss, form = VARIANTS[variant]
    y = form(MARKED)
    settings = EXACT | {"backend": backend, "epochs": 5, "batch_size": "full", "shuffle": False}
    more, less = {}, {}
    if extra == "sample_weight":
        more, less = {"sample_weight": WEIGHTS}, {"sample_weight": WEIGHTS[~OUT]}
    elif extra:
        classes = {0: 0.5, 1: 2.0} | ({} if variant == "margins" else {2: 1.0})
        more = less = {"class_weight": "balanced" if extra == "balanced" else classes}
    measure = "mae" if variant in ("numbers", "sum") else "accuracy"
    one, two = (made(outputs, loss, [measure]) for _ in range(2))
    first = one.fit(X, y, ignore_label=IGNORE, validation_data=(X, y), **more, **settings).history
    second = two.fit(X[~OUT], y[~OUT], validation_data=(X[~OUT], y[~OUT]), **less, **settings).history
    same(first, second)
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("backend", PROGRAMS)
def test_accumulated_pieces_and_a_column_of_scores(backend):
    settings = EXACT | {"backend": backend, "epochs": 3, "shuffle": False}
    one, two = made(), made()
    one.fit(X, MARKED, ignore_label=IGNORE, batch_size=10, accumulate=6, **settings)
    two.fit(X[~OUT], MARKED[~OUT], batch_size="full", **settings)
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    chosen = {"backend": backend, "precision": "float64"}
    found = one.evaluate(X, MARKED, ignore_label=IGNORE, sample_weight=WEIGHTS, **chosen)
    expected = one.evaluate(X[~OUT], MARKED[~OUT], sample_weight=WEIGHTS[~OUT], **chosen)
    same(found, expected, 1e-14)
    assert np.sum(found["confusion_matrix"]) == pytest.approx(WEIGHTS[~OUT].sum())


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize("shuffle", [True, False])
def test_a_batch_where_all_are_ignored_changes_nothing(backend, shuffle):
    settings = EXACT | {"backend": backend, "epochs": 2, "batch_size": 5, "shuffle": shuffle}
    model, source = made(), made()
    history = model.fit(X, MARKED, ignore_label=IGNORE, validation_data=(X, MARKED), **settings).history
    assert all(np.isfinite(v).all() for v in history.values())
    assert all(np.isfinite(w).all() for w in model.get_weights())
    again = source.fit(ArraySource(X, MARKED), ignore_label=IGNORE, validation_data=ArraySource(X, MARKED), **settings)
    assert {n: np.asarray(v).tolist() for n, v in again.history.items()} == {
        n: np.asarray(v).tolist() for n, v in history.items()
    }
    for a, b in zip(model.get_weights(), source.get_weights(), strict=True):
        assert a.tobytes() == b.tobytes()
    model = made()
    model.compile("sgd", SPARSE)
    before = model.get_weights()
    model.fit([(X[:5], MARKED[:5])], ignore_label=IGNORE, **EXACT | {"backend": backend})
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 1.0]])
def test_torch_ignores_the_same(backend, weights):
    model = Sequential([Dense(CLASSES, "softmax", input_dim=FEATURES)], seed=1)
    model.compile("sgd", SPARSE)
    kernel = torch.tensor(model.get_weights()[0], requires_grad=True)
    judge = torch.nn.CrossEntropyLoss(weights and torch.tensor(weights, dtype=torch.float64), ignore_index=IGNORE)
    loss = judge(torch.tensor(X) @ kernel, torch.tensor(MARKED))
    loss.backward()
    table = None if weights is None else dict(enumerate(weights))
    before = model.get_weights()[0]
    settings = EXACT | {"backend": backend, "batch_size": "full"}
    history = model.fit(X, MARKED, ignore_label=IGNORE, class_weight=table, **settings).history
    assert history["loss"][0] == pytest.approx(float(loss.detach()), rel=1e-12)
    moved = (before - model.get_weights()[0]) / 0.01
    np.testing.assert_allclose(moved, kernel.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_lbfgs_and_single_batches():
    found = []
    for keep in (np.ones(ROWS, bool), ~OUT):
        model = made(measures=["accuracy"])
        model.compile("lbfgs", SPARSE, ["accuracy"])
        history = model.fit(X[keep], MARKED[keep], epochs=4, batch_size="full", ignore_label=IGNORE, **EXACT).history
        single = made(measures=["accuracy"])
        logs = single.train_on_batch(X[keep], MARKED[keep], ignore_label=IGNORE, precision="float64")
        found.append(history | logs)
    same(*found, 1e-9)


@pytest.mark.parametrize("library", ["torch", "array_api_strict"])
def test_on_every_library(library):
    expected, found = made(), made()
    expected.fit(X, MARKED, ignore_label=IGNORE, batch_size=20, verbose=0, backend="reference")
    found.fit(X, MARKED, ignore_label=IGNORE, batch_size=20, verbose=0, backend=library)
    for a, b in zip(expected.get_weights(), found.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_labels_of_unsigned_bytes_and_rows_of_no_number_in_weights():
    marked = np.where(OUT, 255, LABELS).astype(np.uint8)
    weights = np.where(OUT, np.nan, WEIGHTS)
    one, two = made(), made()
    one.fit(X, marked, ignore_label=255, sample_weight=weights, **EXACT)
    two.fit(X, MARKED, ignore_label=np.int64(-1), sample_weight=WEIGHTS, **EXACT)
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        assert a.tobytes() == b.tobytes()


REFUSED = [
    ({"ignore_label": "none"}, LABELS, "ignore_label must be one finite number, such as -1; got 'none'"),
    ({"ignore_label": np.nan}, LABELS, "ignore_label must be one finite number, such as -1; got nan"),
    ({"ignore_label": 7}, np.full(ROWS, 7), "no row counts: each has the label to ignore, 7, or weight zero"),
    (
        {"ignore_label": -1},
        np.eye(CLASSES)[LABELS],
        "ignore_label goes with one label for each row; y has shape (60, 3). Give the rows to ignore sample_weight 0",
    ),
]


@pytest.mark.parametrize(("settings", "y", "text"), REFUSED, ids=[text[:30] for *_, text in REFUSED])
def test_what_can_not_be_ignored(settings, y, text):
    for call in (lambda: made().fit(X, y, verbose=0, **settings), lambda: made().evaluate(X, y, **settings)):
        with pytest.raises(ConfigError) as error:
            call()
        assert str(error.value) == text


def test_a_source_without_a_row_that_counts_can_not_be_measured():
    with pytest.raises(ConfigError, match=r"^no row counts: each has weight zero, or the label to ignore$"):
        made().evaluate(ArraySource(X, np.full(ROWS, 7)), ignore_label=7)
