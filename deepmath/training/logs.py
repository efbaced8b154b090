"""Callbacks that write one line for each epoch to a file, which goes on where a resumed run goes on."""

from __future__ import annotations

import abc
import csv
import io
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deepmath.errors import FormatError
from deepmath.storage import write_whole
from deepmath.training.callbacks import Callback, Run

Row = dict[str, Any]


class EpochLog(Callback):
    """A file with a line for each epoch: its number from 1, then losses and metrics.

    A run that begins anew replaces the file. One that goes on (`resume`, or `initial_epoch`) keeps the lines of
    the epochs that are done, takes those that the file lacks from the history, and drops later ones and a line
    that was cut. Each line is on disk, as far as the system goes, before the next epoch begins.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._rows: dict[int, Row] = {}
        self._names: list[str] = []

    @abc.abstractmethod
    def text(self, rows: Sequence[Row], names: Sequence[str]) -> str:
        """Lines for epochs; `names` are the columns of the file."""

    @abc.abstractmethod
    def begin(self, names: Sequence[str]) -> str:
        """What stands in front of the first epoch."""

    @abc.abstractmethod
    def parse(self, text: str) -> list[Row]:
        """The rows of a file; a last line that was cut is left out."""

    def on_train_begin(self, run: Run) -> None:
        found = self._read() if run.epoch else []
        self._rows = {row["epoch"]: row for row in found if row["epoch"] <= run.epoch}
        for i, epoch in enumerate(run.history.epoch):
            self._rows[epoch + 1] = {"epoch": epoch + 1} | {n: v[i] for n, v in run.history.history.items()}
        self._names = list(dict.fromkeys(name for row in self._rows.values() for name in row))
        self._write_all()

    def on_epoch_end(self, run: Run, logs: dict[str, float]) -> None:
        row: Row = {"epoch": run.epoch} | {n: float(v) for n, v in logs.items()}
        self._rows[run.epoch] = row
        added = [name for name in row if name not in self._names]
        self._names += added
        if added:  # the header changes: the first epoch, or validation that began later
            self._write_all()
            return
        with open(self.path, "a", encoding="utf-8", newline="") as file:
            file.write(self.text([row], self._names))

    def _read(self) -> list[Row]:
        if not self.path.exists():
            return []
        try:
            return self.parse(self.path.read_text(encoding="utf-8"))
        except (ValueError, KeyError, TypeError) as error:
            raise FormatError(
                f"{type(self).__name__}: {self.path} is no log of epochs that a run could go on with ({error}). "
                "Give another path, or move the file away."
            ) from error

    def _write_all(self) -> None:
        rows = [self._rows[epoch] for epoch in sorted(self._rows)]
        content = (self.begin(self._names) if self._names else "") + self.text(rows, self._names)
        write_whole(self.path, content.encode())


class CSVLogger(EpochLog):
    """A table in a text file: a header, then a line for each epoch. A missing number is an empty cell.

    Numbers are written so that they read back the same; NaN and infinities as `nan`, `inf` and `-inf`.
    """

    def begin(self, names: Sequence[str]) -> str:
        return _csv_line(names)

    def text(self, rows: Sequence[Row], names: Sequence[str]) -> str:
        return "".join(_csv_line([_shown(row[n]) if n in row else "" for n in names]) for row in rows)

    def parse(self, text: str) -> list[Row]:
        rows = list(csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1])))
        return [{n: int(v) if n == "epoch" else float(v) for n, v in row.items() if v} for row in rows if row["epoch"]]


class JSONLinesLogger(EpochLog):
    """A JSON object in each line: {"epoch": 1, "loss": 0.25, ...}. NaN and infinities, which JSON lacks, are strings.

    >>> JSONLinesLogger("log.jsonl").text([{"epoch": 1, "loss": math.nan}], [])
    '{"epoch": 1, "loss": "nan"}\\n'
    """

    def begin(self, names: Sequence[str]) -> str:
        return ""

    def text(self, rows: Sequence[Row], names: Sequence[str]) -> str:
        return "".join(json_line(row) for row in rows)

    def parse(self, text: str) -> list[Row]:
        lines = text[: text.rfind("\n") + 1].splitlines()
        return [{n: int(v) if n == "epoch" else float(v) for n, v in json.loads(line).items()} for line in lines]


def json_line(row: Row) -> str:
    """One object as a line of JSON, with numbers that JSON lacks as strings."""
    return json.dumps(_strict(row), allow_nan=False) + "\n"


def _strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {n: _strict(v) for n, v in value.items()}
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _csv_line(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _shown(value: Any) -> str:
    return str(value) if isinstance(value, int) else repr(float(value))
