"""A fitted table meets others: columns in another order, missing, of other types, and cells that have no meaning."""

import logging

import numpy as np
import pandas as pd
import polars as pl
import pytest
from tables.people import people

from deepmath.errors import ConfigError, NumericError
from deepmath.tables import TableEncoder, frame_of, read_table, scan_table
from deepmath.tables.encoders import NumberColumn

MESSAGES = "X: column "


def test_columns_come_in_any_order_and_more_are_told():
    frame = people()
    encoding = TableEncoder().fit(frame)
    turned = frame[frame.columns[::-1]].assign(new=1, more="x")
    assert encoding.apply(turned).tobytes() == encoding.apply(frame).tobytes()
    assert encoding.unknown(turned) == ("new", "more")
    assert encoding.unknown(frame) == ()
    assert encoding.apply(frame[list(encoding.features)]).tobytes() == encoding.apply(frame).tobytes()


def test_missing_columns_are_named():
    encoding = TableEncoder().fit(people())
    with pytest.raises(ConfigError) as caught:
        encoding.apply(people().rename(columns={"age": "Age"}))
    assert str(caught.value) == (
        "X has no column 'age', on which the model was trained; did you mean 'Age'? "
        "Columns: nr, Age, income, city, member, since, seen, vip, remark, street"
    )
    with pytest.raises(ConfigError, match=r"^test: X has no columns 'age', 'city', on which the model was trained"):
        encoding.apply(people().drop(columns=["age", "city"]), who="test: X")


def test_missing_cells_where_training_had_none_are_told_once(caplog):
    frame = pd.DataFrame({"a": [1.0, 2.0, 4.0], "b": ["x", "y", "x"], "c": [True, False, True]})
    frame["d"] = ["2020-01-01", "2020-02-01", "2020-03-01"]
    encoding = TableEncoder().fit(frame)
    lacking = pd.DataFrame({"a": [None], "b": [None], "c": [None], "d": [None]})
    with caplog.at_level(logging.WARNING, "deepmath"):
        for _ in range(3):
            out = encoding.apply(lacking)
    assert out.tolist() == [[2, 0, 0, 1, 0, 0, 0, 0, 0]]
    told = "has missing cells, and training had none: they count as"
    assert caplog.messages == [
        f"{MESSAGES}'a' {told} the median, 2",
        f"{MESSAGES}'b' {told} none of its categories",
        f"{MESSAGES}'c' {told} true, which is more frequent",
        f"{MESSAGES}'d' {told} 2020-02-01",
    ]


@pytest.mark.parametrize(
    ("frame", "error", "message"),
    [
        ({"a": ["1", "x"]}, NumericError, "X: column 'a', row 11: 'x' is not a number, as in training; correct it, "
         "make it missing, or train with it as a category"),
        ({"a": [1.0, np.inf]}, NumericError,
         "X: column 'a', row 11: the number is infinite; correct it, or make it missing"),
        ({"a": pd.to_datetime(["2020-01-01"])}, ConfigError, "X: column 'a' holds dates; it was numbers in training"),
        ({"b": ["1,5", "7.5"]}, NumericError, "X: column 'b', row 11: '7.5' is not a number written as 1.234,5, as in "
         "training; correct it, make it missing, or train with it as a category"),
        ({"p": [7.5]}, ConfigError,
         "X: column 'p' holds numbers; in training it was text such as '1234.5 %'. Write it so"),
        ({"d": ["2020-01-05", "5/6/2020"]}, NumericError, "X: column 'd', row 11: '5/6/2020' is not a date written as "
         "in training (such as 2020-01-31); correct it or make it missing"),
        ({"d": [3.0]}, ConfigError, "X: column 'd' holds numbers; it was dates in training"),
    ],
)  # fmt: skip
def test_a_cell_without_meaning_is_refused(frame, error, message):
    train = pd.DataFrame(
        {"a": [1.0, 2.0], "b": ["1,5", "2,75"], "p": ["5 %", "7 %"], "d": ["2020-01-05", "2020-03-01"]}
    )
    encoding = TableEncoder().fit(train)
    given = pd.DataFrame(frame)
    rest = {name: [train[name][0]] * len(given) for name in train if name not in given}
    with pytest.raises(error) as caught:
        encoding.apply(given.assign(**rest), first_row=10)
    assert str(caught.value) == message


def test_words_that_were_missing_in_training_are_so_later():
    cells = [str(i) for i in range(50)] + ["unknown"]
    encoding = TableEncoder().fit(pd.DataFrame({"a": cells}))
    assert encoding.columns[0] == NumberColumn("a", 24.5, True, words=("unknown",))
    assert encoding.apply(pd.DataFrame({"a": ["unknown", "NA", None, "7"]})).tolist() == [[24.5, 1]] * 3 + [[7, 0]]


def test_numbers_too_large_for_float32_are_refused():
    encoding = TableEncoder().fit(pd.DataFrame({"a": [1e39, 1.0, 2.0]}))
    with pytest.raises(
        NumericError, match=r"X: column 'a', row 0: 1e\+39 is too large for float32; use precision='float64'"
    ):
        encoding.apply(pd.DataFrame({"a": [1e39]}), dtype="float32")
    assert encoding.apply(pd.DataFrame({"a": [1e39]})).tolist() == [[1e39]]


def test_an_array_is_taken_by_position_where_it_can_be():
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "c": [7, 7, 7], "b": [True, False, True]})
    encoding = TableEncoder().fit(frame)
    assert encoding.features == ("a", "b")
    expected = encoding.apply(frame)
    for array in (frame[["a", "b"]].to_numpy(), frame.to_numpy(), frame.astype(float).to_numpy().tolist()):
        assert encoding.apply(array).tolist() == expected.tolist()
    with pytest.raises(ConfigError) as caught:
        encoding.apply(np.ones((2, 5)))
    assert str(caught.value) == (
        "X must have the columns that the model was trained on, [rows, 2]: a, b; got shape (2, 5)"
    )
    with pytest.raises(ConfigError, match=r"X has dtype <U1; pass numbers, or a data frame with names"):
        encoding.apply(np.array([["x", "y"]]))
    with pytest.raises(ConfigError) as caught:
        TableEncoder().fit(people()).apply(np.ones((2, 10)))
    assert str(caught.value).startswith("X must be a data frame with the columns age, income, city")
    assert str(caught.value).endswith("because column 'income' is a number written as 1 234,5")


@pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame, pl.LazyFrame])
def test_every_library_gives_the_same_numbers(library):
    frame = people()
    encoding = TableEncoder().fit(frame)
    if library is not pd.DataFrame:
        frame = pl.from_pandas(frame)
        assert TableEncoder().fit(frame) == encoding
    assert encoding.apply(library(frame)).tobytes() == encoding.apply(people()).tobytes()


def test_a_file_is_read_as_the_model_needs_it(put):
    """A category 5 beside nan and x stays one where a file happens to hold no x."""
    train = read_table(put('k,price,zip\n5,"1.234,5",00501\nnan,"7,25",10001\nx,"1,5",10001\n'))
    encoding = TableEncoder().fit(train)
    assert encoding.text == ("k", "price", "zip")
    path = put("zip,k,price\n10001,5,1.234\n10001,nan,7\n")
    names = encoding.output_names
    for frame in (read_table(path, text=encoding.text), *scan_table(path, 2, text=encoding.text)):
        out = encoding.apply(frame)
        assert out[:, names.index("k=5")].tolist() == [1, 0]
        assert out[:, names.index("k=nan")].tolist() == [0, 1]
        assert out[:, names.index("price")].tolist() == [1234, 7]
    assert TableEncoder(kinds={"k": "category", "d": "date:%d/%m/%Y", "n": "number", "m": "number:1234,5"}).text == (
        "k",
        "d",
        "m",
    )


def test_arguments_are_checked():
    with pytest.raises(ConfigError, match="TableEncoder: max_categories must be a whole number >= 2; got 1"):
        TableEncoder(max_categories=1)
    with pytest.raises(ConfigError, match=r"TableEncoding.apply: dtype must be 'float32' or 'float64'; got 'int8'"):
        TableEncoder().fit(people()).apply(people(), dtype="int8")


def test_chunks_of_two_types_are_refused():
    chunks = [frame_of(pd.DataFrame({"a": [1.0, 2.0]})), frame_of(pd.DataFrame({"a": ["x", "y"]}))]
    with pytest.raises(ConfigError) as caught:
        TableEncoder().fit_chunks(chunks)
    assert str(caught.value) == (
        "column 'a' holds numbers in rows 0 to 1 and texts behind them; give it one type, or take it as text: "
        "kinds={'a': 'category'}"
    )
    with pytest.raises(ConfigError, match="the chunks have different columns: b; a"):
        TableEncoder().fit_chunks([chunks[0], frame_of(pd.DataFrame({"b": [1]}))])
