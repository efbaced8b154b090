"""Tables that can't be read, rows that can't be used, and messages in the words of the command."""

import os
from pathlib import Path

import pytest

from deepmath.cli.screen import in_options


def test_rows_that_can_not_be_used_are_told_by_their_number(good, failing, run):
    lines = Path("people.csv").read_text().splitlines()
    cells = lines[7].split(";")
    cells[5] = "perhaps"
    Path("bad.csv").write_text("\n".join([*lines[:7], ";".join(cells)]))
    line = "bad.csv: column 'member', row 6: 'perhaps' is neither no nor yes, as in training; "
    assert failing("predict", run, "bad.csv") == (65, line + "correct it or make it missing")


HOSTILE = {
    "utf16": ("a,t\n1,x\n".encode("utf-16"), "t.csv: the text is UTF-16; save it as UTF-8"),
    "nul": (b"a,t\n1,\0x\n", "t.csv line 2: a NUL byte; this is not a text file in UTF-8"),
    "long": (b"a,t\n" + b"1" * 1_100_000 + b",x\n", "t.csv line 2: a record of more than 1,000,000 bytes; "),
    "ragged": (b"a,t\n1,x\n2\n", "t.csv line 3: 1 field, expected 2"),
    "empty": (b"", "t.csv: the file is empty; a header and rows are expected"),
    "header": (b"a,t\n", "t.csv: a header and no rows"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_one_line(failing, run, name):
    content, line = HOSTILE[name]
    Path("t.csv").write_bytes(content)
    code, text = failing("train", "t.csv")
    assert (code, text[: len(line)]) == (65, line)
    assert failing("predict", run, "t.csv")[0] == (2 if name in ("long", "ragged", "header") else 65)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_at_once(failing):
    os.mkfifo("t.csv")
    assert failing("train", "t.csv") == (65, "t.csv: this is not a regular file, not a table")


def test_messages_name_options():
    assert in_options("kinds: column 'd' can't be a date: no; give the format: kinds={'d': 'date:%d/%m/%Y'}") == (
        "--column: column 'd' can't be a date: no; give the format: --column 'd=date:%d/%m/%Y'"
    )
    text = "1,250 may be either; say which: kinds={'a': 'number:1,234.5'} or kinds={'a': 'number:1.234,5'}"
    assert in_options(f"{text} (--column 'a=number:1,234.5')") == (
        "1,250 may be either; say which: --column 'a=number:1,234.5' or --column 'a=number:1.234,5'"
    )
    assert in_options("missing: na=['x'] (--na 'x'). If: kind='category' (--column 't=category')") == (
        "missing: --na 'x'. If: --column 't=category'"
    )
