"""read_csv: what it takes, and how it reads it."""

import csv
import io
import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepmath.datasets import read_csv
from deepmath.errors import FormatError


def test_numbers(write):
    table = read_csv(write("a,b,price\n1,2.5,10\n-3e2, 4 ,20.5\n"))
    assert table.X.tolist() == [[1.0, 2.5], [-300.0, 4.0]]
    assert table.y.tolist() == [10.0, 20.5]
    assert (table.X.dtype, table.y.dtype) == (np.float64, np.float64)
    assert (table.feature_names, table.target_name, table.classes) == (("a", "b"), "price", None)


@pytest.mark.parametrize("target", ["b", 1, -2])
def test_target_by_name_and_place(write, target):
    table = read_csv(write("a,b,c\n1,2,3\n4,5,6\n"), target=target)
    assert table.X.tolist() == [[1.0, 3.0], [4.0, 6.0]]
    assert table.y.tolist() == [2.0, 5.0]
    assert (table.feature_names, table.target_name) == (("a", "c"), "b")


@pytest.mark.parametrize("target", [["c", "a"], [2, 0], ("c", -3)])
def test_several_targets(write, target):
    table = read_csv(write("a,b,c\n1,2,3\n4,?,6\n"), target=target, na=["?"])
    np.testing.assert_array_equal(table.X, [[2.0], [np.nan]])
    assert table.y.tolist() == [[3.0, 1.0], [6.0, 4.0]]
    assert (table.feature_names, table.target_names, table.target_name) == (("b",), ("c", "a"), "c")
    assert table.classes is None


def test_a_list_of_one_target_keeps_its_axis(write):
    table = read_csv(write("1,2,3\n4,5,6\n"), target=[1], header=False)
    assert (table.X.tolist(), table.y.tolist()) == ([[1.0, 3.0], [4.0, 6.0]], [[2.0], [5.0]])
    assert table.target_names == ("x1",)


def test_text_labels_are_numbered_in_sorted_order(write):
    table = read_csv(write("a,kind\n1,pear\n2,apple\n3,7\n4,pear\n"))
    assert table.classes == ("7", "apple", "pear")
    assert table.y.tolist() == [2, 1, 0, 2]
    assert table.y.dtype == np.int64


def test_no_header(write):
    table = read_csv(write("1,2,3\n4,5,6\n"), header=False)
    assert table.X.tolist() == [[1.0, 2.0], [4.0, 5.0]]
    assert (table.feature_names, table.target_name) == (("x0", "x1"), "x2")


def test_a_header_of_numbers_is_noticed(write, caplog):
    with caplog.at_level(logging.WARNING, "deepmath"):
        read_csv(write("1,2\n3,4\n"))
    assert caplog.messages == [
        "data.csv: the first line holds only numbers and is taken as names (use --no-header if it is data)"
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_ends_blank_lines_quotes_and_byte_order_mark(write, end):
    lines = ["\ufeffa,b", "", ' 1 , "2"', "   ", '"3",4', ""]
    table = read_csv(write(end.join(lines)))
    assert table.feature_names == ("a",)
    assert table.X.tolist() == [[1.0], [3.0]]
    assert table.y.tolist() == [2.0, 4.0]


def test_missing_cells_become_nan(write):
    table = read_csv(write("a,b,c\n?,-999,1\n5,6, NA \n-999,,8\n"), na=["?", "NA", "", "-999"])
    np.testing.assert_array_equal(table.X, [[np.nan, np.nan], [5.0, 6.0], [np.nan, np.nan]])
    np.testing.assert_array_equal(table.y, [1.0, np.nan, 8.0])


def test_empty_cells_and_words_for_missing_are_missing(write):
    table = read_csv(write("a,b,c\n,n/a,1\n5,NaN,2\n"))
    np.testing.assert_array_equal(table.X, [[np.nan, np.nan], [5.0, np.nan]])


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_the_separator_is_found(write, separator):
    table = read_csv(write("a,b,c\n1,2,3\n".replace(",", separator)))
    assert (table.feature_names, table.X.tolist(), table.y.tolist()) == (("a", "b"), [[1.0, 2.0]], [3.0])


def test_one_text_as_na_is_one_cell_not_its_letters(write):
    table = read_csv(write("a,b\nNA,1\n2,3\n"), na="NA")
    np.testing.assert_array_equal(table.X, [[np.nan], [2.0]])


@settings(max_examples=50)
@given(
    st.lists(
        st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=3, max_size=3), min_size=1, max_size=20
    ),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
)
def test_what_csv_writes_is_read_back_exactly(tmp_path_factory, rows, end, quoting):
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end, quoting=quoting).writerows([["a", "b, c", "d"], *rows])
    path = tmp_path_factory.mktemp("round") / "data.csv"
    path.write_bytes(text.getvalue().encode())
    table = read_csv(path)
    assert table.feature_names == ("a", "b, c")
    np.testing.assert_array_equal(np.column_stack([table.X, table.y]), np.array(rows))


@settings(max_examples=300)
@given(st.binary(max_size=80) | st.text('a1.,"\n\r\0 _e-é;', max_size=80).map(str.encode))
def test_any_bytes_give_a_table_or_a_format_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("bytes") / "data.csv"
    path.write_bytes(content)
    for header in (True, False):
        try:
            table = read_csv(path, header=header)
        except FormatError as error:
            message = str(error)
        else:
            message = str(path)
            assert len(table.X) == len(table.y) > 0
            assert not np.isinf(table.X).any()
        assert str(path) in message
