"""read_csv: the exact words with which it refuses."""

import os
import threading

import pytest

from deepmath.datasets import read_csv
from deepmath.errors import ConfigError, FormatError


def refusal(path, **options):
    with pytest.raises(FormatError) as caught:
        read_csv(path, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "data.csv: the file is empty; a header and rows of numbers are expected"),
        ("\n\n", "data.csv: the file is empty; a header and rows of numbers are expected"),
        ("a,b\n", "data.csv: a header and no rows"),
        ("a\n1\n", "data.csv line 1: 1 column, expected at least a feature and a target"),
        (
            "a;b\n1;2\n",
            "data.csv line 1: 1 column, expected at least a feature and a target; "
            "the file seems to be separated by semicolons: separate it by commas",
        ),
        ("a,b,c\n1,2,3\n\n1,2\n", "data.csv line 4: 2 fields, expected 3"),
        ("a,b\n1,2,3\n", "data.csv line 2: 3 fields, expected 2"),
        ('a,b\n"1\n",2\n1\n', "data.csv line 4: 1 field, expected 2"),
        (
            "age,b\n1,2\nn/a,3\n",
            "data.csv line 3, column 'age': 'n/a' is not a number (use --na n/a to treat it as missing)",
        ),
        ("age,b\n,2\n", "data.csv line 2, column 'age': '' is not a number (use --na '' to treat it as missing)"),
        (
            "age,b\nnan,2\n",
            "data.csv line 2, column 'age': 'nan' is not a number (use --na nan to treat it as missing)",
        ),
        (
            "a,b\n1_000,2\n",
            "data.csv line 2, column 'a': '1_000' is not a number (use --na 1_000 to treat it as missing)",
        ),
        (
            "a,b\nvery good,2\n",
            "data.csv line 2, column 'a': 'very good' is not a number (use --na 'very good' to treat it as missing)",
        ),
        (
            "a,b\n1,1e400\n",
            "data.csv line 2, column 'b': '1e400' is infinite as a 64-bit number; remove the row or correct it",
        ),
        (
            "a,b\n-1e400,1\n",
            "data.csv line 2, column 'a': '-1e400' is infinite as a 64-bit number; remove the row or correct it",
        ),
        ("a,b\n1,0.5\n2,x\n", "data.csv line 3, column 'b': 'x' is not a number (use --na x to treat it as missing)"),
        (
            "a,b\n1,red\n2,\n",
            "data.csv line 3, column 'b': '' is missing, and a row needs its label; remove the row",
        ),
        ("a,b\n1,2\n2,\n", "data.csv line 3, column 'b': '' is not a number (use --na '' to treat it as missing)"),
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
        ('a,b\n"1"2,3\n', "data.csv line 2: ',' expected after '\"'"),
    ],
)
def test_refusals(write, content, message):
    assert refusal(write(content)) == message


def test_a_missing_label_of_text_is_refused(write):
    assert refusal(write("a,b\n1,red\n2,?\n"), na=["?"]) == (
        "data.csv line 3, column 'b': '?' is missing, and a row needs its label; remove the row"
    )


def test_a_long_cell_is_cut_in_the_message(write):
    assert f"column 'a': '{'x' * 37}...' is not a number" in refusal(write("a,b\n" + "x" * 5000 + ",1\n"))


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
    assert "field larger than field limit" in refusal(write('a,b\n"' + "1\n" * 400_000))


def test_records_may_add_up_to_more_than_the_limit(write):
    row = ",".join(["1"] * 1000)
    assert read_csv(write("\n".join([row] * 600)), header=False).X.shape == (600, 999)


def test_a_directory_is_refused(tmp_path):
    assert refusal(tmp_path) == f"{tmp_path}: this is a directory, not a CSV file"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_without_a_writer_is_refused_at_once(tmp_path):
    path = tmp_path / "pipe.csv"
    os.mkfifo(path)
    messages = []
    thread = threading.Thread(target=lambda: messages.append(refusal(path)), daemon=True)
    thread.start()
    thread.join(timeout=20)
    assert messages == [f"{path}: this is not a regular file, not a CSV file"]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("agee", "read_csv: target='agee' is not a column of data.csv; did you mean 'age'? Columns: age, size, price"),
        ("zzz", "read_csv: target='zzz' is not a column of data.csv. Columns: age, size, price"),
        (3, "read_csv: target=3 is not a column of data.csv. Columns: age, size, price"),
        (-4, "read_csv: target=-4 is not a column of data.csv. Columns: age, size, price"),
        (["age", 7], "read_csv: target=7 is not a column of data.csv. Columns: age, size, price"),
        (["age", 0], "read_csv: target=['age', 0] names a column twice; data.csv has 3 columns"),
        ([], "read_csv: target=[] names no column; data.csv has 3 columns"),
        ([0, 1, 2], "read_csv: target=[0, 1, 2] leaves no feature; data.csv has 3 columns"),
        (True, "read_csv: target=True is not a column of data.csv. Columns: age, size, price"),
    ],
)
def test_an_unknown_target_is_refused(write, target, message):
    with pytest.raises(ConfigError) as caught:
        read_csv(write("age,size,price\n1,2,3\n"), target=target)
    assert str(caught.value) == message


def test_text_in_one_of_several_targets_is_refused(write):
    message = "data.csv line 3, column 'b': 'x' is not a number (use --na x to treat it as missing)"
    assert refusal(write("a,b,c\n1,2,3\n4,x,6\n"), target=["b", "c"]) == message
    assert refusal(write("a,b,c\n"), target=["b", "c"]) == "data.csv: a header and no rows"


def test_many_columns_are_listed_in_part(write):
    names = [f"c{i}" for i in range(30)]
    with pytest.raises(ConfigError) as caught:
        read_csv(write(",".join(names) + "\n" + ",".join("1" * 30)), target="zzz")
    assert str(caught.value).endswith("c18, c19, ... (30 in all)")
