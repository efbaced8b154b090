"""Code that stands alone is that of the package, with all that it uses and nothing that two things are called."""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest

from deepmath.export.codes import turn
from deepmath.export.standalone import standalone
from deepmath.tables.date_column import PARTS, turn_of
from deepmath.tables.encoders import NumberColumn, Place
from deepmath.tables.spelling import Spelling

BOXES = '''
"""Boxes."""
from __future__ import annotations

import dataclasses
import re

from deepmath.errors import ConfigError

LIMIT = {"small": 3}
WORDS = {"b", "a", "c"}
FORM = re.compile("[A-Z]+", re.ASCII | re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Box:
    """A box.

    Of no use.
    """

    size: int
    label: str = "box"

    def doubled(self) -> Nowhere:
        return min(LIMIT["small"], self.size * 2)

    def unused(self):
        return WORDS

    @property
    def name(self):
        if not FORM.fullmatch(self.label):
            raise ConfigError(self.label)  # noqa: EM101
        return self.label


FIRST = Box(1, "first")


def unbox(box: Box) -> Nowhere:
    return box.doubled(), box.name, FIRST.size, [word in WORDS for word in "ax"]
'''
OTHER = BOXES.replace("def unbox", "def second").replace('"small": 3', '"small": 4')


@pytest.fixture
def boxes(tmp_path, monkeypatch):
    """Two modules of the package, whose things have the same names."""
    found = []
    for name, text in (("boxes", BOXES), ("others", OTHER)):
        (tmp_path / f"{name}.py").write_text(text)
        spec = importlib.util.spec_from_file_location(f"deepmath.{name}", tmp_path / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        found.append(module)
    return found


def run(standing):
    names = {}
    exec("from __future__ import annotations\n" + "\n".join(standing.imports) + "\n" + standing.text, names)
    return names


def test_a_function_brings_what_it_uses(boxes):
    standing = standalone([boxes[0].unbox])
    names = run(standing)
    assert names["unbox"](names["Box"](1)) == (2, "box", 1, [True, False])
    assert names["unbox"](names["Box"](size=9, label="BIG")) == (3, "BIG", 1, [True, False])
    with pytest.raises(ValueError, match="1") as caught:
        names["unbox"](names["Box"](9, "1"))
    assert type(caught.value).__name__ == "ConfigError"
    assert "deepmath" not in standing.text
    assert "unused" not in standing.text
    assert "noqa" not in standing.text
    assert standing.imports == ("import re", "from collections import namedtuple")


def test_two_things_of_one_name_are_refused(boxes):
    with pytest.raises(TypeError, match=r"two things that are to stand alone are called .*; rename one"):
        standalone([boxes[0].unbox, boxes[1].second])


def test_the_text_is_the_same_in_every_process():
    code = (
        "from deepmath.export.standalone import standalone\n"
        "from deepmath.tables.date_column import DateColumn\n"
        "from deepmath.tables.dates import DateSpelling\n"
        "print(standalone([DateColumn, DateSpelling], ['write']))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, env=os.environ | {"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert len(texts) == 1
    assert b"re.ASCII" in texts.pop()


def test_what_python_shows_of_a_column_makes_it_again():
    names = run(standalone([NumberColumn, Spelling, Place], ["write"]))
    column = NumberColumn("a'\n", 1.5, words=("-9",))
    assert repr(eval(repr(column), names)) == repr(column)
    assert issubclass(names["NumericError"], ValueError)


@pytest.mark.parametrize("part", PARTS)
def test_the_parts_of_dates_by_whole_numbers_are_numpys(part):
    days = np.arange(np.datetime64("1580-01-01"), np.datetime64("2420-01-01")).astype("datetime64[us]")
    times = np.random.default_rng(0).integers(-(10**17), 10**17, 50_000).astype("datetime64[us]")
    for dates in (days, days + np.timedelta64(86_399_999_999, "us"), times):
        assert np.array_equal(turn(np, part, dates.astype(np.int64)), turn_of(part, dates))
