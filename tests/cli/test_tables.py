"""The command on a table as an analyst has it: found, trained, measured, used and exported without a word of advice."""

import csv
import gzip
import io
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cli.analysts import customers

import deepmath as dm
from deepmath import datasets
from deepmath.cli import memory

FAST = ("--epochs", 3, "--backend", "reference")
ON = ("--backend", "reference")

COLUMNS = """\
column       kind        becomes                   missing  notice
customer_id  row number  left out                           whole numbers that count the rows
name         name        left out                           all different
age          number      a number, missing             127
income       number      a number, missing              44  numbers written as 1.234,5
city         category    4 categories, missing          62
member       boolean     0 or 1
since        date        years, season, weekday
score        number      a number
country      constant    left out                           all cells are 'EU'
empty        empty       left out                    1,430  all cells are missing
remark       text        left out                           free text
outcome      target      2 classes: leaves, stays       14  14 rows without it are left out
"""


def table(text):
    return list(csv.DictReader(io.StringIO(text)))


def values(text):
    return {line.split()[0]: float(line.split()[1]) for line in text.splitlines()[1:]}


def test_the_columns_are_shown_alone(good, people):
    assert good("train", people, "--columns") == COLUMNS
    assert list(Path().iterdir()) == [Path(people)]


def test_it_is_trained_measured_used_and_exported_without_an_option(good, deepmath, people):
    done = deepmath("train", people, "--out", "run")
    assert (done.exit_code, done.stderr) == (0, "")
    text = done.stdout
    assert text.startswith(COLUMNS + "\n")
    assert "people.csv: 1,986 rows, 6 columns, 16 inputs, 2 classes; 397 rows for the test\n" in text
    assert "network   16-128-128-1: relu, " in text
    kept = next(line for line in text.splitlines() if line.startswith("kept"))
    assert kept.endswith(" of 100, the best on 159 held-out rows")
    measured = deepmath("evaluate", "run")
    assert measured.stdout.startswith(
        "data      people.csv: the test part, 397 rows of 1,986; 14 rows without a target\n"
    )
    assert values(measured.stdout)["accuracy"] > 0.8
    rows = table(good("predict", "run", people))
    assert len(rows) == 2000
    assert list(rows[0]) == ["prediction", "p_leaves", "p_stays"]
    true = customers()["outcome"]
    assert np.mean([row["prediction"] == t for row, t in zip(rows, true, strict=True) if t]) > 0.8
    for row in rows[:9]:
        shares = {name: float(row[f"p_{name}"]) for name in ("leaves", "stays")}
        assert sum(shares.values()) == pytest.approx(1, rel=1e-6)
        assert max(shares, key=shares.get) == row["prediction"]
    for name in ("net.py", "net.onnx", "net.h"):
        good("export", "run", "--out", name)
    names = {}
    exec(Path("net.py").read_text(), names)
    frame = pd.read_csv(people, sep=";", dtype={"income": str}, keep_default_na=False, na_values=[""])
    p = np.asarray(names["predict"](frame))[:, 0]
    np.testing.assert_allclose(p, [float(row["p_stays"]) for row in rows], rtol=1e-4, atol=1e-6)


def test_columns_are_found_by_name_and_the_model_alone_knows_them(good, deepmath, failing, run):
    wanted = good("predict", run, "people.csv", *ON)
    frame = pd.read_csv("people.csv", sep=";", dtype=str, keep_default_na=False)
    for i, other in enumerate((frame[frame.columns[::-1]], frame.drop(columns=["outcome", "remark", "customer_id"]))):
        other.to_csv(f"{i}.csv", index=False)
        assert good("predict", run, f"{i}.csv", *ON) == wanted
    frame.assign(more=1, again="x").to_csv("more.csv", index=False)
    told = deepmath("predict", run, "more.csv", *ON)
    notice = "more.csv: columns on which the model wasn't trained are passed over: 'more', 'again'"
    assert (told.stdout, told.stderr) == (wanted, f"deepmath: {notice}\n")
    Path("run/model.safetensors").rename("alone.safetensors")
    assert good("predict", "alone.safetensors", "people.csv", *ON) == wanted
    assert values(good("evaluate", "alone.safetensors", "people.csv", *ON))["accuracy"] > 0.5
    frame.drop(columns=["age", "member"]).to_csv("less.csv", index=False)
    lacking = "less.csv has no columns 'age', 'member', on which the model was trained. Columns: customer_id, name, "
    for command in ("predict", "evaluate"):
        code, line = failing(command, "alone.safetensors", "less.csv")
        assert (code, line[: len(lacking)]) == (2, lacking)


def test_words_for_missing_go_with_the_model(good, tmp_path):
    lines = ["a;t", *(f"{-999 if i % 5 == 0 else i / 8};{i % 2}" for i in range(80))]
    Path("d.csv").write_text("\n".join(lines))
    good("train", "d.csv", *FAST, "--na", "-999", "--out", "run", "--quiet")
    column = dm.load_model("run/model.safetensors").preprocessing.encoding.columns[0]
    assert column.indicator
    whole = good("predict", "run", "d.csv", *ON)
    Path("run/config.toml").unlink()
    Path("e.csv").write_text("\n".join(lines).replace("-999", ""))
    assert good("predict", "run", "d.csv", *ON) == whole == good("predict", "run", "e.csv", *ON)


def test_kinds_can_be_said(good, people):
    text = good(
        "train", people, "--columns", "--column", "customer_id=number", "--column", "city=out",
        "--column", "since=date:%d/%m/%Y", "--column", "income=number:1.234,5", "--column", "score=category",
        "--target", "member", "--column", "member=category",
    )  # fmt: skip
    lines = {line.split()[0]: " ".join(line.split()[1:]) for line in text.splitlines()}
    assert lines["customer_id"] == "number a number"
    assert lines["city"] == "out left out"
    assert lines["score"].startswith("category ")
    assert lines["outcome"] == "category 2 categories, missing 8"
    assert text.splitlines()[-1].split()[:5] == ["member", "target", "2", "classes:", "no,"]


def test_a_target_of_numbers_is_told_in_its_unit(good, people):
    text = good("train", people, "--target", "income", *FAST, "--out", "run")
    assert "\nincome       target      a number, " in text
    assert "1,942 rows, 6 columns, 17 inputs, a number to predict" in text
    told = values(good("evaluate", "run", *ON))
    assert set(told) >= {"loss", "rmse", "mae", "r2"}
    rows = table(good("predict", "run", "people.csv", *ON))
    assert (len(rows), list(rows[0])) == (2000, ["prediction"])
    assert 2000 < np.mean([float(row["prediction"]) for row in rows]) < 5000


def test_what_only_the_test_part_has_was_not_learnt(good):
    labels = np.arange(280) % 2
    letters = np.array(list("abcdef"))[np.arange(280) % 6].astype(object)
    train, test = datasets.stratified_split(labels, 0.2, 0)
    letters[test[:9]] = "zz"
    letters[train[-20:]] = "yy"  # these measure each epoch
    rows = [f"{letter},{i % 7},{t}" for i, (letter, t) in enumerate(zip(letters, labels, strict=True))]
    Path("d.csv").write_text("letter,n,t\n" + "\n".join(rows))
    good("train", "d.csv", *FAST, "--out", "run", "--quiet")
    known = dm.load_model("run/model.safetensors").preprocessing.encoding.columns[0]
    assert known.categories == tuple("abcdef")
    assert "the test part, 56 rows of 280" in good("evaluate", "run", *ON)
    Path("e.csv").write_text("letter,n\nzz,1\n,1\nqq,1\n")
    p = [float(row["p_1"]) for row in table(good("predict", "run", "e.csv", *ON))]
    assert p == pytest.approx([p[0]] * 3, rel=1e-5)


@pytest.mark.parametrize("ending", [".tsv", ".csv.gz", ".parquet"])
def test_other_kinds_of_files(good, people, ending):
    frame = customers(300)
    if ending == ".parquet":
        frame.to_parquet("d.parquet")
    elif ending == ".tsv":
        frame.to_csv("d.tsv", sep="\t", index=False)
    else:
        with gzip.open("d.csv.gz", "wt") as file:
            frame.to_csv(file, index=False)
    frame.to_csv("plain.csv", index=False)
    good("train", f"d{ending}", *FAST, "--out", "a", "--quiet")
    good("train", "plain.csv", *FAST, "--out", "b", "--quiet")
    first, second = good("predict", "a", *ON), good("predict", "b", *ON)
    assert first == second
    assert good("predict", "a", "plain.csv", *ON) == first
    assert "the test part, 60 rows of 299" in good("evaluate", "a", "plain.csv", *ON)


def test_a_file_larger_than_memory_gives_what_the_file_in_memory_gives(good, people, monkeypatch):
    run = ("train", people, *FAST, "--precision", "float64", "--keep", "last")
    text = good(*run, "--out", "small")
    monkeypatch.setattr(memory, "free_memory", lambda: 1 << 10)
    monkeypatch.setattr("deepmath.datasets.table_source.CHUNK_ROWS", 300)
    monkeypatch.setattr("deepmath.cli.using.CHUNK_ROWS", 300)
    assert good("train", people, "--columns") == COLUMNS
    large = good(*run, "--out", "large", "--report", "--diagnose")
    head = text.index("backend")
    assert large[:head] == text[:head]
    configs = [tomllib.loads(Path(name, "config.toml").read_text()) for name in ("small", "large")]
    assert configs[0] == configs[1]
    for run_folder in ("small", "large"):
        assert "the test part, 397 rows of 1,986" in good("evaluate", run_folder, *ON)
    assert values(good("evaluate", "large", *ON))["accuracy"] > 0.7
    where = ("--precision", "float64", *ON)
    chunks = good("predict", "small", people, *where)
    good("predict", "small", people, *where, "--out", "p.csv")
    assert Path("p.csv").read_text() == chunks
    assert not list(Path().glob(".p.csv*"))
    monkeypatch.setattr(memory, "free_memory", lambda: 1 << 40)
    whole = good("predict", "small", people, *where)
    for a, b in zip(table(chunks), table(whole), strict=True):
        assert a["prediction"] == b["prediction"]
        assert float(a["p_stays"]) == pytest.approx(float(b["p_stays"]), rel=1e-12)
    assert (len(table(whole)), text.count("epoch 3/3")) == (2000, 1)


def test_the_share_of_memory_that_a_file_may_take(tmp_path, monkeypatch):
    assert memory.free_memory() > 1 << 20
    monkeypatch.setattr(memory, "free_memory", lambda: 4000)
    for name, size, large in (
        ("a.csv", 1000, False),
        ("a.csv", 1001, True),
        ("a.parquet", 201, True),
        ("a.csv.gz", 200, False),
    ):
        (tmp_path / name).write_bytes(b"x" * size)
        assert memory.is_large(str(tmp_path / name)) == large


def test_the_rate_falls_and_a_run_can_be_made_longer(good, people):
    good("train", people, *FAST, "--out", "run", "--quiet")
    rates = [float(row["learning_rate"]) for row in table(Path("run/history.csv").read_text())]
    first = tomllib.loads(Path("run/config.toml").read_text())["learning_rate"]
    assert rates == pytest.approx([first, first * 0.75, first * 0.25], rel=1e-12)
    assert "rate" not in dm.load_model("run/model.safetensors").values
    good("train", "--resume", "run", "--epochs", 5, "--quiet")
    rates = [float(row["learning_rate"]) for row in table(Path("run/history.csv").read_text())]
    assert rates[3:] == pytest.approx([first * (1 + np.cos(np.pi * e / 5)) / 2 for e in (3, 4)], rel=1e-12)


def test_training_stops_when_patience_ends(good, deepmath, people):
    done = deepmath("train", people, "--epochs", 40, "--patience", 1, "--decay", "none", "--learning-rate", 0.05, *ON)
    assert "deepmath: stopped early: val_loss was best" in done.stderr
    assert "kept   epoch " in done.stdout
    text = good("train", people, *FAST, "--keep", "last", "--validation-split", 0, "--out", "last")
    assert "\nkept" not in text
    assert "val_loss" not in Path("last/history.csv").read_text()


def test_a_report_and_a_diagnosis_and_a_check(good, people):
    text = good("train", people, *FAST, "--out", "run", "--report", "--diagnose")
    assert text.splitlines()[-1].split() == ["report", "run/report.html"]
    assert "people.csv: 1,986 rows, 6 columns, 16 inputs" in Path("run/report.html").read_text()
    assert Path("run/diagnosis.txt").exists()
    assert good("check", people, "--rows", 10, "--hidden", "4", "--quiet") == "the gradient is right\n"


def test_two_numbers_are_drawn_in_the_plane(good, people):
    frame = customers(200)[["age", "score", "outcome"]].dropna()
    frame.to_csv("two.csv", index=False)
    frame.assign(age=frame["age"].where(frame["age"] > 20)).to_csv("gaps.csv", index=False)
    assert "regions.png" in good("train", "two.csv", *FAST, "--out", "a")
    assert "regions.png" not in good("train", "gaps.csv", *FAST, "--out", "b")


def test_quiet_tells_what_is_left_out(deepmath, people):
    done = deepmath("train", people, *FAST, "--quiet")
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[0] == (
        "deepmath: column 'customer_id' is taken as row number and is left out: whole numbers that count the rows "
        "(to use it: --column 'customer_id=number')"
    )
    assert lines[2] == "deepmath: column 'income' is taken as number: numbers written as 1.234,5"
    assert len(lines) == 6
