"""Data frames of any library as they are: categories, dates, booleans, missing cells; columns by their names."""

import logging
import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("pandas")
pytest.importorskip("polars")
pytest.importorskip("pyarrow")
import pandas as pd
import polars as pl
import pyarrow as pa
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from deepmath import load_model
from deepmath.errors import ConfigError, LabelError
from deepmath.estimators import MLPClassifier, MLPRegressor
from deepmath.preprocessing import EncodeTable, Standardize
from deepmath.tables import TableEncoder

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

R = np.random.default_rng(0)
ROWS = 240
X = R.standard_normal((ROWS, 4))
PLAIN = pd.DataFrame(X, columns=list("abcd"))
PEOPLE = pd.DataFrame({
    "age": np.where(np.arange(ROWS) % 7 == 0, np.nan, R.integers(18, 80, ROWS)),
    "city": [None if i % 11 == 0 else c for i, c in enumerate(R.choice(["Nice", "Rome", "Oslo"], ROWS))],
    "member": R.random(ROWS) > 0.5,
    "since": pd.to_datetime("2020-01-01") + pd.to_timedelta(R.permutation(ROWS), unit="D"),
})  # fmt: skip
ANSWER = np.where((PEOPLE["city"] == "Nice") ^ PEOPLE["member"], "yes", "no")
INCOME = 1e5 + 2e4 * PEOPLE["member"].to_numpy() + 1e2 * np.nan_to_num(PEOPLE["age"])
LIBRARIES = {"pandas": lambda f: f, "polars": pl.from_pandas, "pyarrow": lambda f: pa.Table.from_pandas(f),
             "lazy": lambda f: pl.from_pandas(f).lazy()}  # fmt: skip


def make(kind=MLPClassifier, **settings):
    return kind(**{"hidden_layer_sizes": (16,), "scale": "standard", "max_iter": 60, "learning_rate_init": 0.02,
                   "random_state": 0, "backend": "reference"} | settings)  # fmt: skip


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_frame_is_learnt_as_it_is(library):
    frame = LIBRARIES[library](PEOPLE)
    clf = make().fit(frame, ANSWER)
    assert clf.score(frame, ANSWER) > 0.95
    assert clf.n_features_in_ == 4
    assert clf.feature_names_in_.tolist() == list(PEOPLE)
    assert clf.coefs_[0].shape == (clf._network.preprocessing.outputs, 16)
    assert np.array_equal(clf.predict_proba(PEOPLE), make().fit(PEOPLE, ANSWER).predict_proba(frame))
    reg = make(MLPRegressor, max_iter=200).fit(frame, INCOME)
    assert reg.score(frame, INCOME) > 0.9


@pytest.mark.parametrize("frame", [PLAIN, PEOPLE], ids=["plain", "people"])
def test_columns_are_held_to_their_names_and_order(frame):
    clf = make(max_iter=2).fit(frame, ANSWER)
    with pytest.raises(ValueError, match="Feature names must be in the same order as they were in fit"):
        clf.predict(frame[frame.columns[::-1]])
    with pytest.raises(ValueError, match=r"unseen at fit time:\n- strange\n.*yet now missing:\n- " + frame.columns[-1]):
        clf.predict(frame.rename(columns={frame.columns[-1]: "strange"}))
    with pytest.raises(ValueError, match="Feature names must be in the same order"):
        make(max_iter=2).fit(frame, ANSWER, eval_set=(frame[frame.columns[::-1]], ANSWER))


def test_an_array_has_no_categories():
    clf = make(max_iter=2).fit(PEOPLE, ANSWER)
    told = "X must be a data frame with the columns age, city, member, since, because column 'city' is a category"
    with pytest.warns(UserWarning, match="X does not have valid feature names"), pytest.raises(ConfigError, match=told):
        clf.predict(X)
    numbers = make(max_iter=2).fit(PEOPLE[["age", "member"]], ANSWER)
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        assert np.array_equal(numbers.predict(PEOPLE[["age", "member"]].to_numpy(float)),
                              numbers.predict(PEOPLE[["age", "member"]]))  # fmt: skip


@pytest.mark.parametrize("frame", [
    PLAIN, PLAIN.convert_dtypes(), PLAIN.astype("Float64"), pl.from_pandas(PLAIN), pa.Table.from_pandas(PLAIN),
    PLAIN.convert_dtypes(dtype_backend="pyarrow"),
], ids=["pandas", "nullable", "Float64", "polars", "pyarrow", "pandas of pyarrow"])  # fmt: skip
def test_a_frame_of_plain_numbers_is_an_array_with_names(frame):
    clf, of_array = make(max_iter=5).fit(frame, ANSWER), make(max_iter=5).fit(X, ANSWER)
    assert np.array_equal(clf.coefs_[0], of_array.coefs_[0])
    assert np.array_equal(clf.predict_proba(frame), of_array.predict_proba(X))
    assert clf.feature_names_in_.tolist() == list("abcd")


@pytest.mark.parametrize("dtype", [bool, float, np.int8])
def test_dummies_are_numbers(dtype):
    frame = pd.get_dummies(pd.DataFrame({"city": PEOPLE["city"].fillna("none"), "age": X[:, 0]}), dtype=dtype)
    clf = make().fit(frame, PEOPLE["city"].eq("Nice"))
    assert clf.score(frame, PEOPLE["city"].eq("Nice")) == 1.0
    assert clf.coefs_[0].shape[0] == clf.n_features_in_ == 5
    assert make(max_iter=1).fit(frame.astype(np.float32), ANSWER).coefs_[0].dtype == np.float32


def test_missing_numbers_are_the_median_and_a_column():
    gaps = PLAIN.mask(PLAIN > 1.5)
    clf = make().fit(gaps, ANSWER)
    assert clf.coefs_[0].shape[0] == 8
    assert clf.n_features_in_ == 4
    assert np.array_equal(clf.predict(gaps.convert_dtypes()), clf.predict(gaps))


@pytest.mark.parametrize("frame", [PLAIN, PEOPLE], ids=["plain", "people"])
@pytest.mark.parametrize("scale", ["standard", None])
def test_the_model_knows_the_columns_and_the_labels(frame, scale, tmp_path):
    clf = make(scale=scale, max_iter=5).fit(frame, ANSWER)
    model = clf.to_sequential()
    model.compile(model.optimizer, model.loss, ["accuracy"])
    assert model.evaluate(frame, ANSWER, precision="float64")["accuracy"] == pytest.approx(clf.score(frame, ANSWER))
    assert model.target.classes == ("no", "yes")
    assert clf.fit(X, ANSWER).to_sequential().preprocessing is clf._network.preprocessing  # an array has no columns
    clf.fit(frame, ANSWER)
    turned = frame[frame.columns[::-1]]
    model.save(tmp_path / "m.safetensors")
    for one in (model, load_model(tmp_path / "m.safetensors")):
        np.testing.assert_allclose(one.predict(turned, precision="float64")[:, 0], clf.predict_proba(frame)[:, 1])
    with pytest.raises(ConfigError, match=f"X lacks the columns '{frame.columns[0]}', on which the model was trained"):
        model.predict(frame[frame.columns[1:]])


def test_labels_of_the_model_are_those_of_the_classifier():
    yes = ANSWER == "yes"
    for labels, classes in ((np.where(yes, 3.0, 1.0), (1.0, 3.0)), (yes + 1, (1, 2)), (yes * 1, None), (yes, None)):
        clf = make(max_iter=2).fit(X, labels)
        model = clf.to_sequential()
        assert (model.target and model.target.classes) == classes
        model.compile(model.optimizer, model.loss, ["accuracy"])
        assert model.evaluate(X, labels)["accuracy"] == pytest.approx(clf.score(X, labels))


def test_what_is_encoded_is_learnt_from_the_rows_that_train():
    held = pd.DataFrame({"age": [20.0], "city": ["Atlantis"], "member": [True], "since": [pd.Timestamp("1999-01-01")]})
    clf = make(max_iter=3, early_stopping=True).fit(PEOPLE, ANSWER, eval_set=(held, ["yes"]))
    columns = {column.name: column for column in clf._network.preprocessing.encoding.columns}
    assert columns["city"].categories == ("Nice", "Oslo", "Rome")
    split = make(max_iter=3, early_stopping=True, validation_fraction=0.5).fit(PEOPLE, ANSWER)
    assert split._network.preprocessing.fitted[1].moments.rows == ROWS // 2
    assert np.isfinite(clf.predict_proba(held)).all()  # an unseen category


def test_a_stream_of_frames_goes_on_with_the_columns_of_the_first():
    clf = make(batch_size=50)
    for start in range(0, ROWS, 80):
        clf.partial_fit(PEOPLE[start : start + 80], ANSWER[start : start + 80], classes=["no", "yes"])
    clf.partial_fit(PEOPLE.assign(city="Atlantis"), ANSWER)
    assert clf._network.preprocessing.fitted[1].moments.rows == 80
    with pytest.raises(ValueError, match="yet now missing:\n- age"):
        clf.partial_fit(PEOPLE.drop(columns="age"), ANSWER)
    warm = make(warm_start=True, max_iter=5).fit(PEOPLE, ANSWER)
    before = warm.loss_
    assert warm.fit(PEOPLE, ANSWER).loss_ < before


def test_pickles_clones_searches_and_pipelines():
    clf = make(max_iter=20).fit(PEOPLE, ANSWER)
    assert np.array_equal(pickle.loads(pickle.dumps(clf)).predict_proba(PEOPLE), clf.predict_proba(PEOPLE))
    assert np.array_equal(clone(clf).fit(PEOPLE, ANSWER).predict_proba(PEOPLE), clf.predict_proba(PEOPLE))
    for frame in (PEOPLE, pl.from_pandas(PEOPLE), pa.Table.from_pandas(PEOPLE)):
        assert cross_val_score(clf, frame, ANSWER, cv=2).mean() > 0.8
    pipe = make_pipeline(FunctionTransformer(lambda f: f.assign(old=f["age"] > 50)), clone(clf))
    assert pipe.fit(PEOPLE, ANSWER).score(PEOPLE, ANSWER) > 0.9
    assert pipe[-1].feature_names_in_.tolist() == [*PEOPLE, "old"]
    scaled = make_pipeline(StandardScaler().set_output(transform="pandas"), clone(clf)).fit(PLAIN, ANSWER)
    assert scaled[-1].feature_names_in_.tolist() == list("abcd")


@pytest.mark.parametrize("y", [
    pd.Series(ANSWER), pd.Series(ANSWER, dtype="string"), pd.Series(ANSWER, dtype="category"), pl.Series(ANSWER),
    pl.Series(ANSWER, dtype=pl.Categorical), pa.chunked_array([ANSWER.tolist()]), ANSWER.tolist(),
    ANSWER.astype(object),
], ids=["pandas", "string", "category", "polars", "categorical", "pyarrow", "list", "objects"])  # fmt: skip
def test_text_is_labels_in_any_library(y):
    clf = make(max_iter=1).fit(X, y)
    assert clf.classes_.tolist() == ["no", "yes"]
    assert set(clf.predict(X)) <= {"no", "yes"}
    assert clf.score(X, y) == clf.score(X, ANSWER)


@pytest.mark.parametrize(("dtype", "classes"), [
    ("Int64", [0, 1]), ("boolean", [False, True]), ("int64[pyarrow]", [0, 1]), ("Float64", [0.0, 1.0]),
])  # fmt: skip
def test_nullable_labels_keep_their_type(dtype, classes):
    y = pd.Series((ANSWER == "yes") * 1).astype(dtype)
    clf = make(max_iter=1).fit(X, y)
    assert [(type(c), c) for c in clf.classes_.tolist()] == [(type(c), c) for c in classes]
    assert make(MLPRegressor, max_iter=1).fit(X, y).predict(X).shape == (ROWS,)


@pytest.mark.parametrize("y", [
    pd.Series([None, *ANSWER[1:]]), pl.Series([None, *ANSWER[1:]]), pl.Series([None, *([1, 0] * ROWS)[1:ROWS]]),
    pd.Series([pd.NA, *([True, False] * ROWS)[1:ROWS]], dtype="boolean"),
    pa.chunked_array([[None, *ANSWER[1:].tolist()]]),
], ids=["pandas", "polars", "polars numbers", "nullable", "pyarrow"])  # fmt: skip
def test_a_missing_label_is_told_with_its_row(y):
    with pytest.raises(LabelError, match=r"y: row 0 has no value \(1 row has none\); a target must be known"):
        make().fit(PEOPLE, y)


@pytest.mark.parametrize("frame", [PLAIN, PEOPLE, pl.from_pandas(PEOPLE)], ids=["plain", "people", "polars"])
def test_a_target_is_named_by_its_column(frame):
    whole = (
        frame.assign(answer=ANSWER) if isinstance(frame, pd.DataFrame) else frame.with_columns(answer=pl.Series(ANSWER))
    )
    clf = make(max_iter=5).fit(whole, "answer", eval_set=(whole, "answer"))
    assert np.array_equal(clf.predict_proba(frame), make(max_iter=5).fit(frame, ANSWER).predict_proba(frame))
    assert "answer" not in clf.feature_names_in_
    with pytest.raises(ConfigError, match=r"has no column 'anwser'; did you mean 'answer'\?"):
        make().fit(whole, "anwser")
    with pytest.raises(ConfigError, match="y='answer' is the name of a column, so X must be a data frame; got ndarray"):
        make().fit(X, "answer")


@pytest.mark.parametrize("frame", [PLAIN, PEOPLE], ids=["plain", "people"])
def test_rows_that_pandas_would_pair_otherwise_are_refused(frame):
    turned, told = pd.Series(ANSWER)[::-1], "X and y have the same index in another order, and rows go together by"
    with pytest.raises(ConfigError, match=f"fit: {told}"):
        make().fit(frame, turned)
    with pytest.raises(ConfigError, match=f"eval_set: {told}"):
        make().fit(frame, ANSWER, eval_set=(frame, turned))
    with pytest.raises(ConfigError, match="fit: X and sample_weight have the same index in another order"):
        make().fit(frame, ANSWER, pd.Series(np.ones(ROWS))[::-1])
    make(max_iter=1).fit(frame[::-1], turned)


def test_several_numbers_may_be_a_frame():
    reg = make(MLPRegressor).fit(PEOPLE, pl.DataFrame({"a": INCOME, "b": -INCOME}))
    assert reg.predict(PEOPLE).shape == (ROWS, 2)


def test_the_kinds_of_columns_can_be_said(caplog):
    coded = PLAIN.assign(zip=R.integers(0, 3, ROWS) * 11)
    plain = make(max_iter=1).fit(coded, ANSWER)
    assert plain.coefs_[0].shape[0] == 5
    kinds = TableEncoder(kinds={"zip": "category"})
    for scale in ([kinds, Standardize()], EncodeTable(kinds), kinds):
        assert make(max_iter=1, scale=scale).fit(coded, ANSWER).coefs_[0].shape[0] == 7
    with caplog.at_level(logging.WARNING, "deepmath"):
        make(max_iter=1).fit(PEOPLE.assign(id=np.arange(ROWS), same="x"), ANSWER)
    assert len(caplog.messages) == 2
    assert all("column" in message for message in caplog.messages)


@pytest.mark.parametrize(("data", "told"), [
    (np.ma.array(X, mask=X > 2.0), r"X has \d+ masked values?, which would count as if they weren't"),
    (np.full((ROWS, 2), "2024-01-01", "datetime64[D]"), r"X has dtype datetime64\[D\]; expected real numbers"),
    (np.ones((ROWS, 1), "timedelta64[s]"), r"X has dtype timedelta64\[s\]; expected real numbers"),
    (pd.concat([PLAIN, PLAIN[["a"]]], axis=1), "X: two columns are called 'a'; rename one"),
], ids=["masked", "dates", "durations", "twice"])  # fmt: skip
def test_what_would_be_misread_is_refused(data, told):
    with pytest.raises(ConfigError, match=told):
        make().fit(data, ANSWER)


def test_targets_that_would_be_misread_are_refused():
    with pytest.raises(ConfigError, match="y has 1 masked value"):
        make(MLPRegressor).fit(X, np.ma.array(X[:, 0], mask=np.arange(ROWS) == 3))
    with pytest.raises(ConfigError, match=r"y has dtype datetime64"):
        make(MLPRegressor).fit(X, PEOPLE["since"])
