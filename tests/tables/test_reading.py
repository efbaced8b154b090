"""Files are read for what they hold, the same whole and in chunks, and random tables come back cell by cell."""

import csv
import datetime as dt
import gzip
import io
import itertools
import logging

import numpy as np
import polars as pl
import pytest

from deepmath.errors import ConfigError
from deepmath.tables import blocks, read_table, scan_table
from deepmath.tables.frames import frame_of


def cells(frame):
    return {name: frame.column(name).values.tolist() for name in frame.names}


def same(one, two):
    """NaN is as good as NaN."""
    return str(one) == str(two)


def in_chunks(path, rows, **options):
    scan = scan_table(path, rows, **options)
    frames = list(scan)
    assert sum(frame.rows for frame in frames) == scan.rows
    assert all(frame.rows == rows for frame in frames[:-1])
    assert len({tuple(str(frame.native.schema).split()) for frame in frames}) == 1
    parts = {name: [frame.column(name).values.tolist() for frame in frames] for name in scan.names}
    return {name: list(itertools.chain.from_iterable(lists)) for name, lists in parts.items()}


NAN = float("nan")
FILES = {
    "plain": ("a,b\n1,2\n3,4\n", {"a": [1.0, 3.0], "b": [2.0, 4.0]}),
    "no last line end": ("a,b\n1,2", {"a": [1.0], "b": [2.0]}),
    "windows": ("a,b\r\n1,x\r\n\r\n3,y\r\n", {"a": [1.0, 3.0], "b": ["x", "y"]}),
    "byte-order mark": (b"\xef\xbb\xbfa,b\n1,2\n", {"a": [1.0], "b": [2.0]}),
    "semicolons": ("a;b\n1,5;2\n3,25;4\n", {"a": ["1,5", "3,25"], "b": [2.0, 4.0]}),
    "tabs": ("a\tb\n1,5\t2 000\n", {"a": ["1,5"], "b": ["2 000"]}),
    "bars": ("a|b\n1|x, y\n", {"a": [1.0], "b": ["x, y"]}),
    "quotes": ('"a","b"\n"x, y","1"\n"q ""r""","2"\n', {"a": ["x, y", 'q "r"'], "b": [1.0, 2.0]}),
    "blanks around quotes": ('a, b\n "x, y" , 1\n"z","2"\n', {"a": ["x, y", "z"], "b": [1.0, 2.0]}),
    "line ends in quotes": ('a,b\n"m\nn",1\n"o",2\n', {"a": ["m\nn", "o"], "b": [1.0, 2.0]}),
    "blank lines": ("\n\na,b\n\n1,2\n   \n3,4\n\n", {"a": [1.0, 3.0], "b": [2.0, 4.0]}),
    "missing": ("a,b\n1,x\n,\n nan , nan \n", {"a": [1.0, NAN, NAN], "b": ["x", None, "nan"]}),
    "words for missing": ("a,b\n1,NA\nN/A,NA\n?,x\n#DIV/0!,y\n", {"a": [1.0] + [NAN] * 3, "b": ["NA", "NA", "x", "y"]}),
    "only words": ("a,b\nNA,1\nnull,2\n", {"a": ["NA", "null"], "b": [1.0, 2.0]}),
    "words far down": ("a,b\n" + "1,2\n" * 40 + "x,3\n", {"a": ["1"] * 40 + ["x"], "b": [2.0] * 40 + [3.0]}),
    "codes": ("a,b\n00501,1\n10001,2\n", {"a": ["00501", "10001"], "b": [1.0, 2.0]}),
    "beyond 2^53": ("a,b\n9007199254740993,1e300\n1,2\n", {"a": ["9007199254740993", "1"], "b": [1e300, 2.0]}),
    "at 2^53": ("a\n9007199254740992\n1\n", {"a": [2.0**53, 1.0]}),
    "how numbers are written": ("a\n+1\n-.5\n1.\n1e-3\n1E5\n0\n0.5\n", {"a": [1.0, -0.5, 1.0, 1e-3, 1e5, 0.0, 0.5]}),
    "no numbers": ("a,b,c\n1_000,0x1,1d\n", {"a": ["1_000"], "b": ["0x1"], "c": ["1d"]}),
    "infinite": ("a,b\ninf,1e400\n1,1\n", {"a": [np.inf, 1.0], "b": [np.inf, 1.0]}),
    "one column": ("a\n1\n\n3\n", {"a": [1.0, 3.0]}),
    "a name is missing": (",b\n0,x\n1,y\n", {"x0": [0.0, 1.0], "b": ["x", "y"]}),
    "umlauts": ("größe,b\nü,1\n", {"größe": ["ü"], "b": [1.0]}),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_read_for_what_it_holds(put, name):
    content, expected = FILES[name]
    path = put(content)
    assert same(cells(read_table(path)), expected)
    for rows in (1, 2, 1000):
        assert same(in_chunks(path, rows), expected)
    assert same(
        cells(read_table(put(gzip.compress(content if isinstance(content, bytes) else content.encode())))), expected
    )


def test_what_counts_as_missing_and_as_text_can_be_said(put):
    path = put("a,b,c\n1,x,07\nunknown,y,8\n")
    assert same(cells(read_table(path)), {"a": ["1", "unknown"], "b": ["x", "y"], "c": ["07", "8"]})
    assert same(cells(read_table(path, na=["unknown", "y"])), {"a": [1.0, NAN], "b": ["x", None], "c": ["07", "8"]})
    assert same(cells(read_table(path, na="unknown", text=["a"]))["a"], ["1", None])
    assert same(in_chunks(path, 1, na="unknown", text=["a"])["a"], ["1", None])


def test_columns_are_chosen_in_the_order_given(put):
    path = put("a,b,c\n1,x,3\n4,y,6\n")
    for columns in (["c", "a"], ["b"], ["b", "c"]):
        assert list(cells(read_table(path, columns=columns))) == columns
        assert list(in_chunks(path, 1, columns=columns)) == columns
    for read in (lambda: read_table(path, columns=["d"]), lambda: scan_table(path, 1, columns=["d"])):
        with pytest.raises(ConfigError, match=r"t.csv has no column 'd'. Columns: a, b, c"):
            read()


def test_without_a_header(put):
    assert cells(read_table(put("1,x\n2,y\n"), header=False)) == {"x0": [1.0, 2.0], "x1": ["x", "y"]}
    assert in_chunks(put("1,x\n2,y\n"), 1, header=False) == {"x0": [1.0, 2.0], "x1": ["x", "y"]}


def test_a_header_of_numbers_is_told(put, caplog):
    with caplog.at_level(logging.WARNING, "deepmath"):
        read_table(put("1,2\n3,4\n"))
    assert caplog.messages == [
        "t.csv: the first line holds only numbers and is taken as names (use --no-header if it is data)"
    ]


def test_the_separator_can_be_said(put):
    path = put("a;b,c\n1;2,3\n")
    assert cells(read_table(path)) == {"a": [1.0], "b,c": ["2,3"]}
    assert cells(read_table(path, separator=",")) == {"a;b": ["1;2"], "c": [3.0]}
    with pytest.raises(ConfigError, match=r"separator must be one of tab, ';', '\|' or ','; got ' '"):
        read_table(path, separator=" ")


@pytest.mark.parametrize("size", [64, 1 << 22])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_random_tables_come_back(put, monkeypatch, size, separator):
    """Python's own writer says what stands in a file."""
    monkeypatch.setattr(blocks, "BLOCK", size)
    random = np.random.default_rng(len(separator) + size)
    letters = ["a", "Z", "é", " ", '"', "\n", ",", ";", "\t", "|", "0", "1", ".", "\r\n", "'"]
    for _ in range(20):
        width, rows = random.integers(2, 5), random.integers(1, 20)
        names = [f"c{i}" for i in range(width)]
        table = [["".join(random.choice(letters, random.integers(0, 6))) for _ in names] for _ in range(rows)]
        table = [[cell if any(row) else "x" for cell in row] for row in table]  # a row of nothing is a blank line
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter=separator, lineterminator="\n", quoting=int(random.integers(2)))
        writer.writerows([names, *table])
        path = put(text.getvalue())
        expected = {n: [row[i].strip() or None for row in table] for i, n in enumerate(names)}
        assert cells(read_table(path, separator=separator, text=names)) == expected
        assert in_chunks(path, 3, separator=separator, text=names) == expected


def test_numbers_come_back_to_the_last_bit(put):
    values = np.random.default_rng(0).standard_normal(500) * 10.0 ** np.arange(-250, 250)
    path = put("a\n" + "\n".join(map(repr, values.tolist())))
    assert read_table(path).column("a").values.tolist() == values.tolist()


def test_parquet_is_the_same_as_the_frame(put):
    table = pl.DataFrame(
        {
            "a": [1, 2, None, 4, 5],
            "b": ["x", None, "y", "", "nan"],
            "large": [2**60 + i for i in range(5)],
            "c": [True, None, False, True, True],
            "d": [dt.date(2020, 1, 1), None, dt.date(2021, 1, 1), dt.date(2020, 5, 5), dt.date(2020, 1, 1)],
            "e": pl.Series(["b", "a", "b", None, "a"], dtype=pl.Enum(["b", "a"])),
        }
    )
    table.write_parquet("t.parquet" if put("") else "")
    expected = cells(frame_of(table))
    assert expected["large"][0] == str(2**60)
    assert same(cells(read_table("t.parquet")), expected)
    assert same(in_chunks("t.parquet", 2), expected)
    assert list(cells(read_table("t.parquet", columns=["d", "a"]))) == ["d", "a"]
    assert list(in_chunks("t.parquet", 2, columns=["large", "a"])) == ["large", "a"]
    with pytest.raises(ConfigError, match=r"t.parquet has no column 'f'"):
        read_table("t.parquet", columns=["f"])


def test_a_chunk_has_rows():
    with pytest.raises(ConfigError, match="scan_table: rows_per_chunk must be at least 1; got 0"):
        scan_table(__file__, 0)
