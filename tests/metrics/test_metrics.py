"""Metrics at the edges, by name, in files, and from every array library; texts of errors."""
# ruff: noqa: E501 - a message stands in one line, to be found by its text

import json
import math
from fractions import Fraction

import array_api_strict
import jax
import numpy as np
import pytest
import torch

from deepmath import losses, metrics
from deepmath.descriptions import config_of, from_config
from deepmath.errors import ConfigError, LabelError, NumericError
from deepmath.metrics import AUC, F1, R2, ConfusionMatrix, Metric, Precision, TopKAccuracy


def test_certain_mistakes_cost_infinity_and_certain_hits_nothing():
    assert metrics.get("log_loss").of([0.0, 1.0], [0, 1]) == 0.0
    assert metrics.get("log_loss").of([0.0, 0.5], [1, 1]) == math.inf
    assert metrics.get("log_loss").of([0.0, 0.5], [1, 1], [0.0, 1.0]) == math.log(2)
    assert metrics.get("log_loss").of([[1.0, 0.0, 0.0]], [2]) == math.inf


def test_r2_keeps_its_digits_far_from_zero():
    rng = np.random.default_rng(0)
    d = 1e9 + rng.standard_normal(1000)
    p = d + 0.1 * rng.standard_normal(1000)
    exact, predicted = [Fraction(v) for v in d.tolist()], [Fraction(v) for v in p.tolist()]
    mean = sum(exact) / 1000
    missed = sum((a - b) ** 2 for a, b in zip(exact, predicted, strict=True))
    assert R2().of(p, d) == float(1 - missed / sum((v - mean) ** 2 for v in exact))


def test_auc_counts_pairs():
    rng = np.random.default_rng(1)
    p, d, w = rng.choice([0.1, 0.3, 0.3000001, 0.9], 30), rng.integers(0, 2, 30), rng.random(30)
    won = total = Fraction(0)
    for i in np.flatnonzero(d == 1):
        for j in np.flatnonzero(d == 0):
            pair = Fraction(w[i]) * Fraction(w[j])
            total += pair
            won += pair * (Fraction(1, 2) if p[i] == p[j] else int(p[i] > p[j]))
    assert AUC().of(p, d, w) == float(won / total)
    assert AUC().of(-p, d, w) == pytest.approx(1 - AUC().of(p, d, w))
    assert AUC().of(p, d, w) == AUC().of(p, d, w * 2.0**-600)
    assert AUC().of(p, d) == AUC().of(p, d, np.full(30, 3.0))


def test_equal_scores_and_the_first_of_the_largest():
    assert metrics.get("categorical_accuracy").of([[0.5, 0.5]], [0]) == 1.0
    assert [TopKAccuracy(k).of([[0.2, 0.4, 0.4, 0.0]], [2]) for k in (1, 2, 3)] == [0.0, 1.0, 1.0]
    assert metrics.get("binary_accuracy").of([0.5], [0]) == 1.0
    assert Precision().of([0.5, 0.6], [1, 1]) == 1.0


def test_shares_of_nothing_are_zero_and_absent_classes_do_not_count():
    assert F1().of([0.1, 0.2], [0, 0]) == 0.0
    assert F1("macro").of([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]], [0, 0]) == 1.0
    assert F1("macro").of([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]], [0, 2]) == pytest.approx(1 / 3)


@pytest.mark.parametrize("name", metrics.names())
def test_every_library_gives_the_same_bits(name):
    rng = np.random.default_rng(0)
    p, d = rng.random((20, 3)).astype(np.float32), rng.integers(0, 3, 20).astype(np.int32)
    w = rng.random(20).astype(np.float32)
    if name == "binary_accuracy":
        d = np.eye(3, dtype=np.int32)[d]
    expected = metrics.get(name).of(p, d, w)
    for put in (torch.asarray, jax.numpy.asarray, array_api_strict.asarray, np.asfortranarray):
        assert metrics.get(name).of(put(p), put(d), put(w)) == expected
    strict = [array_api_strict.asarray(a, device=array_api_strict.Device("device1")) for a in (p, d, w)]
    assert metrics.get(name).of(*strict) == expected
    assert metrics.get(name).of(p.tolist(), d.tolist(), w.tolist()) == expected


@pytest.mark.parametrize("name", metrics.names())
def test_names_and_descriptions_go_through_a_file(name):
    measure = metrics.get(name)
    again = metrics.get(from_config(json.loads(json.dumps(config_of(measure))), {}))
    assert again.name == measure.name
    p, d = [[0.2, 0.8], [0.6, 0.4]], [1, 1]
    assert metrics.get(again).of(p, d) == pytest.approx(measure.of(p, d), nan_ok=True)
    assert metrics.get(from_config(config_of(TopKAccuracy(3)), {})) == TopKAccuracy(3)


def test_names_of_averages_are_told_apart():
    assert [F1(a).name for a in ("auto", "macro", "micro", "weighted", "binary")] == [
        "f1", "f1_macro", "f1_micro", "f1_weighted", "f1_binary",
    ]  # fmt: skip
    assert TopKAccuracy(3).name == "top_3_accuracy"
    assert repr(TopKAccuracy(3)) == "TopKAccuracy(name='top_3_accuracy', k=3)"


def test_a_training_step_gets_metrics_over_rows():
    assert metrics.resolve("accuracy", 1).value is metrics.get("binary_accuracy").value
    assert metrics.resolve("acc", 3, 0.5).value is metrics.get("binary_accuracy").value
    assert metrics.resolve("accuracy", 3).value is metrics.get("categorical_accuracy").value
    assert metrics.resolve("log_loss", 3).value is metrics.get("categorical_crossentropy").value
    assert metrics.resolve("acc", 1).name == "accuracy"
    assert metrics.resolve(metrics.get("accuracy"), 1) == metrics.resolve("accuracy", 1)
    own = metrics.resolve(lambda xp, p, d: xp.max(xp.abs(p - d), axis=-1, keepdims=True), 2)
    assert isinstance(own, Metric)
    assert own.of([[1.0, 2.0], [0.0, 5.0]], [[0.0, 0.0], [0.0, 0.0]]) == 3.5
    with pytest.raises(ConfigError, match=r"metric 'f1' is a score of a whole data set.*metrics.get\('f1'\).of"):
        metrics.resolve("f1", 1)


@pytest.mark.parametrize("name", ["mse", "mae", "binary_crossentropy", "categorical_crossentropy"])
def test_a_loss_and_the_metric_of_its_name_agree(name):
    rng = np.random.default_rng(0)
    p, d = rng.uniform(0.1, 0.9, (30, 4)), np.eye(4)[rng.integers(0, 4, 30)]
    assert metrics.get(name).of(p, d) == pytest.approx(float(np.mean(losses.get(name).value(np, p, d))), rel=1e-14)


TEXTS = [
    (F1, ([0.5, 0.2], [0, 2]), LabelError, "f1: label 2 at row 1 is outside 0..1."),
    (F1, ([[0.5, 0.2, 0.3]], [-1]), LabelError, "f1: label -1 at row 0 is negative; class labels must be 0..2."),
    (AUC, ([0.5], [0.5]), LabelError, "auc: targets must be 0 or 1 for each output; row 0 has 0.5"),
    (F1, ([[0.5, 0.2]], [[1, 1]]), LabelError, "f1: each row needs one class, as a label or a row of 0s with a single 1; row 0 is [1.0, 1.0]"),
    (R2, ([1.0, 2.0], [1.0]), ConfigError, "r2: targets must be [rows, outputs] or [rows] for predictions of shape (2, 1); got shape (1,)"),
    (R2, ([[1.0, 2.0]], [[1.0, 2.0, 3.0]]), ConfigError, "r2: targets must be [rows, outputs] or [rows] for predictions of shape (1, 2); got shape (1, 3)"),
    (AUC, (3.0, 1.0), ConfigError, "auc: predictions must be [rows, outputs] or [rows]; got shape ()"),
    (AUC, ([0.5, np.nan], [0, 1]), NumericError, "auc: p contains NaN (first at row 1; 1 value). Look for what made it."),
    (R2, ([[0.5, 1.0]], [[0, np.inf]]), NumericError, "r2: d contains infinity (first at row 0, column 1; 1 value). Look for what made it."),
    (R2, (["a"], [1.0]), ConfigError, "r2: p has dtype <U1; expected real numbers; it holds text ('a'). Encode text as numbers, or give a data frame."),
    (R2, ([1.0], [1.0], [1.0, 2.0]), ConfigError, "r2: weight must have shape (1,), one number for each row; got (2,)"),
    (R2, ([1.0], [1.0], [-1.0]), ConfigError, "r2: weight must be finite and >= 0; got -1.0 at row 0"),
    (lambda: F1("binary"), ([[0.1, 0.2, 0.3]], [0]), ConfigError, "f1_binary: average='binary' tells two classes apart; predictions have 3 outputs. Use average='macro', 'micro', 'weighted' or 'each'."),
    (lambda: F1("mean"), (), ConfigError, "F1: average must be one of auto, binary, macro, micro, weighted, each; got 'mean'"),
    (lambda: TopKAccuracy(0), (), ConfigError, "TopKAccuracy: k must be a whole number >= 1; got 0"),
    (lambda: metrics.get("log_loss"), ([-0.5], [1]), NumericError, "log_loss gave nan for prediction [-0.5]; choose a metric that fits such predictions"),
    (lambda: metrics.get("aucc"), (), ConfigError, "unknown metric 'aucc' (did you mean 'auc'?); known: acc, accuracy, auc, "),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_texts_of_errors(number):
    make, arguments, kind, text = TEXTS[number]
    with pytest.raises(kind) as error:
        make().of(*arguments)
    assert str(error.value).startswith(text)


@pytest.mark.parametrize("measure", [F1(), AUC(), R2(), ConfusionMatrix(), metrics.get("mse")], ids=lambda m: m.name)
def test_what_is_refused_leaves_no_trace(measure):
    seen = measure.begin()
    seen.update([0.9, 0.4, 0.2], [1, 0, 0])
    before = seen.result()
    for p, d in (([[0.1, 0.9]], [1]), ([np.nan], [1]), ([0.5, 0.5], [1])):
        with pytest.raises((ConfigError, NumericError)):
            seen.update(p, d)
    with pytest.raises(ConfigError, match="merge takes an accumulator of the same metric; got"):
        seen.merge(Precision("macro").begin())
    wide = measure.begin()
    wide.update([[0.1, 0.9]], [1])
    with pytest.raises(ConfigError, match="merge of"):
        seen.merge(wide)
    assert np.array_equal(seen.result(), before)
