"""one_hot, to_labels and balanced_class_weight."""

import array_api_strict
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepmath.datasets import balanced_class_weight, one_hot, to_labels
from deepmath.errors import ConfigError, LabelError

CODES = st.lists(st.integers(0, 12), min_size=1, max_size=50)


@given(CODES, st.integers(0, 3), st.sampled_from(["u1", "i8", "f4", "f8"]))
def test_there_and_back(codes, more, dtype):
    classes = max(codes) + 1 + more
    rows = one_hot(np.array(codes, dtype), classes if more else None)
    assert (rows.shape, rows.dtype) == ((len(codes), classes), np.float64)
    np.testing.assert_array_equal(rows, np.eye(classes)[codes])
    back = to_labels(rows)
    assert (back.tolist(), back.dtype) == (codes, np.int64)


def test_labels_of_other_libraries_and_booleans():
    assert one_hot(array_api_strict.asarray([1, 0])).tolist() == [[0, 1], [1, 0]]
    assert one_hot([True, False], np.int32(2)).tolist() == [[0, 1], [1, 0]]
    assert to_labels(array_api_strict.asarray([[True, False]])).tolist() == [0]


@given(st.lists(st.sampled_from([-1, 0, 3, 7]), min_size=1, max_size=60))
def test_weights_are_those_of_scikit_learn(y):
    reference = pytest.importorskip("sklearn.utils.class_weight").compute_class_weight
    weights = balanced_class_weight(y)
    expected = reference("balanced", classes=np.unique(y), y=np.array(y))
    np.testing.assert_allclose([weights[k] for k in sorted(weights)], expected, rtol=1e-15)
    assert sum(weights[label] for label in y) == pytest.approx(len(y), rel=1e-12)


def test_weights_for_columns_text_and_one_hot_rows():
    codes = [0, 0, 0, 2]
    expected = {0: 2 / 3, 2: 2.0}
    assert balanced_class_weight(codes) == expected
    assert balanced_class_weight(np.array(codes)[:, None]) == expected
    assert balanced_class_weight(one_hot(codes)) == expected
    assert balanced_class_weight(["cat", "dog", "cat", "cat"]) == {"cat": 2 / 3, "dog": 2.0}


SHAPE = "to_labels: one-hot rows must be numbers [rows, classes], got shape"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: one_hot([0, 10, 3], 10),
            "one_hot: label 10 at row 1 is outside 0..9. Fix it or set classes=11.",
        ),
        (
            lambda: one_hot([0, -1]),
            "one_hot: label -1 at row 1 is negative; class labels must be >= 0. Number the classes from 0.",
        ),
        (
            lambda: one_hot([-3.0]),
            "one_hot: label -3 at row 0 is negative; class labels must be >= 0. Number the classes from 0.",
        ),
        (lambda: one_hot([1, 0.5]), "one_hot: labels must be whole numbers; row 1 is 0.5. Number the classes from 0."),
        (lambda: one_hot([1, np.nan]), "one_hot: label nan at row 1 is not a number. Drop the row or give it a label."),
        (
            lambda: one_hot([1e300]),
            "one_hot: labels must be whole numbers; row 0 is 1e+300. Number the classes from 0.",
        ),
        (lambda: one_hot([0, 2**60]), f"one_hot: label {2**60} at row 1 is too large for a label."),
        (
            lambda: one_hot([0, 2**40]),
            f"one_hot: label {2**40} at row 1 would make {2**40 + 1} classes; at most 16777216 are possible",
        ),
        (lambda: one_hot([[0], [1]]), "one_hot: labels must be whole numbers [rows], got shape (2, 1) of int64"),
        (lambda: one_hot([]), "one_hot: labels must be whole numbers [rows], got shape (0,) of float64"),
        (
            lambda: one_hot(["a"]),
            "one_hot: labels must be whole numbers [rows], got shape (1,) of <U1; "
            "number text by numpy.unique(labels, return_inverse=True)",
        ),
        (
            lambda: to_labels([[1, 0], [0.3, 0.7]]),
            "to_labels: row 1 must be one 1 among zeros, got [0.3, 0.7]; for probabilities use their argmax",
        ),
        (
            lambda: to_labels([[0] * 12, [1] * 12]),
            "to_labels: row 0 must be one 1 among zeros, got [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ...]; "
            "for probabilities use their argmax",
        ),
        (lambda: to_labels([1, 0]), f"{SHAPE} (2,) of int64"),
        (lambda: to_labels(np.zeros((0, 3))), f"{SHAPE} (0, 3) of float64"),
        (lambda: to_labels([["a"]]), f"{SHAPE} (1, 1) of <U1"),
        (
            lambda: balanced_class_weight([]),
            "balanced_class_weight: y must be labels [rows] or one-hot rows, got shape (0,)",
        ),
        (
            lambda: balanced_class_weight(np.zeros((1, 1, 1))),
            "balanced_class_weight: y must be labels [rows] or one-hot rows, got shape (1, 1, 1)",
        ),
        (lambda: balanced_class_weight([1, np.nan]), "balanced_class_weight: row 1 is nan, which is no label"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(LabelError) as caught:
        call()
    assert str(caught.value) == message


def test_a_wrong_number_of_classes_is_a_setting():
    with pytest.raises(ConfigError, match=r"^one_hot: classes must be a whole number from 1 to 16777216, got 0$"):
        one_hot([0], 0)
