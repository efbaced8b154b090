"""Every kind of column that a table may bring has one defined outcome, and says what is doubtful about it."""

import numpy as np
import pandas as pd
import pytest

from deepmath.errors import ConfigError, NumericError
from deepmath.tables import TableEncoder, frame_of
from deepmath.tables.kinds import MIXED_SHARE

ROWS = 200
random = np.random.default_rng(0)
VALUES = random.standard_normal(ROWS)
DAYS = pd.date_range("2019-12-01", periods=ROWS)
IDS = random.permutation(10**6)[:ROWS]


def cycle(*values):
    return [values[i % len(values)] for i in range(ROWS)]


def look(values, name="a", **options):
    """The summary's row of a column among others."""
    frame = pd.DataFrame({"beside": VALUES, name: values})
    fitted = TableEncoder(**options).fit_chunks([frame_of(frame)])
    assert fitted.encoding.columns[1].name == name
    return fitted.summary[1]


# name: cells, kind, what it becomes, missing cells, notice
OUTCOMES = {
    "numbers": (VALUES, "number", "a number", 0, None),
    "numbers with missing cells": (
        np.where(VALUES > 1, np.nan, VALUES),
        "number", "a number, missing", int((VALUES > 1).sum()), None),
    "whole numbers of few values": (cycle(1, 2), "number", "a number", 0, None),
    "constant": (np.full(ROWS, 7), "constant", "left out", 0, "all cells are '7'"),
    "constant text": (["x"] * ROWS, "constant", "left out", 0, "all cells are 'x'"),
    "constant date": (pd.to_datetime(["2020-01-01"] * ROWS), "constant", "left out", 0, "all cells are '2020-01-01'"),
    "always true": ([True] * ROWS, "constant", "left out", 0, "all cells are 'true'"),
    "all missing": ([None] * ROWS, "empty", "left out", ROWS, "all cells are missing"),
    "all NaN": (np.full(ROWS, np.nan), "empty", "left out", ROWS, "all cells are missing"),
    "only words for missing": (cycle("NA", "null"), "empty", "left out", 0, "all cells are missing"),
    "one number and missing cells": (
        cycle(5, None),
        "category", "1 category, missing", 100, "one value beside missing cells"),
    "one word and missing cells": (cycle("x", None), "category", "1 category, missing", 100, None),
    "one boolean and missing cells": (
        cycle(True, None),
        "category", "1 category, missing", 100, "one value beside missing cells"),
    "categories": (cycle("red", "green", "blue"), "category", "3 categories", 0, None),
    "categories with missing cells": (
        cycle("red", "green", None, "blue"),
        "category", "3 categories, missing", 50, None),
    "a category named nan": (cycle("nan", "x", "NA", "None"), "category", "4 categories", 0, None),
    "words for missing among numbers": (cycle("1.5", "2", "NA", "nan"), "number", "a number, missing", 100, None),
    "10,000 categories": (
        [f"c{i}" for i in random.permutation([*range(10_000), *np.arange(200).repeat(20)])],
        "category", "100 categories, other", 0,
        "10,000 categories: the most frequent 100 have an output each; the others are one"),
    "rare categories": (
        [f"c{i}" for i in np.arange(ROWS - 5) % 12] + list("vwxyz"), "category", "12 categories, other", 0,
        "17 categories: 5 are rare; the others are one"),
    "booleans": (cycle(True, False, False), "boolean", "0 or 1", 0, None),
    "booleans with missing cells": (cycle(True, False, None), "boolean", "0 or 1, missing", 66, None),
    "yes and no": (cycle("Yes", "no"), "boolean", "0 or 1", 0, None),
    "true, false and unknown": (cycle("true", "false", "?"), "boolean", "0 or 1, missing", 66, None),
    "0 and 1": (cycle(0, 1), "number", "a number", 0, None),
    "dates": (DAYS, "date", "years, season, weekday", 0, None),
    "dates with a time": (
        DAYS + pd.to_timedelta(np.arange(ROWS), unit="h"),
        "date", "years, season, weekday, hour", 0, None),
    "dates as text": (DAYS.strftime("%Y-%m-%d"), "date", "years, season, weekday", 0, None),
    "some dates are missing": (
        cycle("2020-01-31", "2020-02-29", "NA", None),
        "date", "months, season, weekday, missing", 100, None),
    "the day stands first": (DAYS.strftime("%d/%m/%Y"), "date", "years, season, weekday", 0, None),
    "the month stands first": (DAYS.strftime("%m/%d/%Y"), "date", "years, season, weekday", 0, None),
    "several formats of dates": (
        cycle("2020-01-31", "13/02/2020", "5 Mar 2020", "April 7, 2020"),
        "date", "months, season, weekday", 0, None),
    "times in zones": (
        cycle("2020-01-31T10:00Z", "2020-01-31T12:00+02:00", "2020-01-31 18:30"),
        "date", "hours, hour", 0, None),
    "day or month": (
        cycle("01/02/2020", "03/04/2020"), "category", "2 categories", 0,
        "'01/02/2020' may mean 1 February or 2 January; say which: kinds={'a': 'date:%d/%m/%Y'} or "
        "kinds={'a': 'date:%m/%d/%Y'} (--column 'a=date:%d/%m/%Y')"),
    "years of two digits": (
        cycle("31.01.20", "01.02.21"), "category", "2 categories", 0,
        "'31.01.20' has a year of two digits; say which: kinds={'a': 'date:%d.%m.%y'} or "
        "kinds={'a': 'date:%m.%d.%y'} (--column 'a=date:%d.%m.%y')"),
    "dates that contradict each other": (
        cycle("31/01/2020", "01/31/2020"), "category", "2 categories", 0,
        "the day stands first in '31/01/2020' and second in '01/31/2020'; correct them"),
    "a date that doesn't exist": (
        [*DAYS.strftime("%d.%m.%Y")[1:], "31.02.2020"], "name", "left out", 0,
        "all different; most look like dates, but '31.02.2020' is none; correct it or make it missing"),
    "commas as decimals": (
        [f"{v:.1f}".replace(".", ",") for v in VALUES], "number", "a number", 0, "numbers written as 1.234,5"),
    "commas between thousands": (
        [f"{v:,.2f}" for v in 1e4 * VALUES],
        "number", "a number", 0, "numbers written as 1,234.5"),
    "blanks between thousands": (
        cycle("1 000", "2 500 000", "3"),
        "number", "a number", 0, "numbers written as 1 234,5"),
    "percent": (cycle("12 %", "7.5%"), "number", "a number", 0, "numbers written as 1234.5 %"),
    "dollars": (cycle("$1,200.50", "-$7", "$3"), "number", "a number", 0, "numbers written as 1,234.5 $"),
    "euros": (cycle("1.200,50 €", "7,25 €"), "number", "a number", 0, "numbers written as 1.234,5 €"),
    "thousands or decimals": (
        cycle("1,250", "13,500"), "category", "2 categories", 0,
        "'1,250' may mean 1250 or 1.25; say which: kinds={'a': 'number:1.234,5'} or "
        "kinds={'a': 'number:1,234.5'} (--column 'a=number:1.234,5')"),
    "two currencies": (
        cycle("$5", "€5"), "category", "2 categories", 0,
        "'$5' and '€5' are not in one unit; write one in all cells"),
    "zeros in front": (cycle("00501", "10001"), "category", "2 categories", 0, None),
    "beyond 2^53, all different": ([2**53 + i for i in range(ROWS)], "name", "left out", 0, "all different"),
    "beyond 2^53, few": (cycle(2**60, 2**60 + 1), "category", "2 categories", 0, None),
    "words among numbers": (
        ["unknown" if i % 20 == 0 else str(i) for i in range(ROWS)], "number", "a number, missing", 10,
        "these words among the numbers count as missing: 'unknown'"),
    "numbers among words": (cycle("38", "40", "L", "XL"), "category", "4 categories", 0, None),
    "mixed objects": (cycle(1, "a"), "category", "2 categories", 0, None),
    "names": ([f"person {i}" for i in range(ROWS)], "name", "left out", 0, "all different"),
    "names with repeats": ([f"person {i % 195}" for i in range(ROWS)], "name", "left out", 0, "almost all different"),
    "free text": ([f"a comment with {i} words" for i in range(ROWS)], "text", "left out", 0, "free text"),
    "row numbers": (np.arange(ROWS) + 5, "row number", "left out", 0, "whole numbers that count the rows"),
    "row numbers of half a table": (
        np.random.default_rng(1).permutation(2 * ROWS)[:ROWS], "row number", "left out", 0,
        "whole numbers that count the rows"),
    "different whole numbers": (IDS, "number", "a number", 0, None),
    "durations": (pd.to_timedelta(np.arange(ROWS) % 7, unit="h"), "number", "a number", 0, None),
}  # fmt: skip


@pytest.mark.parametrize("name", OUTCOMES)
def test_each_outcome(name):
    cells, kind, becomes, missing, notice = OUTCOMES[name]
    frame = pd.DataFrame({"a": cells})
    frame["beside"] = np.arange(len(frame)) % 7
    row = TableEncoder().fit_chunks([frame_of(frame)]).summary[0]
    assert (row.kind, row.becomes, row.missing, row.notice) == (kind, becomes, missing, notice)


@pytest.mark.parametrize("name", OUTCOMES)
def test_a_file_gives_what_the_frame_gives(name, put):
    """Text, booleans, dates and missing cells look alike in CSV, and mean the same."""
    from deepmath.tables import read_table

    cells, kind, becomes, missing, _ = OUTCOMES[name]
    if kind == "empty" or name in ("durations", "mixed objects"):
        return  # without a cell nobody knows what words mean, and these two are written otherwise
    frame = pd.DataFrame({"a": cells})
    frame["beside"] = np.arange(len(frame)) % 7
    frame.to_csv(put(""), index=False)
    row = TableEncoder().fit_chunks([read_table("t.csv")]).summary[0]
    assert (row.kind, row.becomes, row.missing) == (kind, becomes, missing)


def test_an_identifier_by_its_name():
    for name in ("id", "ID", "customer_id", "customerId", "Order ID"):
        row = look(IDS, name)
        assert (row.kind, row.notice) == ("row number", "all different, and called an identifier")
    for name in ("paid", "idea", "a"):
        assert look(IDS, name).kind == "number"


def test_small_tables_have_no_identifiers():
    frame = pd.DataFrame({"a": list("abcde"), "b": range(5)})
    assert [row.kind for row in TableEncoder().fit_chunks([frame_of(frame)]).summary] == ["category", "number"]


def test_the_share_of_numbers_that_makes_words_missing():
    words = round((1 - MIXED_SHARE) * ROWS)
    cells = ["x"] * words + [str(i) for i in range(ROWS - words)]
    assert look(cells).kind == "number"
    assert look(["x", *cells[:-1]]).kind == "category"


def test_a_column_of_which_every_category_is_rare_is_left_out():
    rows = 5000
    frame = pd.DataFrame({"a": [f"c{i // 4}" for i in range(rows)], "beside": np.arange(rows) % 7})
    row = TableEncoder().fit_chunks([frame_of(frame)]).summary[0]
    assert (row.becomes, row.notice) == ("left out", "each of its 1,250 categories is in fewer than 5 rows")


# what kinds says: cells, kind given, becomes
GIVEN = {
    "zip": (np.arange(ROWS) % 9, "category", "9 categories"),
    "id": (np.arange(ROWS), "number", "a number"),
    "out": (VALUES, "out", "left out"),
    "text": (VALUES, "text", "left out"),
    "format": (cycle("01/02/2020", "03/04/2020"), "date:%d/%m/%Y", "months, season, weekday"),
    "digits": (cycle(20200131, 20201231), "date:%Y%m%d", "years, season, weekday"),
    "proved": (cycle("31/01/2020", "03/04/2020"), "date", "months, season"),
    "thousands": (cycle("1,250", "13,500"), "number:1,234.5", "a number"),
    "decimals": (cycle("1,250", "13,500"), "number:1234,5", "a number"),
    "words": (cycle("1", "2", "x"), "number", "a number, missing"),
    "pair": (cycle("m", "f"), "boolean", "0 or 1"),
    "numbers": (cycle(1, 2), "boolean", "0 or 1"),
}


@pytest.mark.parametrize("name", GIVEN)
def test_a_kind_can_be_given(name):
    cells, kind, becomes = GIVEN[name]
    assert look(cells, kinds={"a": kind}).becomes == becomes


# cells, kind given, message
REFUSED = [
    (VALUES, "categry",
     "kinds: 'a' can be one of number, category, boolean, date, date:%d/%m/%Y, number:1.234,5, text, "
     "name, row number, out; got 'categry'"),
    (VALUES, 3, "kinds: 'a' can be one of number, category, boolean, date, date:%d/%m/%Y, number:1.234,5, text, "
     "name, row number, out; got 3"),
    (cycle("x", "y"), "number", "kinds: column 'a' can't be a number: it holds 'x', 'y'; show how they are written: "
     "kinds={'a': 'number:1.234,5'}"),
    (cycle("1,250"), "number", "kinds: column 'a' can't be a number: '1,250' may mean 1250 or 1.25; show how they are "
     "written: kinds={'a': 'number:1.234,5'}"),
    (cycle("1"), "number:1,2", "the spelling of numbers must be shown as 1234.5, 1234,5, 1.234,5, 1,234.5, 1 234,5 or "
     "1'234.5, with the sign that they carry; got '1,2'"),
    (DAYS, "number", "kinds: column 'a' can't be a number: it holds dates, which become numbers and parts by "
     "themselves"),
    (cycle("x", "y"), "date", "kinds: column 'a' can't be a date: it holds 'x', 'y'; correct it, or give the format: "
     "kinds={'a': 'date:%d/%m/%Y'}"),
    (cycle("31/01/2020", "x"), "date:%d/%m/%Y", "kinds: column 'a' can't be a date: 'x' is not written so; correct it, "
     "or give the format: kinds={'a': 'date:%d/%m/%Y'}"),
    (cycle(20200131, 20200201), "date",
     "kinds: column 'a' can't be a date: it holds numbers; say how the date is "
     "written, such as kinds={'a': 'date:%Y%m%d'}"),
    (VALUES, "date:%H:%M",
     "kinds: the date format '%H:%M' of 'a' must name year and month, as %d/%m/%Y does"),
    (cycle(1, 2, 3), "boolean", "kinds: column 'a' can't be a boolean: a boolean has two values; got 3, such as '1', "
     "'2', '3'"),
]  # fmt: skip


@pytest.mark.parametrize(("cells", "kind", "message"), REFUSED, ids=range(len(REFUSED)))
def test_a_kind_that_cannot_be_is_refused(cells, kind, message):
    with pytest.raises(ConfigError) as caught:
        look(cells, kinds={"a": kind})
    assert str(caught.value) == message


def test_a_kind_for_a_column_that_is_not_there_is_refused():
    with pytest.raises(ConfigError) as caught:
        TableEncoder(kinds={"agee": "category"}).fit(pd.DataFrame({"age": [1, 2], "b": [3, 5]}))
    assert str(caught.value) == "kinds: the table has no column 'agee'; did you mean 'age'? Columns: age, b"


def test_an_infinite_number_is_refused():
    with pytest.raises(NumericError) as caught:
        look(np.where(np.arange(ROWS) == 17, -np.inf, VALUES))
    assert str(caught.value) == "column 'a', row 17: the number is infinite; correct it, or make it missing"


def test_nothing_left_to_learn_from_is_refused():
    with pytest.raises(ConfigError) as caught:
        TableEncoder().fit(pd.DataFrame({"a": [1, 1], "b": [None, None]}))
    assert str(caught.value) == (
        "no column is left to learn from ('a': all cells are '1'; 'b': all cells are missing); "
        "say what they are: kinds={'name': 'category'}"
    )
    with pytest.raises(ConfigError, match="there are no columns, or no rows, to learn from"):
        TableEncoder().fit(pd.DataFrame({"a": []}).drop(columns="a"))


def test_what_is_doubtful_is_told(caplog):
    frame = pd.DataFrame(
        {"n": np.arange(ROWS), "price": cycle("1,5", "2,75"), "beside": VALUES, "plain": cycle("a", "b")}
    )
    TableEncoder().fit(frame)
    assert caplog.messages == [
        "column 'n' is taken as row number and is left out: whole numbers that count the rows "
        "(to use it: kinds={'n': 'number'}, or --column 'n=number')",
        "column 'price' is taken as number: numbers written as 1.234,5",
    ]
    caplog.clear()
    TableEncoder().fit(frame, tell=False)
    assert caplog.messages == []


def test_the_summary_shows_examples():
    row = look(cycle("x" * 50, None, "red", "green", "blue"))
    assert row.examples == ("x" * 37 + "...", "red", "green")
