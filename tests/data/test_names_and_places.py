"""Targets and weights by the names of columns, rows by their places, and frames that come in batches."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp

from deepmath import Dense, Sequential, study
from deepmath.errors import ConfigError, LabelError
from deepmath.preprocessing import Standardize
from deepmath.tables import TableEncoder

RNG = np.random.default_rng(5)
ROWS = 60
X = RNG.standard_normal((ROWS, 3))
Y = (X[:, 0] > X[:, 1]).astype(int)
NUMBERS = pd.DataFrame(X, columns=["a", "b", "c"])
FRAME = NUMBERS.assign(kind=np.where(X[:, 2] > 0, "red", "blue"))
WORDS = pd.Series(np.where(Y, "yes", "no"), name="answer")
QUIET = {"verbose": 0, "backend": "reference"}


def model_of(outputs=1, activation="sigmoid", loss="binary_crossentropy", **options):
    model = Sequential([Dense(4, "tanh"), Dense(outputs, activation)], seed=1, **options)
    model.compile("adam", loss)
    return model


def trained(*data, outputs=1, **settings):
    model = model_of(outputs)
    model.fit(*data, epochs=2, **QUIET, **settings)
    return model


def same(model, other):
    return all(map(np.array_equal, model.get_weights(), other.get_weights()))


def test_a_column_whose_name_is_no_text_is_called_by_it():
    levels = pd.DataFrame(X, columns=pd.MultiIndex.from_product([["p"], ["r", "s", "t"]]))
    levels[("y", "")] = Y
    assert same(trained(levels, ("y", "")), trained(X, Y))
    counted = pd.DataFrame(np.c_[X, Y])
    assert same(trained(counted, 3), trained(X, Y))
    assert same(trained(counted, np.int64(3)), trained(X, Y))


@pytest.mark.parametrize(
    ("data", "weights", "says"),
    [
        ((FRAME, ["a", "z"]), None, "the table has no column 'z'. Columns: a, b, c, kind"),
        ((FRAME, ["a", "a"]), None, "y: the column 'a' is named twice; leave one out"),
        ((FRAME, "a"), "a", "fit: 'a' can't be both the target and sample_weight"),
        ((FRAME, "a"), ["b", "c"], "fit: sample_weight is one number for each row; got the columns b, c"),
        ((FRAME, "a"), "w", "the table has no column 'w'. Columns: a, b, c, kind"),
        ((X, "a"), None, "fit: y='a' names a column, and X is a ndarray, which has none"),
        ((X, Y), "w", "fit: sample_weight='w' names a column, and X is a ndarray, which has none"),
        (
            ({"a": X[:, 0]}, Y),
            None,
            "fit: X is a dict; give an array or a data frame, such as pandas.DataFrame(X)",
        ),
        ((FRAME[:0], "a"), None, "fit: X has no rows"),
        ((X, 3), None, "y must have a target for each row; got 3 alone"),
        ((X, {1}), None, "y must be an array or a list; got a set"),
    ],
)
def test_what_calls_no_targets_is_told(data, weights, says):
    with pytest.raises(ConfigError, match=f"^{re.escape(says)}$"):
        trained(*data, sample_weight=weights)


def test_a_list_of_words_as_long_as_the_frame_are_targets():
    assert same(trained(FRAME, WORDS.tolist()), trained(FRAME, WORDS))


@pytest.mark.parametrize("name", ["y", "sample_weight"])
def test_an_index_in_another_order_is_refused(name):
    turned = NUMBERS[::-1]
    given = pd.Series(Y, name="answer")
    data, weights = ((turned, given), None) if name == "y" else ((turned, given[::-1]), given)
    with pytest.raises(ConfigError) as caught:
        trained(*data, sample_weight=weights)
    assert str(caught.value) == (
        f"fit: X and {name} have the same index in another order, and rows go together by their places. "
        f"Give {name}.loc[X.index], or {name}.to_numpy() if the places are right"
    )
    model = trained(turned, given[::-1])
    with pytest.raises(ConfigError, match=r"^evaluate: X and y have the same index"):
        model.evaluate(turned, given, backend="reference")
    assert same(model, trained(turned, given[::-1].to_numpy()))
    assert same(model, trained(turned, given[::-1].reset_index(drop=True).set_axis(range(100, 100 + ROWS))))


@pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
def test_targets_that_are_a_column_of_the_inputs_are_refused(library):
    frame = library({"a": X[:, 0], "y": Y})
    with pytest.raises(ConfigError) as caught:
        trained(frame, frame["y"])
    assert str(caught.value) == (
        "fit: X still has the column 'y', which is y: the answer would be an input. Give fit(X, 'y'), or X without it"
    )
    model = trained(frame, "y")
    assert model.preprocessing.encoding.features == ("a",)


def test_a_column_that_has_but_the_name_of_the_target_is_told(caplog):
    later = NUMBERS["a"].shift(-1).fillna(0.0)
    model = model_of(1, None, "mse")
    model.fit(NUMBERS, later, **QUIET)
    assert "X has a column 'a', as the target is called" in caplog.text
    words = FRAME.assign(answer=WORDS)
    model = trained(FRAME, WORDS)
    assert model.evaluate(words, WORDS, backend="reference") == model.evaluate(FRAME, WORDS, backend="reference")


def test_a_preprocessing_of_ones_own_gets_the_frame():
    class First:
        def apply(self, x):
            return x.numbers()[:, :1]

    model, plain = model_of(preprocessing=First()), model_of()
    model.fit(NUMBERS, pd.Series(Y, name="b"), **QUIET)
    plain.fit(X[:, :1], Y, **QUIET)
    assert same(model, plain)


def cut(frame, y, turn=False):
    return [(frame[:30], y[:30]), (frame[30:][frame.columns[::-1]] if turn else frame[30:], y[30:])]


@pytest.mark.parametrize("scale", [None, Standardize()], ids=["as it is", "standardised"])
def test_batches_of_frames_are_known_by_their_columns(scale):
    batches = cut(FRAME, WORDS)
    model, turned = model_of(preprocessing=scale), model_of(preprocessing=scale)
    model.fit(batches, **QUIET, validation_data=batches)
    turned.fit(cut(FRAME, WORDS, turn=True), **QUIET)
    assert same(model, turned)
    assert model.preprocessing.encoding.features == ("a", "b", "c", "kind")
    whole = model.evaluate(FRAME, WORDS, backend="reference")
    assert model.evaluate(batches, backend="reference") == whole
    assert model.evaluate(cut(FRAME[FRAME.columns[::-1]], WORDS), backend="reference") == whole
    with pytest.raises(ConfigError, match="X has columns on which the model wasn't trained: 'more'"):
        model.evaluate([batches[0], (FRAME[30:].assign(more=1.0), WORDS[30:])], backend="reference")


def test_batches_may_name_their_targets():
    named = FRAME.assign(answer=WORDS)
    model, other = model_of(), model_of()
    model.fit([(named[:30], "answer"), (named[30:], "answer")], **QUIET)
    other.fit(cut(FRAME, WORDS), **QUIET)
    assert same(model, other)


def test_a_generator_of_frames_needs_columns_that_are_known():
    batches = cut(FRAME, Y)
    with pytest.raises(ConfigError) as caught:
        model_of().fit(iter(batches), steps_per_epoch=2, **QUIET)
    assert str(caught.value) == (
        "fit: what a generator's frames hold can't be learnt before it trains; give the model "
        "preprocessing=TableEncoder().fit(frame), or the batches as a list"
    )
    known, listed = model_of(preprocessing=TableEncoder().fit(FRAME)), model_of()
    known.fit(iter(cut(FRAME, Y, turn=True)), steps_per_epoch=2, **QUIET)
    listed.fit(batches, shuffle=False, **QUIET)
    assert same(known, listed)


def test_batches_may_be_sparse():
    sparse, dense = model_of(), model_of()
    sparse.fit([(sp.csr_matrix(X[:30]), Y[:30]), (sp.coo_array(X[30:]), Y[30:])], **QUIET)
    dense.fit([(X[:30], Y[:30]), (X[30:], Y[30:])], **QUIET)
    assert same(sparse, dense)


def test_a_strict_array_may_be_split():
    strict = pytest.importorskip("array_api_strict")
    given = trained(strict.asarray(X), strict.asarray(Y), validation_split=0.25)
    assert same(given, trained(X, Y, validation_split=0.25))


def test_a_sparse_tensor_is_refused():
    torch = pytest.importorskip("torch")
    with pytest.raises(ConfigError, match=r"^X is a sparse tensor, which isn't taken here. Give X.to_dense\(\)$"):
        model_of().fit(torch.tensor(X).to_sparse(), torch.tensor(Y), backend="torch", verbose=0)


@pytest.mark.parametrize(
    ("outputs", "says"),
    [
        (
            1,
            "the target has 3 classes (a, b, c), and the model 1 output; give the last layer 3 units with "
            "activation='softmax', and use loss='sparse_categorical_crossentropy'",
        ),
        (2, "the target has 3 classes (a, b, c), and the model 2 outputs; give the last layer 3 units"),
    ],
)
def test_too_few_outputs_for_the_classes_are_told(outputs, says):
    made = model_of() if outputs == 1 else model_of(outputs, "softmax", "sparse_categorical_crossentropy")
    with pytest.raises(ConfigError, match=f"^{re.escape(says)}$"):
        made.fit(X, np.array(["a", "b", "c"] * 20), **QUIET)


def test_numbers_as_text_are_told_what_to_do():
    with pytest.raises(LabelError, match=r"if the text is numbers, give y.astype\(float\)$"):
        model_of(1, None, "mse").fit(X, Y.astype(str), **QUIET)


def test_a_label_to_ignore_is_none_of_the_codes_of_names():
    with pytest.raises(ConfigError) as caught:
        trained(X, WORDS, ignore_label=0)
    assert str(caught.value) == (
        "ignore_label=0 goes with numbers, and the target has the classes no, yes; "
        "leave out the rows to ignore, or give them sample_weight 0"
    )


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"yes": 2.0}, "class_weight has no weight for class 'no'; it has ['yes']"),
        (
            np.array([1.0, 2.0]),
            "class_weight must be a dictionary such as {0: 1.0, 1: 5.0}, or 'balanced'; got array([1., 2.])",
        ),
        (
            pd.Series({"yes": 1.0, "no": 2.0}),
            "class_weight must be a dictionary such as {0: 1.0, 1: 5.0}, or 'balanced'; "
            "got yes 1.0 no 2.0 dtype: float64",
        ),
    ],
)
def test_weights_of_classes_that_are_none_are_told(given, says):
    with pytest.raises(ConfigError, match=f"^{re.escape(says)}$"):
        trained(X, WORDS, class_weight=given)


@pytest.mark.parametrize("given", [3, "standard", np.log, {"a": 1}, [Standardize(), 3]])
def test_what_is_no_preprocessing_is_told_at_once(given):
    with pytest.raises(ConfigError, match=r"^preprocessing must be one such as Standardize\(\) or TableEncoder\(\)"):
        Sequential([Dense(1)], preprocessing=given)


@pytest.mark.parametrize("weights", [None, "balanced", "names"])
def test_folds_of_frames_and_of_names(weights):
    by_name, by_code = {"yes": 2.0, "no": 1.0}, {0: 1.0, 1: 2.0}
    named = by_name if weights == "names" else weights
    settings = {"folds": 2, "epochs": 1, "backend": "reference"}
    plain = study.k_fold(model_of(), X, Y, **settings, class_weight=by_code if weights == "names" else weights)
    for data in ((NUMBERS, WORDS), (NUMBERS.assign(answer=WORDS), "answer"), (pl.DataFrame(NUMBERS), WORDS)):
        assert study.k_fold(model_of(), *data, **settings, class_weight=named) == plain
    assert study.k_fold(model_of(), sp.coo_matrix(X), WORDS, **settings, class_weight=named) == plain


def test_studies_take_targets_by_name():
    model, named = trained(FRAME, WORDS), FRAME.assign(answer=WORDS)
    assert study.lr_find(model, named, "answer") == study.lr_find(model, FRAME, WORDS)
    assert study.aic(model, named, "answer") == study.aic(model, FRAME, WORDS)
    large = pd.concat([named] * 100, ignore_index=True)  # of which a random sample is looked at
    apart = large.drop(columns="answer"), large["answer"]
    assert study.diagnose(model, large, "answer").text() == study.diagnose(model, *apart).text()
