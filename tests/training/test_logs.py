"""Logs of epochs: what stands in them, and that a resumed run goes on without repeating an epoch."""

import csv
import json
import math

import numpy as np
import pytest
from resuming import EPOCHS, Stop, train

from deepmath.callbacks import Checkpoint, CSVLogger, JSONLinesLogger
from deepmath.errors import FormatError
from deepmath.training.callbacks import Run
from deepmath.training.history import History


def read_csv(path) -> list[dict[str, float]]:
    with open(path, encoding="utf-8", newline="") as file:
        return [{n: float(v) for n, v in row.items() if v} for row in csv.DictReader(file)]


def read_lines(path) -> list[dict[str, float]]:
    def refuse(word: str) -> float:
        raise ValueError(f"{word} is not JSON")

    lines = path.read_text(encoding="utf-8").splitlines()
    return [{n: float(v) for n, v in json.loads(line, parse_constant=refuse).items()} for line in lines]


LOGGERS = [(CSVLogger, read_csv), (JSONLinesLogger, read_lines)]
both = pytest.mark.parametrize(("logger", "read"), LOGGERS)


def fake(epoch: int = 0, history: dict | None = None) -> Run:
    given = history or {}
    numbers = list(range(epoch)) if given else []
    return Run(None, History(dict(given), numbers), 9, 1, (), {}, epoch=epoch)


def write(callback, run: Run, *epochs: dict[str, float]) -> None:
    callback.on_train_begin(run)
    for logs in epochs:
        run.epoch += 1
        callback.on_epoch_end(run, logs)


@both
def test_the_file_is_the_history_to_the_bit(logger, read, tmp_path):
    path = tmp_path / "deep" / "log"
    history, _ = train("reference", logger(path))
    rows = read(path)
    assert [row.pop("epoch") for row in rows] == list(range(1, EPOCHS + 1))
    assert {n: [row[n] for row in rows] for n in rows[0]} == history.history


@both
@pytest.mark.parametrize("step", [10, 17, 30])
def test_a_resumed_run_repeats_no_epoch(logger, read, step, tmp_path):
    train("reference", logger(tmp_path / "whole"))
    path, folder = tmp_path / "log", tmp_path / "run"
    train("reference", logger(path), Checkpoint(folder, every=1), Stop(step))
    assert len(read(path)) == (step - 1) // 10  # stopped at its last step, an epoch ends after the stop
    train("reference", logger(path), Checkpoint(folder), resume=folder)
    assert path.read_bytes() == (tmp_path / "whole").read_bytes()


@both
def test_epochs_behind_the_checkpoint_and_a_cut_line_are_replaced(logger, read, tmp_path):
    path, folder = tmp_path / "log", tmp_path / "run"
    train("reference", logger(tmp_path / "whole"))
    train("reference", Checkpoint(folder, every=1), Stop(17))
    whole = (tmp_path / "whole").read_bytes()
    path.write_bytes(whole[:-9])  # the log of a longer run, whose last line was cut
    train("reference", logger(path), resume=folder)
    assert path.read_bytes() == whole


@both
def test_a_lost_log_is_written_anew_from_the_history(logger, read, tmp_path):
    folder = tmp_path / "run"
    train("reference", logger(tmp_path / "whole"))
    train("reference", Checkpoint(folder, every=1), Stop(25))
    train("reference", logger(tmp_path / "late"), resume=folder)
    assert (tmp_path / "late").read_bytes() == (tmp_path / "whole").read_bytes()


@both
def test_numbers_that_are_none_are_readable(logger, read, tmp_path):
    write(logger(tmp_path / "log"), fake(), {"loss": math.nan, "x": math.inf}, {"loss": -math.inf, "x": 0.1})
    first, second = read(tmp_path / "log")
    assert math.isnan(first["loss"])
    assert first["x"] == math.inf
    assert second == {"epoch": 2.0, "loss": -math.inf, "x": 0.1}
    write(logger(tmp_path / "log"), fake(epoch=1), {"loss": 1.0, "x": 2.0})
    assert [row["epoch"] for row in read(tmp_path / "log")] == [1.0, 2.0]
    assert math.isnan(read(tmp_path / "log")[0]["loss"])


@both
def test_every_line_is_on_disk_when_its_epoch_ends(logger, read, tmp_path):
    callback, run = logger(tmp_path / "log"), fake()
    for epoch in range(3):
        write(callback, run, {"loss": 1.0}) if epoch == 0 else None
        if epoch:
            run.epoch += 1
            callback.on_epoch_end(run, {"loss": 1.0})
        assert len(read(tmp_path / "log")) == epoch + 1


def test_the_header_keeps_its_order_and_grows(tmp_path):
    path = tmp_path / "log.csv"
    epochs = {"loss": 1.0, "b": 2.0}, {"b": 3.0, "loss": 4.0}, {"loss": 5.0, "val": np.float64(6)}
    write(CSVLogger(path), fake(), *epochs)
    assert path.read_text() == "epoch,loss,b,val\n1,1.0,2.0,\n2,4.0,3.0,\n3,5.0,,6.0\n"


@both
def test_a_new_run_replaces_the_file_and_initial_epoch_goes_on(logger, read, tmp_path):
    path = tmp_path / "log"
    write(logger(path), fake(), {"loss": 1.0}, {"loss": 2.0})
    write(logger(path), fake(epoch=2), {"loss": 3.0})
    assert [row["loss"] for row in read(path)] == [1.0, 2.0, 3.0]
    write(logger(path), fake(), {"loss": 4.0})
    assert [row["loss"] for row in read(path)] == [4.0]


@both
def test_a_file_that_is_no_log_is_not_overwritten_by_a_run_that_goes_on(logger, read, tmp_path):
    path = tmp_path / "notes"
    path.write_text("dear diary\ntoday\n")
    with pytest.raises(FormatError) as error:
        logger(path).on_train_begin(fake(epoch=1))
    text = str(error.value)
    assert text.startswith(f"{logger.__name__}: {path} is no log of epochs that a run could go on with (")
    assert text.endswith("Give another path, or move the file away.")
    assert path.read_text() == "dear diary\ntoday\n"
