"""Results depend on the rows alone: any split into batches, any order of merging, the same bits."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepmath import metrics
from deepmath.metrics import ConfusionMatrix, TopKAccuracy

CLASSES = ["categorical_accuracy", "categorical_crossentropy", "top_k_accuracy", "f1", "precision_macro"]
CLASSES += ["recall_weighted", "f1_micro", "auc", "accuracy", "log_loss"]
BINARY = ["binary_accuracy", "binary_crossentropy", "f1", "precision", "recall", "f1_weighted", "auc", "accuracy"]
BINARY += ["log_loss", "top_k_accuracy"]
NUMBERS = ["mse", "mae", "r2"]


def case(kind, rng, rows):
    """(p, d) with ties, with classes that are missing, and with rows far from zero."""
    if kind == "classes":
        p = rng.choice([0.1, 0.2, 0.3, rng.random()], (rows, 4))
        return p / p.sum(axis=1, keepdims=True), rng.choice([0, 1, 3], rows)
    if kind == "binary":
        return rng.choice([0.1, 0.5, 0.7, rng.random()], (rows, 1)), rng.integers(0, 2, rows)
    d = rng.choice([0.0, 1e9], 1) + rng.standard_normal((rows, 2))
    return d + rng.standard_normal((rows, 2)), d


def equal(a, b):
    return a == b or (isinstance(a, float) and math.isnan(a) and math.isnan(b))


@pytest.mark.parametrize("kind", ["classes", "binary", "numbers"])
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 40), weighted=st.booleans(), data=st.data())
def test_any_split_gives_the_same_bits(kind, seed, rows, weighted, data):
    rng = np.random.default_rng(seed)
    p, d = case(kind, rng, rows)
    w = rng.choice([0.0, 0.1, 1.0, rng.random()], rows) if weighted else None
    cuts = sorted(data.draw(st.lists(st.integers(0, rows), max_size=6)))
    order = rng.permutation(rows)
    batches = [order[i:j] for i, j in zip([0, *cuts], [*cuts, rows], strict=True)]
    for name in {"classes": CLASSES, "binary": BINARY, "numbers": NUMBERS}[kind]:
        measure = metrics.get(name)
        whole = measure.of(p, d, w)
        one, first, second = measure.begin(), measure.begin(), measure.begin()
        for number, rows_of in enumerate(batches):
            taken = p[rows_of], d[rows_of], None if w is None else w[rows_of]
            one.update(*taken)
            (first if number % 2 else second).update(*taken)
        first.merge(second)
        assert equal(one.result(), whole), name
        assert equal(first.result(), whole), name


def test_measured_takes_batches():
    p, d = np.asarray([0.9, 0.2, 0.6]), np.asarray([1, 1, 0])
    found = metrics.measured([metrics.get("f1"), metrics.get("mse")], [(p[:1], d[:1]), (p[1:], d[1:], [1.0, 1.0])])
    assert found == {"f1": 0.5, "mse": metrics.get("mse").of(p, d)}


@pytest.mark.parametrize(
    "measure", [*map(metrics.get, metrics.names()), ConfusionMatrix(), TopKAccuracy(1)], ids=lambda m: m.name
)
def test_nothing_seen_is_nan_and_merging_with_nothing_changes_nothing(measure):
    empty = measure.begin()
    if not isinstance(measure, ConfusionMatrix):
        assert math.isnan(empty.result())
    some = measure.begin()
    p, d = ([1.0, 2.5, 4.0], [1.0, 2.0, 3.0]) if "r2" in measure.name else ([0.9, 0.2, 0.6], [1, 1, 0])
    some.update(p, d)
    before = some.result()
    some.merge(measure.begin())
    empty.merge(some)
    assert np.array_equal(some.result(), before)
    assert np.array_equal(empty.result(), before)
    empty.update(np.zeros((0, 1)), np.zeros(0))
    assert np.array_equal(empty.result(), before)
