"""Whether a target is labels or numbers, what labels are the same, and what is refused."""

import json
import logging

import numpy as np
import pandas as pd
import polars as pl
import pytest

from deepmath.errors import ConfigError, FormatError, LabelError
from deepmath.tables import ClassTarget, NumberTarget, frame_of, missing_rows, read_target, target_of

ROWS = 1000
random = np.random.default_rng(0)

CLASSES = {
    "text": (["b", "a", "b"], ("a", "b")),
    "booleans": ([True, False, None], (False, True)),
    "two numbers": ([3, 2020, 3], (3, 2020)),
    "codes from 0": (np.arange(ROWS) % 10, tuple(range(10))),
    "codes from 1 with a gap": (np.array([1, 2, 4, 5, 6] * 20), (1, 2, 4, 5, 6)),
    "letters": (np.arange(ROWS) % 26, tuple(range(26))),
    "few whole numbers": (random.integers(3, 10, ROWS), tuple(range(3, 10))),
    "floats that are whole": (np.array([0.0, 1.0, 2.0] * 9), (0, 1, 2)),
    "yes and no": (["yes", "no"], ("no", "yes")),
    "text of whole numbers": (["1", "0", "1"], ("0", "1")),
    "ordered": (pd.Series(pd.Categorical(["hi", "lo"], categories=["lo", "mid", "hi"])), ("lo", "hi")),
    "enum": (pl.Series(["hi", "lo"], dtype=pl.Enum(["lo", "mid", "hi"])), ("lo", "hi")),
}
NUMBERS = {
    "fractions": np.array([1.5, 2.0, 3.0]),
    "ages": random.integers(17, 91, ROWS),
    "years": random.integers(1990, 2011, ROWS),
    "few years": random.integers(2008, 2016, ROWS),
    "prices": random.integers(300, 19_000, ROWS),
    "counts": random.poisson(40, ROWS),
    "a rank": np.arange(ROWS),
    "few rows": np.array([3, 1, 7, 12]),
    "text": ["1,5", "2,75", "NA"],
}


@pytest.mark.parametrize("name", CLASSES)
def test_classes(name):
    values, classes = CLASSES[name]
    target = target_of(values)
    assert isinstance(target, ClassTarget)
    assert target.classes == classes
    assert [type(c) for c in target.classes] == [type(c) for c in classes]


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers(name):
    assert isinstance(target_of(NUMBERS[name]), NumberTarget)


def test_whole_numbers_are_told_about(caplog):
    with caplog.at_level(logging.INFO, "deepmath"):
        target_of(np.arange(ROWS) % 26, "letter")
        target_of(random.integers(17, 91, ROWS), "age")
        target_of([0, 1, 1], "answer")
    assert caplog.messages == [
        "the target 'letter' holds 26 different whole numbers, taken as classes; if they are not: kind='number' "
        "(--column 'letter=number')",
        "the target 'age' holds 74 different whole numbers, taken as numbers; if they are not: kind='category' "
        "(--column 'age=category')",
    ]


def test_many_whole_numbers_are_numbers_without_a_word(caplog):
    with caplog.at_level(logging.INFO, "deepmath"):
        assert isinstance(target_of(np.arange(1000, 5000, 7), "price"), NumberTarget)
    assert caplog.messages == []


def test_text_that_may_be_meant_as_numbers_is_asked_about():
    values = [f"{v:.2f}" for v in np.linspace(1, 900, 60)] + ["on request", "NA"]
    with pytest.raises(LabelError) as caught:
        target_of(values, "price")
    assert str(caught.value) == (
        "the target 'price' holds numbers, and words among them such as 'on request' in row 60; correct them, or make "
        "them missing: na=['on request'] (--na 'on request'). If they are labels: kind='category' "
        "(--column 'price=category')"
    )
    assert len(target_of(values, "price", "category").classes) == 62
    few = ["1", "2", "3", "other"] * 30
    assert target_of(few).classes == ("1", "2", "3", "other")


def test_numbers_that_may_be_read_in_two_ways_are_asked_about():
    with pytest.raises(LabelError) as caught:
        target_of(["1,250", "1,300", "2,100"], "price")
    assert str(caught.value) == (
        "the target 'price': '1,250' may mean 1250 or 1.25; say which: kind='number:1.234,5' (--column "
        "'price=number:1.234,5') or kind='number:1,234.5' (--column 'price=number:1,234.5') or kind='category' "
        "(--column 'price=category')"
    )
    assert target_of(["1,250", "1,300"], "price", "number:1,234.5").encode(["1,250"]).tolist() == [1250]


def test_text_that_hardly_comes_twice_is_no_label():
    values = [f"name {i % 150}" for i in range(200)]
    with pytest.raises(LabelError) as caught:
        target_of(values, "who")
    assert str(caught.value) == (
        "the target 'who' is text with 150 different values in 200 rows, which are no labels to learn; choose another "
        "column. If they are: kind='category' (--column 'who=category')"
    )
    assert len(target_of(values, "who", "category").classes) == 150


def test_the_kind_can_be_said():
    assert target_of([0, 1, 1], kind="number") == NumberTarget("y")
    assert target_of([1.5, 2.5], kind="category").classes == (1.5, 2.5)
    assert target_of(["1,250", "1,300"], kind="number:1,234.5").encode(["1,250"]).tolist() == [1250]
    assert target_of(["1", "2"], kind="number").encode(["2"]).tolist() == [2]
    assert target_of([True, False], kind="number").encode([True]).tolist() == [1]


def test_numbers_are_scaled_and_back():
    values = 2e5 + 2e4 * random.standard_normal(ROWS)
    target = target_of(values, scale=True)
    scaled = target.encode(values)
    assert abs(scaled.mean()) < 1e-12
    assert abs(scaled.std() - 1) < 1e-12
    np.testing.assert_allclose(target.decode(scaled), values, rtol=1e-14)
    assert target_of([7.5, 7.5], scale=True) == NumberTarget("y", 7.5, 1.0)
    assert np.isfinite(target_of([1.7e308, -1.7e308, 0.5], scale=True).size)


LABELS = [
    ((0, 1), [0, 1.0, np.int64(1), True, "1", "1.0", False], [0, 1, 1, 1, 1, 1, 0]),
    ((False, True), [True, 0, 1.0, "true", "no", "YES"], [1, 0, 1, 1, 0, 1]),
    (("0", "1"), [0, 1.0, "1", " 1 "], [0, 1, 1, 1]),
    (("no", "yes"), ["yes", "no"], [1, 0]),
    (("No", "Yes"), [True, False], [1, 0]),
    (("01", "1"), ["1", "01"], [1, 0]),
    ((1.5, 2), ["1.5", 2.0], [0, 1]),
    (("a", "nan"), ["nan", "a"], [1, 0]),
]


@pytest.mark.parametrize(("classes", "values", "codes"), LABELS, ids=range(len(LABELS)))
def test_labels_are_compared_by_what_they_mean(classes, values, codes):
    target = ClassTarget(classes)
    for value, code in zip(values, codes, strict=True):
        assert target.encode([value]).tolist() == [code], value
    assert target.decode(codes).tolist() == [classes[code] for code in codes]


@pytest.mark.parametrize(
    ("target", "values", "message"),
    [
        (ClassTarget(("a", "b"), "kind"), ["a", "c"], "kind: row 5 has the label 'c'; the model knows a, b"),
        (ClassTarget((0, 1)), [1, 2], "y: row 5 has the label '2'; the model knows 0, 1"),
        (ClassTarget((0, 1)), [1, 0.5], "y: row 5 has the label '0.5'; the model knows 0, 1"),
        (ClassTarget(tuple(range(30))), [1, "x"],
         "y: row 5 has the label 'x'; the model knows 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ... (30 in all)"),
        (ClassTarget(("a", "b")), ["a", None],
         "y: row 5 has no value (1 row has none); a target must be known: leave them out"),
        (NumberTarget("price"), [1, None],
         "price: row 5 has no value (1 row has none); a target must be known: leave them out"),
        (NumberTarget("price"), ["1", "NA"],
         "price: row 5 has no value (1 row has none); a target must be known: leave them out"),
        (NumberTarget("price"), ["1", "x"], "price: row 5 is 'x', which is not a number"),
        (NumberTarget("price"), [1, np.inf], "price: row 5 is infinite; correct it or leave it out"),
    ],
)  # fmt: skip
def test_what_a_model_cannot_learn_is_refused(target, values, message):
    for rows in (4, np.array([2, 5])):
        with pytest.raises(LabelError) as caught:
            target.encode(values, rows)
        assert str(caught.value) == message


@pytest.mark.parametrize(
    ("values", "kind", "error", "message"),
    [
        ([None, None], None, LabelError, "the target 'y' is missing in every row"),
        (["a", "a"], None, LabelError, "the target 'y' is 'a' in every row; there is nothing to tell apart"),
        ([True, True], None, LabelError, "the target 'y' is True in every row; there is nothing to tell apart"),
        (pd.to_datetime(["2020-01-01"]), None, LabelError,
         "the target 'y' holds dates; turn them into a number, such as days"),
        (["a", "b"], "number", LabelError, "the target 'y' can't be a number: it holds 'a', 'b'"),
        ([1, 2], "date", ConfigError, "the target 'y' can be a category or a number; got 'date'"),
    ],
)  # fmt: skip
def test_a_target_that_is_none_is_refused(values, kind, error, message):
    with pytest.raises(error) as caught:
        target_of(np.asarray(values) if kind is None and not isinstance(values, list) else values, kind=kind)
    assert str(caught.value) == message


def test_the_series_brings_its_name():
    assert target_of(pd.Series([1.5, 2.5], name="price")).name == "price"
    assert target_of(pd.Series([1.5, 2.5], name="price"), "cost").name == "cost"
    assert target_of(pl.Series("price", [1.5, 2.5])).name == "price"
    assert target_of(frame_of(pd.DataFrame({"p": ["a", "b"]})).column("p"), "p") == ClassTarget(("a", "b"), "p")


def test_rows_without_a_target_are_found():
    assert missing_rows(["a", None, "", "NA"]).tolist() == [1, 2]
    assert missing_rows(pd.Series([1.0, np.nan])).tolist() == [1]
    assert missing_rows(["1,5", "NA", None], target=target_of(["1,5"] * 2 + ["2,5"])).tolist() == [1, 2]


@pytest.mark.parametrize(
    "target",
    [ClassTarget(("a", "1"), "k"), ClassTarget((1, 2.5)), ClassTarget((False, True)), NumberTarget("p", 0.1, 1 / 3),
     target_of(["1.234,5", "7,25"])],
)  # fmt: skip
def test_the_description_survives_json(target):
    again = read_target(json.loads(json.dumps(target.config(), allow_nan=False)))
    assert again == target
    assert [type(c) for c in getattr(again, "classes", ())] == [type(c) for c in getattr(target, "classes", ())]


@pytest.mark.parametrize(
    "config",
    [
        "y",
        {"class": "Spelling"},
        {"class": "ClassTarget"},
        {"class": "ClassTarget", "classes": ["a", "a"]},
        {"class": "ClassTarget", "classes": ["a", 1]},
        {"class": "ClassTarget", "classes": [True, 1]},
        {"class": "NumberTarget", "name": "y", "size": 0.0},
        {"class": "NumberTarget", "name": None},
    ],
)
def test_a_description_that_is_none_is_refused(config):
    with pytest.raises(FormatError):
        read_target(config)
