"""Confusion matrices, ROC curves, networks, histograms: what is drawn is what was counted."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from deepmath import plots
from deepmath.errors import ConfigError
from deepmath.plots import Arrow, Box


def test_the_points_of_a_roc_curve_are_scikit_learns():
    reference = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    for _ in range(20):
        d = rng.integers(0, 2, 60)
        d[:2] = 0, 1
        p = rng.integers(0, 12, 60) / 12 + 0.2 * d  # with many equal scores
        false, true = plots.roc_points(p, d)
        expected = reference.roc_curve(d, p, drop_intermediate=False)
        np.testing.assert_allclose(false, expected[0])
        np.testing.assert_allclose(true, expected[1])
        area = float(plots.roc(p, d).get_legend().get_texts()[1].get_text().rpartition(" ")[2])
        assert area == pytest.approx(reference.roc_auc_score(d, p), abs=6e-5)


def test_counts_stand_in_their_fields():
    ax = plots.confusion_matrix([[5, 0], [2, 3]], names=["no", "yes"])
    assert {(t.get_position(), t.get_text()) for t in ax.texts} == {((0, 0), "5"), ((0, 1), "2"), ((1, 1), "3")}
    assert [t.get_text() for t in ax.get_yticklabels()] == ["no", "yes"]


def test_a_line_for_each_weight_as_wide_as_it_is_large():
    kernel = np.array([[1.0, -0.5], [0.0, 0.25], [0.5, 0.5]])
    ax = plots.network([kernel, np.ones((2, 1))])
    assert len(ax.lines) == 8
    widths = [line.get_linewidth() for line in ax.lines[:6]]
    np.testing.assert_allclose(widths, 0.4 + 2.8 * np.abs(kernel).ravel())
    assert len(ax.patches) == 6
    dropped = plots.network([kernel, np.ones((2, 1))], dropped=[[0, 1, 0], [0, 1], [0]])
    assert len(dropped.lines) == 2 + 1 + 2 * 2, "lines between units that are left, and two for each cross"


def test_a_wide_layer_is_drawn_by_its_ends():
    ax = plots.network([np.ones((100, 2))])
    assert len(ax.patches) == 12
    assert [t.get_text() for t in ax.texts] == ["⋮"]


def test_histograms_hold_all_numbers():
    values = [np.random.default_rng(i).normal(size=500) for i in range(3)]
    ax = plots.histograms(values, labels=[0, 5, 10], bins=20)
    edges = np.linspace(min(v.min() for v in values), max(v.max() for v in values), 21)
    filled = {int(np.ravel(p.get_data().baseline)[0]): p.get_data().values for p in ax.patches if p.get_fill()}
    for i, row in enumerate(values):
        counts = np.histogram(row, edges)[0]
        np.testing.assert_allclose(filled[i], i + 1.7 * counts / counts.max())
    assert [t.get_text() for t in ax.get_yticklabels()] == ["0", "5", "10"]


def test_the_expected_error_is_the_sum():
    ax = plots.bias_variance([1, 2, 3], [0.3, 0.1, 0.05], [0.01, 0.1, 0.4], 0.2)
    total = next(line for line in ax.lines if line.get_label() == "expected error")
    np.testing.assert_allclose(total.get_ydata(), [0.51, 0.4, 0.65])


def test_the_size_of_signals_over_depth():
    ax = plots.depth({"a": [np.full((2, 2), 3.0), np.array([3.0, -4.0])], "dead": [np.zeros(2), np.zeros(2)]})
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [3.0, np.sqrt(12.5)])
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["a", "dead (all zero)"]


@pytest.mark.parametrize(("call", "text"), [
    (lambda: plots.confusion_matrix([[1, 2]]),
     "confusion_matrix: matrix must be [classes, classes], each >= 0; got shape (1, 2)"),
    (lambda: plots.confusion_matrix([[1]], names=["a", "b"]),
     "confusion_matrix: names must be 1, one for each class; got 2"),
    (lambda: plots.roc([0.1, 0.2], [1, 1]),
     "roc: needs scores p [rows] and labels d [rows] with both 0 and 1 among them"),
    (lambda: plots.shares([0.1], [0, 1]), "shares: p and target must have the same classes; got 1 and 2"),
    (lambda: plots.network([np.ones((2, 3)), np.ones((2, 1))]),
     "network: each kernel's inputs must be the units before; got [(2, 3), (2, 1)]"),
    (lambda: plots.network([]),
     "network: kernels must be a list of arrays [inputs, units], such as get_weights()[::2]"),
    (lambda: plots.histograms([[]]), "histograms: values must be arrays of finite numbers, none of them empty"),
    (lambda: plots.histograms([[1.0]], labels=[1, 2]), "histograms: labels must be 1, one for each array; got 2"),
    (lambda: plots.dart_board([1.0]), "dart_board: hits must be [throws, 2]; got shape (1,)"),
    (lambda: plots.scatter([1.0]), "scatter: X must be [rows, 2]; got shape (1,)"),
    (lambda: plots.flow([Box("a", 0, 0)], [Arrow(0, 1)]), "flow: needs boxes, and arrows between numbers 0 to 0"),
    (lambda: plots.matrices(["+"]), "matrices: terms must be (name, matrix) and signs, one matrix at least"),
    (lambda: plots.bias_variance([1], [1, 2], [1], 0), "bias_variance: lengths differ: 1, 2 and 1"),
])  # fmt: skip
def test_what_cannot_be_drawn_is_told(call, text):
    with pytest.raises(ConfigError) as caught:
        call()
    assert str(caught.value) == text
