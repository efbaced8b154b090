"""TableSource: a model takes over its columns and its target, and measures what the same table in memory gives."""

import numpy as np
import pandas as pd
import pytest

import deepmath as dm
from deepmath.datasets import CsvSource, TableSource
from deepmath.errors import ConfigError, LabelError
from deepmath.preprocessing import SmoothClip, Standardize
from deepmath.tables import TableEncoder, read_table

WHERE = {"backend": "reference", "precision": "float64"}


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    n = 120
    frame = pd.DataFrame(
        {
            "age": np.where(np.arange(n) % 9 == 2, np.nan, rng.integers(18, 80, n)),
            "city": rng.choice(["Nice", "Rome", "Oslo"], n),
            "since": (np.datetime64("2018-01-01") + rng.integers(0, 2000, n)).astype(str),
            "size": rng.standard_normal(n) * 10 + 170,
        }
    )
    frame["buys"] = np.where(np.arange(n) % 10 == 3, None, np.where(frame["size"] > 170, "yes", "no"))
    frame.to_csv("people.csv", index=False)
    return "people.csv"


def model(outputs=1, activation="sigmoid", loss="binary_crossentropy", preprocessing=None):
    made = dm.Sequential([dm.Dense(4, "tanh"), dm.Dense(outputs, activation)], seed=3, preprocessing=preprocessing)
    made.compile("adam", loss)
    return made


def same(a, b):
    assert a.get_weights()
    for v, w in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_allclose(v, w, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("steps", [None, Standardize(), [TableEncoder(), Standardize(), SmoothClip()]], ids=str)
def test_a_model_learns_from_it_as_from_the_frame(path, steps):
    source, frame = TableSource(path), read_table(path).take(np.flatnonzero(np.arange(120) % 10 != 3))
    first, second = model(preprocessing=steps), model(preprocessing=steps)
    first.fit(source, epochs=2, verbose=0, **WHERE)
    second.fit(frame, "buys", epochs=2, verbose=0, **WHERE)
    same(first, second)
    assert (source.dropped, source.shape) == (12, (108, first.input_shape[0]))
    assert first.preprocessing.encoding == second.preprocessing.encoding == source.encoding
    assert first.target == second.target == source.target
    inputs = frame.drop("buys")
    np.testing.assert_allclose(first.predict(inputs, **WHERE), second.predict(source, **WHERE), rtol=1e-12)
    wanted = second.evaluate(frame, "buys", **WHERE)
    assert first.evaluate(source, **WHERE) == pytest.approx(wanted, rel=1e-12)
    first.save("m.safetensors")
    again = dm.load_model("m.safetensors")
    assert again.evaluate(TableSource(path, like=again), **WHERE) == pytest.approx(wanted, rel=1e-12)


def test_a_split_and_class_weights_and_a_second_fit(path):
    source = TableSource(path)
    made = model()
    history = made.fit(source, epochs=1, validation_split=0.25, class_weight={"yes": 2, "no": 1}, verbose=0, **WHERE)
    assert set(history.history) >= {"loss", "val_loss"}
    made.fit(source, epochs=1, validation_data=source.subset([5, 1]), verbose=0, **WHERE)
    assert made.epochs_trained == 2


def test_numbers_are_scaled_and_come_back_in_their_unit(path):
    source = TableSource(path, target="size", scale=True, encoder=TableEncoder({"buys": "out"}))
    made = model(1, None, "mse", Standardize())
    made.fit(source, epochs=1, verbose=0, **WHERE)
    y = source.target.decode(source.take(np.arange(120)).y)
    np.testing.assert_allclose(y, pd.read_csv(path)["size"], rtol=1e-12)
    assert abs(made.predict(source, **WHERE).mean() - 170) < 30


def test_a_part_that_trains_says_what_columns_are(path):
    source = TableSource(path, encoder=TableEncoder(max_categories=2), learn_from=lambda y: np.flatnonzero(y == 0)[:30])
    assert next(c for c in source.encoding.columns if c.name == "city").other
    assert source.shape[0] == 108


def test_what_was_encoded_otherwise_is_refused(path):
    made = model()
    made.fit(TableSource(path), epochs=1, verbose=0, **WHERE)
    other = TableSource(path, encoder=TableEncoder({"city": "out"}))
    cure = r"; make it for the model: TableSource\(path, like=model\)"
    with pytest.raises(ConfigError, match="the columns of the table were encoded otherwise than the model's" + cure):
        made.evaluate(other, **WHERE)
    made.target = made.target.__class__(("no", "perhaps"), "buys")
    with pytest.raises(ConfigError, match="the target 'buys' of the table isn't the model's target" + cure):
        made.evaluate(TableSource(path), **WHERE)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"target": "buy"}, ConfigError, r"people.csv has no column 'buy'; did you mean 'buys'\?"),
        ({"target": 9}, ConfigError, "TableSource: people.csv has no column '9'"),
        ({"target": "city", "kind": "number"}, LabelError, "the target 'city' can't be a number: it holds"),
        ({"like": dm.Sequential()}, ConfigError, "like must be a model that was fitted to a table"),
        ({"dtype": "int8"}, ConfigError, "dtype must be 'float64' or 'float32'; got 'int8'"),
    ],
)
def test_refusals(path, options, error, message):
    with pytest.raises(error, match=message):
        TableSource(path, **options)


def test_its_old_name_stays_for_a_while():
    assert CsvSource is TableSource
