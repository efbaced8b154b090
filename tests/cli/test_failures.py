"""Every failure is one exact line and an exit code, never a traceback."""

# ruff: noqa: E501 - the lines are those that the command prints

from pathlib import Path

import pytest

CLOSE = "(Did you mean one of: '--epochs', '--keep', '--report'?)."
TRAIN_HELP = "See 'deepmath train --help'"


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (
            ("train", "circlez"),
            2,
            "load: no data set 'circlez'; did you mean 'circles'? Known: circles, moons, spirals, xor, houses, digits, "
            "mnist, or a path that ends in .csv, .parquet or .npz",
        ),
        (
            ("train",),
            2,
            "train: DATA is missing: give a data set (circles, moons, spirals, xor, houses, digits, mnist), a path that ends in .csv, .parquet or .npz, "
            "or --config FILE with a file that names one",
        ),
        (("train", "none.csv"), 66, "none.csv: no such file; check the path"),
        (("train", "xor", "--config", "none.toml"), 66, "none.toml: no such file; check the path"),
        (("train", "xor", "--epochs", "many"), 2, "--epochs must be a whole number >= 1; got 'many'"),
        (("train", "xor", "--epochs", "0"), 2, "--epochs must be a whole number >= 1; got '0'"),
        (("train", "xor", "--batch-size", "0"), 2, '--batch-size must be a whole number >= 1, or "full" for all rows; got \'0\''),
        (("train", "xor", "--test", "1"), 2, "--test must be a number >= 0 and < 1; got '1'"),
        (("train", "xor", "--learning-rate", "-1"), 2, "--learning-rate must be a number > 0; got '-1'"),
        (("train", "xor", "--l2", "nan"), 2, "--l2 must be a number >= 0; got 'nan'"),
        (("train", "xor", "--on-nan", "ignore"), 2, "--on-nan must be stop, rollback or skip; got 'ignore'"),
        (("train", "xor", "--checkpoint-seconds", "0"), 2, "--checkpoint-seconds must be a number > 0; got '0'"),
        (("train", "xor", "--seed", "4294967296"), 2, "--seed must be a whole number from 0 to 4294967295; got '4294967296'"),
        (("train", "xor", "--hidden", "4,0"), 2, "--hidden must be widths from 1 to 16777216, such as 64,32, or none; got '4,0'"),
        (("train", "xor", "--scale", "-2"), 2, "--scale must be none, standard, smooth, or a number > 0; got '-2'"),
        (("train", "xor", "--target", "a"), 2, "train: --target is for tables, and 'xor' is not one; leave it out"),
        (("train", "xor", "--no-header"), 2, "train: --no-header is for tables, and 'xor' is not one; leave it out"),
        (("train", "xor", "--column", "a=number"), 2, "train: --column is for tables, and 'xor' is not one; leave it out"),
        (("train", "xor", "--columns"), 2, "train: --columns is for tables, and 'xor' is not one; leave it out"),
        (("train", "t.csv", "--column", "a"), 2, "--column must be NAME=KIND, such as age=number or born=date:%d/%m/%Y; got 'a'"),
        (("train", "xor", "--decay", "line"), 2, "--decay must be none or cosine; got 'line'"),
        (("train", "xor", "--patience", "3"), 2, "train: --patience needs held-out rows, whose loss says which epoch is best; give --validation-split, such as 0.1"),
        (("train", "xor", "--keep", "best"), 2, "train: --keep needs held-out rows, whose loss says which epoch is best; give --validation-split, such as 0.1"),
        (("train", "xor", "--keep", "first"), 2, "--keep must be best or last; got 'first'"),
        (("train", "circles", "--validation-split", "0.9999"), 2, "--validation-split 0.9999 of 900 rows leaves none to train on"),
        (("train", "none.parquet"), 66, "none.parquet: no such file; check the path"),
        (("train", "xor", "--epoch", "3"), 2, f"No such option '--epoch'. {CLOSE} {TRAIN_HELP}"),
        (("train", "xor", "moons"), 2, f"Got unexpected extra argument (moons). {TRAIN_HELP}"),
        (
            ("train", "digits", "--loss", "binary_crossentropy"),
            65,
            "loss 'binary_crossentropy' tells two classes apart; digits has 10. Use --loss auto",
        ),
        (
            ("train", "xor", "--backend", "numpy", "--device", "cuda"),
            2,
            "backend 'numpy' computes on the CPU; got device 'cuda'. Use backend='cupy', or device='cpu'",
        ),
        (("evaluate", "nowhere", "xor"), 66, "nowhere: no such file; check the path"),
        (("predict", "nowhere", "xor"), 66, "nowhere: no such file; check the path"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, tuple) else "",
)  # fmt: skip
def test_the_line_and_the_code(failing, arguments, code, line):
    assert failing(*arguments) == (code, line)


@pytest.mark.parametrize("option", ["--optimizer", "--activation", "--loss"])
def test_unknown_names_are_told_with_the_known_ones(failing, option):
    code, line = failing("train", "xor", option, "nosuch")
    assert code == 2
    assert line.startswith(f"unknown {option[2:]} 'nosuch'; known: ")


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        ("epochs = 3\nepochs = 4\n", 65, "c.toml is not a TOML file: "),
        ("\xff", 65, "c.toml is not a TOML file: "),
        ('epochs = "ten"\n', 2, "c.toml: epochs must be a whole number >= 1; got 'ten'"),
        ("epochs = true\n", 2, "c.toml: epochs must be a whole number >= 1; got True"),
        ("epochs = 2.5\n", 2, "c.toml: epochs must be a whole number >= 1; got 2.5"),
        ('header = "no"\n', 2, "c.toml: header must be true or false; got 'no'"),
        ("na = 3\n", 2, "c.toml: na must be a list of texts; got 3"),
        ("hidden = [4, -1]\n", 2, "c.toml: hidden must be widths from 1 to 16777216, such as 64,32, or none; got [4, -1]"),
        ("data = 3\n", 2, "c.toml: data must be text; got 3"),
        ("learning_rat = 3\n", 2, "c.toml: unknown setting 'learning_rat' (did you mean 'learning_rate'?); known: "),
    ],
)  # fmt: skip
def test_files_of_settings(failing, tmp_path, content, code, line):
    (tmp_path / "c.toml").write_bytes(content.encode("latin-1"))
    found, text = failing("train", "xor", "--config", "c.toml")
    assert found == code
    assert text.startswith(line)


@pytest.mark.parametrize(
    ("content", "options", "code", "line"),
    [
        ("a,t\n1,x\n2,x\n", (), 65, "the target 't' is 'x' in every row; there is nothing to tell apart"),
        ("a,t\n1,\n2,\n", (), 65, "the target 't' is missing in every row"),
        ("a,t\n1,x\n2,y\n", ("--loss", "mse"), 2, "loss 'mse' needs numbers. In d.csv, the target 't' can't be a number: it holds 'x', 'y'"),
        ("a,t\n1,0.5\n2,1\n", ("--loss", "sparse_categorical_crossentropy"), 65, "loss 'sparse_categorical_crossentropy' needs labels; the target of d.csv holds numbers with fractions"),
        ("a,t\n1,x\n2,y\n3,z\n", ("--loss", "hinge"), 65, "loss 'hinge' tells two classes apart; d.csv has 3. Use --loss auto"),
        ("a,t\n1,x\n2,y\n", ("--target", "u"), 2, "--target: d.csv has no column 'u'. Columns: a, t"),
        ("a,t\n1,x\n2,y\n", ("--target", "7"), 2, "--target: d.csv has no column '7'. Columns: a, t"),
        ("a,t\n1,x\n2,y\n", ("--column", "u=number"), 2, "--column: d.csv has no column 'u'. Columns: a, t"),
        ("a,t\n1,x\n2,y\n", ("--column", "a=colour"), 2, "--column: 'a' can be one of number, category, boolean, date, date:%d/%m/%Y, number:1.234,5, text, name, row number, out; got 'colour'"),
        ("a,t\n1,x\n2,y\n", ("--column", "t=date"), 2, "the target 't' can be a category or a number; got 'date'"),
        ("a,t\n5,x\n5,y\n", (), 2, "no column is left to learn from ('a': all cells are '5'); say what they are: --column 'name=category'"),
        ("a,t\n1e999,x\n2,y\n3,x\n4,y\n5,x\n", (), 65, "column 'a', row 0: the number is infinite; correct it, or make it missing"),
        ("a\n1\n", (), 2, "d.csv has one column, 'a'; there must be one to learn from, and a target"),
        ("a,a\n1,2\n", (), 65, "d.csv line 1: two columns are called 'a'; rename one (or use --no-header if the line is data)"),
        ("a,t\n1,2,3\n", (), 65, "d.csv line 2: 3 fields, expected 2"),
    ],
)  # fmt: skip
def test_csv_files(failing, tmp_path, content, options, code, line):
    (tmp_path / "d.csv").write_text(content)
    assert failing("train", "d.csv", *options) == (code, line)


def test_a_damaged_model(good, failing):
    good("train", "xor", "--epochs", 1, "--out", "run", "--quiet")
    model = Path("run/model.safetensors")
    content = bytearray(model.read_bytes())
    content[-1] ^= 1
    model.write_bytes(content)
    line = "run/model.safetensors fails its SHA-256 check; the file was changed or damaged after saving."
    assert failing("evaluate", "run", "xor") == (65, line)
    assert failing("predict", "run", "xor") == (65, line)


def test_a_changed_config_of_a_run(good, failing):
    good("train", "xor", "--epochs", 1, "--out", "run", "--quiet")
    Path("run/config.toml").write_text('data = "xor"\n')
    code, line = failing("evaluate", "run")
    assert code == 65
    wanted = "run/config.toml: the table [fitted] of 'deepmath train' is missing or changed, or of an earlier version; train again"
    assert line == wanted


def test_columns_that_the_model_needs(good, failing, flowers):
    good("train", "flowers.csv", "--epochs", 1, "--out", "run", "--quiet")
    Path("d.csv").write_text("width,kind\n1,rose\n2,lily\n")
    line = "d.csv has no column 'height', on which the model was trained. Columns: width, kind"
    assert failing("evaluate", "run", "d.csv") == (2, line)
    assert failing("predict", "run", "d.csv") == (2, line)
    Path("e.csv").write_text("a,kind\n1,rose\n")
    line = "e.csv has no columns 'width', 'height', on which the model was trained. Columns: a, kind"
    assert failing("predict", "run", "e.csv") == (2, line)
    Path("f.csv").write_text("width,height\n1,2\n")
    line = "f.csv has no column 'kind', the target on which the model was trained. Columns: width, height"
    assert failing("evaluate", "run", "f.csv") == (2, line)


def test_debug_shows_the_traceback(deepmath):
    result = deepmath("--debug", "train", "circlez")
    assert result.exit_code == 2
    assert result.stderr.startswith("Traceback (most recent call last):")
    assert result.stderr.splitlines()[-1].startswith("deepmath: error: load: no data set 'circlez'")


def test_a_folder_that_cannot_be_made(failing, tmp_path):
    (tmp_path / "file").write_text("")
    code, line = failing("train", "xor", "--epochs", 1, "--out", "file/run", "--quiet")
    assert code == 74
    assert line == "cannot save file/run/config.toml: file is a file and no folder"
