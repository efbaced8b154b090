"""read_csv: the exact words with which it refuses."""

import os
import threading

import pytest

from deepmath.datasets import read_csv
from deepmath.errors import ConfigError, FormatError


NO_NUMBER = (
    "data.csv: column '{0}', row {1}: {2!r} is not a number; read_csv takes numbers. "
    "Use deepmath.tables.read_table, or na=[{2!r}] where it means missing"
)


def refusal(path, **options):
    with pytest.raises(FormatError) as caught:
        read_csv(path, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "data.csv: the file is empty; a header and rows are expected"),
        ("\n\n", "data.csv: the file is empty; a header and rows are expected"),
        ("a,b\n", "data.csv: a header and no rows"),
        ("a\n1\n", "data.csv: 1 column, expected at least a feature and a target"),
        ("a,b,c\n1,2,3\n\n1,2\n", "data.csv line 4: 2 fields, expected 3"),
        ("a,b\n1,2,3\n", "data.csv line 2: 3 fields, expected 2"),
        ('a,b\n"1\n",2\n1\n', "data.csv line 4: 1 field, expected 2"),
        ("age,b\n1,2\nfew,3\n", NO_NUMBER.format("age", 1, "few")),
        ("a,b\n1_000,2\n", NO_NUMBER.format("a", 0, "1_000")),
        ("a,b\n3,2\nvery good,2\n", NO_NUMBER.format("a", 1, "very good")),
        ("a,b\n00501,2\n", NO_NUMBER.format("a", 0, "00501")),
        ("a,b\n1,1e400\n", "data.csv: column 'b', row 0: infinite as a 64-bit number; correct the row"),
        ("a,b\n1,1\n-1e400,1\n", "data.csv: column 'a', row 1: infinite as a 64-bit number; correct the row"),
        ("a,b\n1,0.5\n2,x\n", NO_NUMBER.format("b", 1, "x")),
        ("a,b\n1,red\n2,\n", "data.csv: column 'b', row 1: a label is missing; remove the row"),
        (
            "a,a\n1,2\n",
            "data.csv line 1: two columns are called 'a'; rename one (or use --no-header if the line is data)",
        ),
        (b"a,b\n1,\x002\n", "data.csv line 2: a NUL byte; this is not a text file in UTF-8"),
        (b"a,b\n1,\xff\n", "data.csv line 2: byte 3 is not UTF-8; save the file as UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "data.csv: the text is UTF-16; save it as UTF-8"),
        ("a,b\n1,2\n".encode("utf-16-le"), "data.csv line 1: a NUL byte; this is not a text file in UTF-8"),
        ('a,b\n1,2\n3,"4\n', "data.csv line 3: a quote is opened and never closed"),
        ("a,b\r1,2\r", "data.csv line 1: a carriage return inside the line; save the file with ordinary line ends"),
        ('a,b\n"1"2,3\n', "data.csv line 2: a quote within a cell; put the cell in quotes and write each quote in it twice"),
    ],
)
def test_refusals(write, content, message):
    assert refusal(write(content)) == message


def test_a_missing_label_of_text_is_refused(write):
    message = "data.csv: column 'b', row 1: a label is missing; remove the row"
    assert refusal(write("a,b\n1,red\n2,?\n"), na=["?"]) == message


def test_a_long_cell_is_cut_in_the_message(write):
    assert f"column 'a', row 0: '{'x' * 40}' is not a number" in refusal(write("a,b\n" + "x" * 5000 + ",1\n"))


def test_a_place_far_down_and_far_right(write):
    rows = ["1,2,3,4,5,6,7,8"] * 1041
    header = "a,b,c,d,e,f,g,h"
    assert refusal(write("\n".join([header, *rows, "1,2,3,4,5,6,7"]))) == "data.csv line 1043: 7 fields, expected 8"


def test_a_long_line_is_refused_before_it_is_read(write):
    path = write("a,b\n")
    with open(path, "ab") as file:
        file.truncate(4)
        file.seek(4)
        file.write(b"1" * 1_000_001)
        file.truncate(2**33)  # the rest is a hole of 8 GiB, which nobody may read
    message = "data.csv line 2: a record of more than 1,000,000 bytes; is this a CSV file, and are its quotes closed?"
    assert refusal(path) == message


def test_a_record_over_many_lines_is_bounded_too(write):
    assert "a record of more than 1,000,000 bytes" in refusal(write("a,b\n" + '"1\n",' * 250_000))
    assert "data.csv line 2: a quote is opened and never closed" in refusal(write('a,b\n"' + "1\n" * 400_000))


def test_records_may_add_up_to_more_than_the_limit(write):
    row = ",".join(["1"] * 1000)
    assert read_csv(write("\n".join([row] * 600)), header=False).X.shape == (600, 999)


def test_a_directory_is_refused(tmp_path):
    assert refusal(tmp_path) == f"{tmp_path}: this is a directory, not a table"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_without_a_writer_is_refused_at_once(tmp_path):
    path = tmp_path / "pipe.csv"
    os.mkfifo(path)
    messages = []
    thread = threading.Thread(target=lambda: messages.append(refusal(path)), daemon=True)
    thread.start()
    thread.join(timeout=20)
    assert messages == [f"{path}: this is not a regular file, not a table"]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("agee", "read_csv: data.csv has no column 'agee'; did you mean 'age'? Columns: age, size, price"),
        ("zzz", "read_csv: data.csv has no column 'zzz'. Columns: age, size, price"),
        (3, "read_csv: data.csv has no column '3'. Columns: age, size, price"),
        (-4, "read_csv: data.csv has no column '-4'. Columns: age, size, price"),
        (["age", 7], "read_csv: data.csv has no column '7'. Columns: age, size, price"),
        (["age", 0], "read_csv: target=['age', 0] names a column twice; data.csv has 3 columns"),
        ([], "read_csv: target=[] names no column; data.csv has 3 columns"),
        ([0, 1, 2], "read_csv: target=[0, 1, 2] leaves no feature; data.csv has 3 columns"),
        (True, "read_csv: data.csv has no column 'True'. Columns: age, size, price"),
    ],
)
def test_an_unknown_target_is_refused(write, target, message):
    with pytest.raises(ConfigError) as caught:
        read_csv(write("age,size,price\n1,2,3\n"), target=target)
    assert str(caught.value) == message


def test_text_in_one_of_several_targets_is_refused(write):
    message = NO_NUMBER.format("b", 1, "x")
    assert refusal(write("a,b,c\n1,2,3\n4,x,6\n"), target=["b", "c"]) == message
    assert refusal(write("a,b,c\n"), target=["b", "c"]) == "data.csv: a header and no rows"


def test_many_columns_are_listed_in_part(write):
    names = [f"c{i}" for i in range(30)]
    with pytest.raises(ConfigError) as caught:
        read_csv(write(",".join(names) + "\n" + ",".join("1" * 30)), target="zzz")
    assert str(caught.value).endswith("c18, c19, ... (30 in all)")
