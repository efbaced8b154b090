"""Files that are no tables: one line that names the file, and the line at fault; and no random change does more."""

import gzip
import io
import os
import threading
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from deepmath.errors import FormatError
from deepmath.tables import read_table, scan_table

MUTATIONS = 400


def refusal(path, **options):
    """What `read_table` says, which `scan_table` says too."""
    with pytest.raises(FormatError) as caught:
        read_table(path, **options)
    with pytest.raises(FormatError) as again:
        list(scan_table(path, 2, **options))
    assert str(again.value) == str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "t.csv: the file is empty; a header and rows are expected"),
        ("\n \n\t\n", "t.csv: the file is empty; a header and rows are expected"),
        ("a,b\n", "t.csv: a header and no rows"),
        ("a,b\n\n\n", "t.csv: a header and no rows"),
        ("a,b\n1,2\n1,2,3\n", "t.csv line 3: 3 fields, expected 2"),
        ("a,b\n1,2\n\n1\n", "t.csv line 4: 1 field, expected 2"),
        ('a,b\n"x\ny",2\n1\n', "t.csv line 4: 1 field, expected 2"),
        ("a,b,b\n1,2,3\n",
         "t.csv line 1: two columns are called 'b'; rename one (or use --no-header if the line is data)"),
        ("a,b\n1,2".encode("utf-16"), "t.csv: the text is UTF-16; save it as UTF-8"),
        (b"a,b\n1,\0\n", "t.csv line 2: a NUL byte; this is not a text file in UTF-8"),
        (b"a,b\n1,\xff\n", "t.csv line 2: byte 3 is not UTF-8; save the file as UTF-8"),
        ('a,b\n1,2\n"3,4\n5,6\n', "t.csv line 3: a quote is opened and never closed"),
        ('"a,b\n1,2\n', "t.csv line 1: a quote is opened and never closed"),
        ('a,b\n5" pipe,1\n6" pipe,1\n',
         "t.csv line 2: a quote within a cell; put the cell in quotes and write each quote in it twice"),
        ('a,b\n"x" "y",1\n',
         "t.csv line 2: a quote within a cell; put the cell in quotes and write each quote in it twice"),
        ("a,b\r1,2\r3,4\r", "t.csv line 1: a carriage return inside the line; save the file with ordinary line ends"),
        ("a,b\n" + "x" * 1_000_001 + ",1\n",
         "t.csv line 2: a record of more than 1,000,000 bytes; is this a CSV file, and are its quotes closed?"),
        ("a,b\n" + '"' + "1\n" * 3_000_000,
         "t.csv line 2: a record of more than 1,000,000 bytes; is this a CSV file, and are its quotes closed?"),
        (b"PK\x03\x04\0\0", "t.csv: this is a zip file, not a CSV or Parquet file; save the table as CSV (UTF-8)"),
        (b"PAR1" + b"x" * 50, "t.csv: the file can't be read; it is damaged or cut"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0)[:-6], "t.csv: the gzip file is damaged or cut (Compressed file ended"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_table_is_refused(put, content, message):
    assert refusal(put(content)).startswith(message)


def test_a_name_that_promises_parquet_is_believed(put):
    message = "t.parquet: this is not a Parquet file; it doesn't begin with PAR1"
    assert refusal(put("a,b\n1,2\n", "t.parquet")) == message


def test_a_parquet_file_without_rows_is_refused(put):
    put("")
    pl.DataFrame({"a": []}, schema={"a": pl.Int64}).write_parquet("t.parquet")
    assert refusal("t.parquet") == "t.parquet: a table without rows"


def test_what_unpacks_to_the_memory_s_end_is_refused(put, monkeypatch):
    monkeypatch.setattr("deepmath.tables.blocks.LARGE", 1 << 20)
    packed = gzip.compress(b"a,b\n" + b"1,2\n" * (1 << 20))
    assert refusal(put(packed)) == f"t.csv: {len(packed) / 1024:.1f} KiB unpack to more than 1.0 MiB; refused"


def test_a_directory_and_a_device_are_refused(tmp_path):
    assert refusal(tmp_path) == f"{tmp_path}: this is a directory, not a table"
    if Path("/dev/zero").exists():
        assert refusal("/dev/zero") == "/dev/zero: this is not a regular file, not a table"


def test_a_missing_file_is_an_error_of_the_system():
    with pytest.raises(FileNotFoundError):
        read_table("no_such_file.csv")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_without_a_writer_is_refused_at_once(tmp_path):
    path = tmp_path / "pipe.csv"
    os.mkfifo(path)
    messages = []
    thread = threading.Thread(target=lambda: messages.append(refusal(path)), daemon=True)
    thread.start()
    thread.join(timeout=20)
    assert messages == [f"{path}: this is not a regular file, not a table"]


def test_a_file_that_changes_between_two_readings_is_refused(put):
    scan = scan_table(put("a,b\n1,2\n3,4\n"), 1)
    put("a,b\n1,2\n")
    with pytest.raises(FormatError, match=r"t.csv: 1 rows, and 2 before; the file was changed meanwhile"):
        list(scan)


def mutated(content, random):
    """Flipped bits, other bytes, bytes put in or left out."""
    data = bytearray(content)
    for _ in range(random.integers(1, 4)):
        place = int(random.integers(len(data)))
        kind, end = random.integers(4), place + int(random.integers(1, 9))
        if kind == 0:
            data[place] ^= 1 << random.integers(8)
        elif kind == 1:
            data[place:end] = random.choice([b"\0", b"\xff", b'"', b"\n", b",", b"\r"]) * (end - place)
        elif kind == 2:
            data[place:place] = random.bytes(end - place)
        elif len(data) > 20:
            del data[place:end]
    return bytes(data)


def csv_bytes():
    return b'"size, m",age,kind\n' + b"".join(
        b'%d,%.3f,"%s"\n' % (i, i / 7, b"cat dog"[i % 2 * 4 :]) for i in range(12)
    )


def parquet_bytes():
    file = io.BytesIO()
    pl.DataFrame({"a": range(30), "b": ["x", "y"] * 15, "c": [0.5] * 30}).write_parquet(file)
    return file.getvalue()


@pytest.mark.parametrize(
    "content", [csv_bytes(), gzip.compress(csv_bytes(), mtime=0), parquet_bytes()], ids=["csv", "gz", "parquet"]
)
def test_random_changes_are_read_or_refused(put, content, capfd):
    random, refusals = np.random.default_rng(3), []
    read_table(put(content, "data"))
    for _ in range(MUTATIONS):
        path = put(mutated(content, random), "data")
        for read in (read_table, lambda path: list(scan_table(path, 5))):
            try:
                read(path)
            except FormatError as error:
                refusals.append(str(error))
    capfd.readouterr()  # Polars prints where it gave up
    assert MUTATIONS // 4 < len(refusals) < 2 * MUTATIONS
    assert all(m.startswith("data") and "\n" not in m and len(m) < 300 for m in refusals)
