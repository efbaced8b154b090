"""A model knows the columns of the frame that it was trained on, wherever it is used again."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest

from deepmath import Dense, Sequential, explain_step, gradcheck, load_model
from deepmath.errors import ConfigError, LabelError
from deepmath.preprocessing import Standardize
from deepmath.tables import ClassTarget, TableEncoder

RNG = np.random.default_rng(3)
ROWS = 160
FRAME = pd.DataFrame(
    {
        "a": RNG.standard_normal(ROWS),
        "b": 5.0 + 100.0 * RNG.standard_normal(ROWS),
        "kind": RNG.choice(["x", "y", "z"], ROWS),
        "since": pd.date_range("2020-01-01", periods=ROWS, freq="D"),
    }
)
FRAME.loc[3, "a"] = np.nan
PLAIN = FRAME[["a", "b"]].fillna(0.0)
ANSWER = np.where(FRAME["a"].fillna(0.0) + (FRAME["kind"] == "x") > 0.3, "yes", "no")
CODES = (ANSWER == "yes").astype(int)
QUIET = {"verbose": 0, "backend": "reference"}


def trained(frame=FRAME, y=ANSWER, **options):
    model = Sequential([Dense(6, "tanh"), Dense(1, "sigmoid")], seed=1, **options)
    model.compile("adam", "binary_crossentropy", ["accuracy"])
    model.fit(frame, y, epochs=4, **QUIET)
    return model


@pytest.mark.parametrize("frame", [FRAME, PLAIN], ids=["mixed", "numbers"])
@pytest.mark.parametrize("scale", [None, Standardize()], ids=["as it is", "standardised"])
def test_columns_may_come_in_any_order(frame, scale, tmp_path):
    model = trained(frame, preprocessing=scale)
    model.save(tmp_path / "m.safetensors")
    p, turned = model.predict(frame, backend="reference"), frame[frame.columns[::-1]]
    for used in (model, load_model(tmp_path / "m.safetensors")):
        assert np.array_equal(used.predict(turned, backend="reference"), p)
        assert used.evaluate(turned, ANSWER, backend="reference") == model.evaluate(frame, ANSWER, backend="reference")
        assert used.preprocessing.encoding.features == tuple(frame.columns)


def test_missing_and_foreign_columns_are_named(caplog):
    model = trained()
    renamed = FRAME.rename(columns={"a": "A", "kind": "sort"})
    for use in (lambda f: model.predict(f), lambda f: model.evaluate(f, ANSWER), lambda f: model.fit(f, ANSWER)):
        with pytest.raises(ConfigError, match=r"X lacks the columns 'a', 'kind'.*it has 'A', 'sort' instead"):
            use(renamed)
    more = FRAME.assign(more=1.0)
    with pytest.raises(ConfigError, match="X has columns on which the model wasn't trained: 'more'"):
        model.evaluate(more, ANSWER)
    with pytest.raises(ConfigError, match="X has columns on which the model wasn't trained: 'more'"):
        model.fit(FRAME, ANSWER, validation_data=(more, ANSWER), **QUIET)
    with caplog.at_level(logging.WARNING, logger="deepmath"):
        p = model.predict(more, backend="reference")
    assert "columns on which the model wasn't trained are passed over: 'more'" in caplog.text
    assert np.array_equal(p, model.predict(FRAME, backend="reference"))


def test_the_target_and_the_weights_may_be_columns():
    weights = RNG.random(ROWS)
    whole = FRAME.assign(answer=ANSWER, weight=weights)
    model = Sequential([Dense(6, "tanh"), Dense(1, "sigmoid")], seed=1)
    model.compile("adam", "binary_crossentropy", ["accuracy"])
    model.fit(whole, "answer", sample_weight="weight", epochs=4, **QUIET)
    other = Sequential([Dense(6, "tanh"), Dense(1, "sigmoid")], seed=1)
    other.compile("adam", "binary_crossentropy", ["accuracy"])
    other.fit(FRAME, pd.Series(ANSWER, name="answer"), sample_weight=weights, epochs=4, **QUIET)
    assert all(map(np.array_equal, model.get_weights(), other.get_weights()))
    assert model.target == other.target
    assert model.target.name == "answer"
    expected = other.evaluate(FRAME, ANSWER, sample_weight=weights, backend="reference")
    assert model.evaluate(whole, "answer", sample_weight="weight", backend="reference") == expected
    left = whole.drop(columns="weight")  # the target isn't foreign to a model that predicts it
    assert np.array_equal(model.predict(left, backend="reference"), other.predict(FRAME, backend="reference"))
    with pytest.raises(ConfigError, match="no column 'anser'; did you mean 'answer'"):
        model.fit(whole, "anser", **QUIET)


def test_several_targets_of_numbers():
    whole = FRAME[["a", "b"]].fillna(0.0).assign(u=RNG.random(ROWS), v=RNG.random(ROWS))
    model, other = (Sequential([Dense(2)], seed=0) for _ in range(2))
    for made, given in ((model, (whole, ["u", "v"])), (other, (PLAIN, whole[["u", "v"]]))):
        made.compile("sgd", "mse")
        made.fit(*given, **QUIET, precision="float64")
    assert all(map(np.array_equal, model.get_weights(), other.get_weights()))


def test_who_trained_on_names_may_predict_by_place_where_all_are_numbers():
    model = trained(PLAIN)
    assert np.array_equal(
        model.predict(PLAIN, backend="reference"), model.predict(PLAIN.to_numpy(), backend="reference")
    )
    with pytest.raises(ConfigError, match=r"columns that the model was trained on, \[rows, 2\]: a, b; got shape"):
        model.predict(np.ones((3, 3)))
    with pytest.raises(ConfigError, match=r"must be a data frame with the columns a, b, kind, since, because"):
        trained().predict(PLAIN.to_numpy())


def test_who_trained_on_an_array_takes_frames_of_numbers_by_place():
    model = trained(PLAIN.to_numpy())
    named = PLAIN.rename(columns={"a": "p", "b": "q"})
    assert np.array_equal(
        model.predict(named, backend="reference"), model.predict(PLAIN.to_numpy(), backend="reference")
    )
    with pytest.raises(ConfigError, match="column 'kind' holds texts; expected numbers"):
        model.predict(FRAME)


def test_a_table_of_numbers_keeps_all_its_columns():
    frame = PLAIN.assign(one=1.0, number=np.arange(ROWS))
    model = trained(frame)
    assert model.input_shape == (4,)
    assert model.preprocessing.encoding.features == ("a", "b", "one", "number")


def test_the_encoder_learns_from_the_rows_that_train_and_kinds_can_be_said():
    frame = FRAME.assign(zip=RNG.integers(0, 3, ROWS))
    frame.loc[ROWS - 1, "kind"] = "never seen"
    model = Sequential([Dense(1, "sigmoid")], preprocessing=[TableEncoder(kinds={"zip": "category"}), Standardize()])
    model.compile("sgd", "binary_crossentropy")
    model.fit(frame, ANSWER, validation_split=0.1, **QUIET)
    names = model.preprocessing.encoding.output_names
    assert "zip=0" in names
    assert "kind=never seen" not in names
    assert np.isfinite(model.predict(frame, backend="reference")).all()


def test_frames_come_in_batches_and_in_steps_too():
    model, batches = trained(), [(FRAME[i : i + 40], ANSWER[i : i + 40]) for i in range(0, ROWS, 40)]
    expected = model.evaluate(FRAME, ANSWER, backend="reference")
    found = model.evaluate(batches, backend="reference")
    assert found == pytest.approx(expected, rel=1e-6)
    model.fit(batches, epochs=1, **QUIET)
    model.train_on_batch(FRAME[:20], ANSWER[:20], backend="reference")
    whole = trained()
    whole.fit(FRAME, ANSWER, epochs=1, shuffle=64, **QUIET)
    assert np.isfinite(whole.predict(FRAME, backend="reference")).all()


def test_explanations_take_frames():
    model = trained()
    assert "6" in explain_step(model, FRAME[:2], ANSWER[:2]).text()
    assert gradcheck(model, FRAME[:8], ANSWER[:8])


def test_a_fit_that_is_refused_leaves_the_model_as_it_was():
    model = Sequential([Dense(3, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(LabelError):
        model.fit(FRAME, np.arange(ROWS) % 5, **QUIET)
    assert (model.preprocessing, model.target, model.input_shape, model.history) == (None, None, None, None)
    model.fit(PLAIN, np.arange(ROWS) % 3, **QUIET)
    assert model.input_shape == (2,)


@pytest.mark.parametrize(
    ("outputs", "last", "loss"),
    [
        (1, "sigmoid", "binary_crossentropy"),
        (2, "softmax", "sparse_categorical_crossentropy"),
        (2, "softmax", "categorical_crossentropy"),
        (1, None, "hinge"),
    ],
)
def test_text_is_classes(outputs, last, loss, tmp_path):
    models = [Sequential([Dense(5, "tanh"), Dense(outputs, last)], seed=2) for _ in range(2)]
    coded = np.eye(2)[CODES] if loss == "categorical_crossentropy" else CODES
    for model, y in zip(models, (ANSWER, coded), strict=True):
        model.compile("adam", loss, ["accuracy"])
        model.fit(PLAIN, y, epochs=3, **QUIET)
    assert all(map(np.array_equal, *(m.get_weights() for m in models)))
    models[0].save(tmp_path / "m.safetensors")
    loaded = load_model(tmp_path / "m.safetensors")
    assert loaded.target.classes == ("no", "yes")
    assert loaded.evaluate(PLAIN, ANSWER, backend="reference") == models[1].evaluate(PLAIN, coded, backend="reference")
    with pytest.raises(LabelError, match="row 1 has the label 'maybe'; the model knows no, yes"):
        loaded.evaluate(PLAIN[:2], ["yes", "maybe"])


def test_classes_of_text_have_weights_by_name():
    def fit(y, class_weight):
        model = Sequential([Dense(1, "sigmoid")], seed=0)
        model.compile("sgd", "binary_crossentropy")
        model.fit(PLAIN, y, class_weight=class_weight, **QUIET)
        return model

    for names, codes in (({"no": 1.0, "yes": 3.0}, {0: 1.0, 1: 3.0}), ("balanced", "balanced")):
        named, coded = fit(ANSWER, names), fit(CODES, codes)
        assert all(map(np.array_equal, named.get_weights(), coded.get_weights()))
    with pytest.raises(ConfigError, match="class_weight has a weight for class 'ye'; the model knows no, yes"):
        fit(ANSWER, {"no": 1.0, "ye": 3.0})


def test_text_is_no_number():
    model = Sequential([Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(LabelError, match="the target holds text, which is classes, and loss 'mse' takes numbers"):
        model.fit(PLAIN, ANSWER, **QUIET)
    model = Sequential([Dense(2, "softmax")])
    model.compile("sgd", "categorical_crossentropy")
    with pytest.raises(ConfigError, match=r"the target has 3 classes .x, y, z., and the model 2 outputs; give"):
        model.fit(PLAIN, FRAME["kind"], **QUIET)


def test_who_trained_on_numbers_must_say_which_class_is_which():
    model = trained(PLAIN, CODES)
    with pytest.raises(LabelError, match="holds text, and the model was trained on numbers; say which class"):
        model.fit(PLAIN, ANSWER, **QUIET)
    model.target = ClassTarget(("no", "yes"))
    model.fit(PLAIN, ANSWER, **QUIET)


def test_a_first_batch_tells_the_names_of_its_columns():
    model = Sequential([Dense(1, "sigmoid")])
    model.compile("sgd", "binary_crossentropy")
    model.train_on_batch(PLAIN, CODES, backend="reference")
    expected = model.predict(PLAIN, backend="reference")
    assert np.array_equal(model.predict(PLAIN[["b", "a"]], backend="reference"), expected)
    model = Sequential([Dense(1, "sigmoid")])
    model.compile("sgd", "binary_crossentropy")
    with pytest.raises(ConfigError, match="train_on_batch: one batch is too little to learn what its columns hold"):
        model.train_on_batch(FRAME, CODES)


def test_a_preprocessing_alone_remembers_columns_too():
    fitted = Standardize().fit(PLAIN)
    assert np.array_equal(fitted.apply(PLAIN[["b", "a"]]), fitted.apply(PLAIN))
    assert np.array_equal(fitted.apply(PLAIN.to_numpy()), Standardize().fit(PLAIN.to_numpy()).apply(PLAIN.to_numpy()))
