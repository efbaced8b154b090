"""Data frames of every library give the same columns, and what no column can hold is refused with its cure."""

import datetime as dt
import decimal
import subprocess
import sys

import narwhals
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from deepmath.arrays import is_frame, is_series
from deepmath.errors import ConfigError
from deepmath.tables import frame_of
from deepmath.tables.frames import values_of

DATES = [dt.datetime(2020, 1, 5, 10, 30), None, dt.datetime(1969, 12, 31)]
DAYS = [dt.date(2020, 1, 5), None, dt.date(1969, 12, 31)]


def everything():
    """One table in three libraries."""
    polars = pl.DataFrame(
        {
            "float": [1.5, None, -2.0],
            "int": [1, None, 3],
            "small": pl.Series([1, 2, 3], dtype=pl.Int8),
            "bool": [True, None, False],
            "text": ["x", None, " y "],
            "when": DATES,
            "day": DAYS,
            "zone": pl.Series(DATES).dt.replace_time_zone("UTC").dt.convert_time_zone("Europe/Berlin"),
            "lasts": [dt.timedelta(hours=1), None, dt.timedelta(microseconds=500000)],
            "cents": [decimal.Decimal("1.25"), None, decimal.Decimal("2")],
            "large": pl.Series([2**60 + 1, None, 1], dtype=pl.Int64),
            "empty": [None, None, None],
        }
    )
    frames = {"polars": polars, "lazy": polars.lazy(), "narwhals": narwhals.from_native(polars)}
    pandas = {"pandas": polars.to_pandas(), "nullable": polars.to_pandas(use_pyarrow_extension_array=True)}
    return {**frames, **pandas, "pyarrow": polars.to_arrow()}


EXPECTED = {
    "float": [1.5, np.nan, -2.0],
    "int": [1.0, np.nan, 3.0],
    "small": [1.0, 2.0, 3.0],
    "text": ["x", None, "y"],
    "when": np.array(["2020-01-05T10:30", "NaT", "1969-12-31"], "datetime64[us]"),
    "day": np.array(["2020-01-05", "NaT", "1969-12-31"], "datetime64[us]"),
    "zone": np.array(["2020-01-05T10:30", "NaT", "1969-12-31"], "datetime64[us]"),
    "lasts": [3600.0, np.nan, 0.5],
    "cents": [1.25, np.nan, 2.0],
    "large": ["1152921504606846977", None, "1"],
    "empty": [None, None, None],
}


@pytest.mark.parametrize("library", ["polars", "lazy", "pyarrow", "pandas", "nullable", "narwhals"])
def test_every_library_gives_the_same_columns(library):
    given = everything()[library]
    assert is_frame(given)
    frame = frame_of(given)
    assert frame.rows == len(frame) == 3
    for name, expected in EXPECTED.items():
        if name == "large" and library == "pandas":
            continue  # pandas itself has turned it into floats
        values = frame.column(name).values
        if name == "empty" and values.dtype == np.float64:
            expected = [np.nan] * 3
        expected = np.array(expected, dtype=values.dtype)
        assert values.dtype == {"text": object, "large": object}.get(name, expected.dtype)
        np.testing.assert_array_equal(values, expected, err_msg=name)
    flags = frame.column("bool")
    assert flags.values.dtype == np.bool_
    assert (flags.values.tolist(), flags.missing.tolist()) == ([True, False, False], [False, True, False])


@pytest.mark.parametrize("library", ["polars", "pyarrow", "pandas"])
def test_rows_and_columns_are_chosen(library):
    frame = frame_of(everything()[library])
    assert frame.select(["text", "int"]).names == ("text", "int")
    assert "text" not in frame.drop("text").names
    assert frame.slice(1, 3).column("int").values[1] == 3.0
    assert frame.take([2, 0]).column("text").values.tolist() == ["y", "x"]
    with pytest.raises(ConfigError, match=r"the table has no column 'tex'; did you mean 'text'\? Columns: float, int"):
        frame.column("tex")


def test_text_with_many_repeats_is_the_same_as_text_with_few():
    cells = ["b", " a", None, "a ", "", "c"]
    for library in (pl.DataFrame, pd.DataFrame, pa.table):
        few = frame_of(library({"t": cells})).column("t")
        many = frame_of(library({"t": cells * 50})).column("t")
        assert few.levels == many.levels == ("b", "a", "c")
        assert few.codes.tolist() == [0, 1, -1, 1, -1, 2]
        assert many.codes.tolist() == few.codes.tolist() * 50


def test_categories_keep_their_order():
    order = ["low", "middle", "high"]
    enum = pl.DataFrame({"c": pl.Series(["high", "low", None], dtype=pl.Enum(order))})
    plain = pd.DataFrame({"c": pd.Categorical(["high", "low", None], categories=order)})
    ordered = pd.DataFrame({"c": pd.Categorical(["high", "low", None], categories=order, ordered=True)})
    for given in (enum, plain, ordered):
        column = frame_of(given).column("c")
        assert column.order == tuple(order)
        assert column.values.tolist() == ["high", "low", None]


def test_the_order_in_which_categories_first_appeared_is_none():
    for given in (pl.DataFrame({"c": pl.Series(["b", "a"], dtype=pl.Categorical)}),
                  pa.table({"c": pa.array(["b", "a", None]).dictionary_encode()})):  # fmt: skip
        column = frame_of(given).column("c")
        assert column.order is None
        assert column.values.tolist()[:2] == ["b", "a"]
    assert column.values.tolist()[2] is None


def test_objects_are_taken_for_what_they_are():
    frame = frame_of(
        pd.DataFrame(
            {
                "mixed": pd.Series([1, "a", None], dtype=object),
                "flags": pd.Series([True, None, False], dtype=object),
                "days": pd.Series(DAYS, dtype=object),
                "cents": pd.Series([decimal.Decimal("1.5"), None, decimal.Decimal(2)], dtype=object),
                "large": pd.Series([2**70, 1, None], dtype=object),
                "kinds": pd.Series([True, 1, 2.5], dtype=object),
                "sparse": pd.arrays.SparseArray([0.0, 0.0, 1.0]),
                "codes": pd.Categorical([1, 2, None]),
            }
        )
    )
    assert frame.column("mixed").values.tolist() == ["1", "a", None]
    assert frame.column("flags").type == "boolean"
    assert frame.column("days").values[0] == np.datetime64("2020-01-05")
    assert frame.column("cents").values[:1].tolist() == [1.5]
    assert frame.column("large").values.tolist() == [str(2**70), "1", None]
    assert frame.column("kinds").values.tolist() == ["true", "1", "2.5"]
    assert frame.column("sparse").values.tolist() == [0.0, 0.0, 1.0]
    assert frame.column("codes").values[:2].tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("given", "holds"),
    [
        (pd.DataFrame({"a": [1 + 2j]}), "complex numbers"),
        (pd.DataFrame({"a": [[1, 2]]}), "objects of type list"),
        (pl.DataFrame({"a": [[1, 2]]}), "nested values (List(Int64))"),
        (pl.DataFrame({"a": [{"b": 1}]}), "nested values (Struct({'b': Int64}))"),
        (pl.DataFrame({"a": [b"x"]}), "bytes"),
        (pd.DataFrame({"a": pd.period_range("2020-01", periods=1, freq="M")}), "objects of type Period"),
    ],
)
def test_what_a_column_cannot_hold_is_refused(given, holds):
    with pytest.raises(ConfigError) as caught:
        frame_of(given).column("a")
    assert str(caught.value) == (
        f"column 'a' holds {holds}; a column holds numbers, text, booleans or dates. "
        "Turn it into such columns, or leave it out: kinds={'a': 'out'}"
    )


@pytest.mark.parametrize(
    "given",
    [
        pd.DataFrame([[1, 2, 3]], columns=["a", "b", "a"]),
        pa.table([[1], [2], [3]], names=["a", "b", "a"]),
        pd.DataFrame([[1, 2]], columns=[1, "1"]).rename(columns={1: "a", "1": "a"}),
    ],
)
def test_duplicated_names_are_refused(given):
    with pytest.raises(ConfigError, match=r"^X: two columns are called 'a'; rename one \(1 such names in all\)$"):
        frame_of(given)


def test_names_that_are_numbers_become_text():
    frame = frame_of(pd.DataFrame([[1.0, 2.0]], columns=[0, ("a", 1)]))
    assert frame.names == ("0", "('a', 1)")
    assert frame.select(["('a', 1)"]).column("('a', 1)").values.tolist() == [2.0]
    with pytest.raises(ConfigError, match="two columns are called '1'"):
        frame_of(pd.DataFrame([[1, 2]], columns=[1, "1"]))


def test_what_is_no_frame_is_told_so():
    assert not any(is_frame(x) for x in ([1], np.ones(3), {"a": [1]}, None, pd.Series([1]), "DataFrame"))
    assert is_series(pd.Series([1]))
    assert is_series(pl.Series([1]))
    assert is_series(pa.chunked_array([[1]]))
    assert not any(is_series(x) for x in ([1], np.ones(3), pd.DataFrame()))
    with pytest.raises(ConfigError, match=r"X must be a data frame of pandas, polars or pyarrow; got builtins.dict"):
        frame_of({"a": [1]})


def test_a_frame_of_a_class_of_ones_own_is_one():
    class Own(pd.DataFrame):
        pass

    assert is_frame(Own({"a": [1]}))
    assert frame_of(Own({"a": [1]})).names == ("a",)


def test_asking_imports_nothing():
    code = (
        "import sys, numpy as np; from deepmath.tables.frames import is_frame, is_series;"
        "print(is_frame(np.ones(3)), is_series([1]), [m for m in ('narwhals', 'polars', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False False []"


def test_one_column_from_arrays_series_and_lists():
    for given in ([1, None, 3], np.array([1.0, np.nan, 3.0]), pd.Series([1, None, 3]), pl.Series([1, None, 3]),
                  np.array([[1.0], [np.nan], [3.0]]), np.ma.array([1, 2, 3], mask=[0, 1, 0]),
                  pa.chunked_array([[1, None, 3]]), pl.DataFrame({"y": [1, None, 3]})):  # fmt: skip
        np.testing.assert_array_equal(values_of(given).values, [1.0, np.nan, 3.0])
    assert values_of(np.array(["a", "b"])).values.tolist() == ["a", "b"]
    assert values_of(np.array([2**53, 2**53 + 1])).values.tolist() == [str(2**53), str(2**53 + 1)]
    assert values_of(np.array([1500], "timedelta64[ms]")).values.tolist() == [1.5]
    assert values_of(np.array(["2020-01-05"], "datetime64[D]")).type == "date"
    assert values_of(np.array([True, False])).values.tolist() == [True, False]
    with pytest.raises(ConfigError, match=r"y must be one column \[rows\]; got shape \(2, 2\)"):
        values_of(np.ones((2, 2)))
    with pytest.raises(ConfigError, match="y must be one column; got 2: a, b"):
        values_of(pd.DataFrame({"a": [1], "b": [2]}))
    with pytest.raises(ConfigError, match="column 'y' holds complex numbers"):
        values_of(np.array([1j]))


CATEGORIES = [
    ["b", "a", None, "b", " a", ""],
    [2, 1, None, 2],
    [2.5, 1.0, None],
    [True, False, None, True],
    [1, "a", None, 2.5],
    [2**60, 1, 2**60],
    [dt.date(2020, 1, 5), None],
    [None, None],
]


@pytest.mark.parametrize("cells", CATEGORIES, ids=str)
def test_categories_are_what_their_cells_are(cells):
    """Whatever categories there are beside those of the cells, and in whatever order."""
    there = [c for c in dict.fromkeys(cells) if c is not None]
    given = frame_of(pd.DataFrame({"c": pd.Categorical(cells, categories=["unused", *there[::-1]])})).column("c")
    plain = frame_of(pd.DataFrame({"c": pd.Series(cells, dtype=object)})).column("c")
    assert given.type == plain.type
    assert given.missing.tolist() == plain.missing.tolist()
    assert [str(v) for v in given.values.tolist()] == [str(v) for v in plain.values.tolist()]
    if given.type == "text":
        assert (given.levels, given.codes.tolist()) == (plain.levels, plain.codes.tolist())


def test_arrow_dictionaries_are_what_they_hold():
    for cells, kind in ((["b", "a", None, "b"], "text"), ([3, 1, None, 3], "number")):
        column = frame_of(pa.table({"c": pa.array(cells).dictionary_encode()})).column("c")
        assert column.type == kind
        assert [None if m else v for v, m in zip(column.values, column.missing, strict=True)] == cells
