"""What columns become, number by number; the same bits for any split; and a description that JSON holds exactly."""

import json

import numpy as np
import pandas as pd
import pytest
from tables.people import ROWS, people

from deepmath.errors import FormatError, NumericError
from deepmath.tables import TableEncoder, TableEncoding, frame_of
from deepmath.tables import seen as seen_module
from deepmath.tables.encoders import CategoryColumn


def test_numbers_and_their_missing_cells():
    frame = pd.DataFrame({"a": [3.0, np.nan, 1.0, 10.0], "b": [1, 5, 2, 9]})
    encoding = TableEncoder().fit(frame)
    assert encoding.output_names == ("a", "a missing", "b")
    assert (encoding.outputs, encoding.features) == (3, ("a", "b"))
    assert encoding.apply(frame).tolist() == [[3, 0, 1], [3, 1, 5], [1, 0, 2], [10, 0, 9]]
    assert encoding.apply(frame, dtype="float32").dtype == np.float32


def test_categories_like_pandas_own():
    frame = pd.DataFrame({"a": ["x", "y", None, "z", "x"]})
    encoding = TableEncoder().fit(frame)
    assert encoding.output_names == ("a=x", "a=y", "a=z", "a missing")
    np.testing.assert_array_equal(encoding.apply(frame), pd.get_dummies(frame, dummy_na=True).astype(float))
    other = encoding.apply(pd.DataFrame({"a": ["new", None, "y"]}))
    assert other.tolist() == [[0, 0, 0, 0], [0, 0, 0, 1], [0, 1, 0, 0]]


def test_rare_and_unseen_categories_are_other_ones():
    cells = ["a"] * 30 + ["b"] * 20 + ["c"] * 10 + [f"r{i}" for i in range(12)]
    encoding = TableEncoder(max_categories=2).fit(pd.DataFrame({"k": cells}))
    assert encoding.output_names == ("k=a", "k=b", "k other")
    assert encoding.apply(pd.DataFrame({"k": ["b", "c", "r3", "new", None]})).tolist() == [[0, 1, 0]] + [[0, 0, 1]] * 4


def test_the_most_frequent_categories_are_kept_and_ties_go_by_name():
    cells = [f"c{i:02}" for i in range(30)] * 3 + ["c29"]
    column = TableEncoder(max_categories=3).fit(pd.DataFrame({"k": cells})).columns[0]
    assert column == CategoryColumn("k", ("c00", "c01", "c29"), other=True)


def test_the_order_of_categories_is_their_own_or_that_of_numbers_or_the_alphabet():
    frame = pd.DataFrame(
        {
            "size": pd.Categorical(["M", "S", "L"], categories=["S", "M", "L", "XL"], ordered=True),
            "shoe": ["9", "10", "38"],
            "name": ["b", "a", "C"],
        }
    )
    encoding = TableEncoder(kinds={"shoe": "category"}).fit(frame)
    assert [c.categories for c in encoding.used] == [("S", "M", "L"), ("9", "10", "38"), ("C", "a", "b")]


def test_numbers_as_categories_are_compared_as_numbers():
    encoding = TableEncoder(kinds={"a": "category"}).fit(pd.DataFrame({"a": [1, 2, 2]}))
    for given in ([1, 2], [1.0, 2.0], ["1", "2.0"], [True, 2]):
        assert encoding.apply(pd.DataFrame({"a": given}))[1].tolist() == [0, 1]
    assert encoding.apply(pd.DataFrame({"a": ["1.00", "3"]})).tolist() == [[1, 0], [0, 0]]


def test_booleans_are_read_in_any_words():
    encoding = TableEncoder().fit(pd.DataFrame({"a": ["yes", "no", None, "yes"], "b": [True, False, True, False]}))
    assert encoding.output_names == ("a", "a missing", "b")
    for yes, no in ((True, False), ("TRUE", "false"), (1, 0), ("y", "N")):
        frame = pd.DataFrame({"a": [yes, no, None], "b": [no, yes, yes]}, dtype=object)
        assert encoding.apply(frame).tolist() == [[1, 0, 0], [0, 0, 1], [1, 1, 1]]
    with pytest.raises(NumericError) as caught:
        encoding.apply(pd.DataFrame({"a": ["yes", "maybe"], "b": [True, True]}))
    assert str(caught.value) == (
        "X: column 'a', row 1: 'maybe' is neither no nor yes, as in training; correct it or make it missing"
    )


def test_dates_become_a_number_and_parts():
    days = pd.to_datetime(["2020-01-01T00:00", "2021-07-02T12:00", None, "2022-12-31T00:00"])
    encoding = TableEncoder().fit(pd.DataFrame({"d": days}))
    assert encoding.output_names == (
        "d [years]", "d season sine", "d season cosine", "d weekday sine", "d weekday cosine", "d hour sine",
        "d hour cosine", "d missing",
    )  # fmt: skip
    out = encoding.apply(pd.DataFrame({"d": days}))
    assert out[1, 0] == 0.5 / 365.2425
    assert out[0, 0] == -548 / 365.2425
    assert out[2].tolist() == [0, 0, 0, 0, 0, 0, 0, 1]
    for name, turn in (("season", 182 / 366), ("weekday", 4 / 7), ("hour", 0.5)):
        place = encoding.output_names.index(f"d {name} sine")
        np.testing.assert_allclose(
            out[1, place : place + 2], [np.sin(2 * np.pi * turn), np.cos(2 * np.pi * turn)], atol=1e-15
        )


def test_a_number_of_the_date_is_of_a_good_size():
    for unit, size in (("year", 86400 * 366), ("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        times = pd.to_datetime(np.arange(5) * size * 10**9, unit="ns")
        encoding = TableEncoder().fit(pd.DataFrame({"t": times}))
        assert encoding.output_names[0] == f"t [{unit}s]"
        assert np.abs(encoding.apply(pd.DataFrame({"t": times}))[:, 0]).max() < 8


def test_any_split_gives_the_same_bits():
    frame = people()
    for dtype in ("float64", "float32"):
        encoding = TableEncoder().fit(frame)
        whole = encoding.apply(frame, dtype=dtype)
        for size in (1, 17, 100):
            starts = range(0, min(ROWS, 20 * size), size)
            parts = np.concatenate([encoding.apply(frame.iloc[i : i + size], dtype=dtype) for i in starts])
            assert parts.tobytes() == whole[: len(parts)].tobytes()
        order = np.random.default_rng(1).permutation(ROWS)
        assert encoding.apply(frame.iloc[order]).tobytes() == encoding.apply(frame)[order].tobytes()
        assert np.isfinite(whole).all()


def test_fitting_in_chunks_is_fitting_the_whole(monkeypatch):
    monkeypatch.setattr(seen_module, "SAMPLE", 64)
    monkeypatch.setattr(seen_module, "DISTINCT", 50)
    frame = people()
    whole = TableEncoder().fit_chunks([frame_of(frame)])
    for size in (13, 100):
        chunks = [frame_of(frame.iloc[i : i + size].reset_index(drop=True)) for i in range(0, ROWS, size)]
        assert TableEncoder().fit_chunks(chunks) == whole
    ages = frame["age"].to_numpy()[:: 2 ** int(np.ceil(np.log2(ROWS / 64)))]
    assert next(c for c in whole.encoding.columns if c.name == "age").median == np.nanmedian(ages)


def test_the_median_is_exact_where_the_sample_is_all():
    frame = people()
    encoding = TableEncoder().fit(frame)
    columns = {c.name: c for c in encoding.columns}
    assert columns["age"].median == np.nanmedian(frame["age"])
    incomes = [float(v.replace(" ", "").replace(",", ".")) for v in frame["income"]]
    assert columns["income"].median == np.median(incomes)
    assert (
        TableEncoder().fit(pd.DataFrame({"a": [1.7e308, 1.6e308, 1, 2e307, 1.7e308, 1.7e308]})).columns[0].median
        > 1.6e308
    )


def test_the_description_survives_json():
    frame = people()
    encoder = TableEncoder(kinds={"street": "category", "nr": "out"}, max_categories=20)
    encoding = encoder.fit(frame)
    again = TableEncoding.read(json.loads(json.dumps(encoding.config(), allow_nan=False)))
    assert again == encoding
    assert hash(again) == hash(encoding)
    assert again.apply(frame).tobytes() == encoding.apply(frame).tobytes()
    from deepmath.descriptions import config_of, from_config

    assert from_config(json.loads(json.dumps(config_of(encoder))), {}) == encoder
    assert {type(c).__name__ for c in encoding.columns} == {
        "NumberColumn", "CategoryColumn", "BooleanColumn", "DateColumn", "LeftOut",
    }  # fmt: skip


@pytest.mark.parametrize(
    "config",
    [
        None,
        {"class": "TableEncoding"},
        {"class": "TableEncoding", "columns": ["a"]},
        {"class": "NumberColumn", "name": "a", "median": 1.0},
        {"class": "TableEncoding", "columns": [{"class": "NumberColumn", "name": "a", "median": "x"}]},
        {"class": "TableEncoding", "columns": [{"class": "NumberColumn", "name": 3, "median": 1.0}]},
        {"class": "TableEncoding", "columns": [{"class": "DateColumn", "name": "a", "origin": "2020", "unit": "aeon"}]},
        {"class": "TableEncoding", "columns": [{"class": "no such", "name": "a"}]},
    ],
)
def test_a_description_that_is_none_is_refused(config):
    with pytest.raises(FormatError):
        TableEncoding.read(config)
