"""`deepmath train`: what it writes, that its settings repeat it, and what the settings come from."""

import csv
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import deepmath as dm
from deepmath import datasets
from deepmath.callbacks import Checkpoint
from deepmath.cli.settings import DEFAULTS, Settings, for_table, resolve
from deepmath.errors import ConfigError
from deepmath.tables import ClassTarget


def weights(folder):
    return dm.load_model(Path(folder) / "model.safetensors").get_weights()


def same(a, b):
    return all(np.array_equal(v, w) for v, w in zip(weights(a), weights(b), strict=True))


def config(folder):
    return tomllib.loads((Path(folder) / "config.toml").read_text())


def test_a_run_leaves_model_history_settings_and_pictures(good):
    out = good("train", "circles", "--epochs", 3, "--out", "run")
    files = {p.name for p in Path("run").iterdir()}
    wanted = {"model.safetensors", "history.csv", "config.toml", "curves.png", "regions.png", "checkpoints"}
    assert files == wanted
    for name in ("curves.png", "regions.png"):
        assert Path("run", name).read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader(Path("run/history.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert list(rows[0]) == ["epoch", "loss", "cost", "accuracy", "learning_rate"]
    assert "2-4-6-6-4-1: relu, sigmoid output, 117 parameters" in out
    assert "circles: 1,000 rows, 2 features, 2 classes; 100 rows for the test" in out
    assert "epoch 3/3" in out
    assert "saved  run: model.safetensors, history.csv, config.toml, curves.png, regions.png" in out


def test_without_out_the_folder_is_named_after_the_data(good):
    good("train", "xor", "--epochs", 1)
    good("train", "xor", "--epochs", 1)
    folders = list(Path("runs").glob("xor-*"))
    assert len(folders) == 2
    assert all((f / "model.safetensors").exists() for f in folders)


@pytest.mark.parametrize(
    "options",
    [
        ("circles", "--epochs", 3),
        ("moons", "--epochs", 2, "--hidden", "5,3", "--activation", "tanh", "--dropout", 0.2, "--l2", 0.01),
        ("moons", "--epochs", 2, "--batch-norm", "--optimizer", "sgd", "--clip-norm", 0.5, "--accumulate", 2),
        ("xor", "--epochs", 4, "--precision", "float64", "--backend", "reference"),
        ("digits", "--epochs", 1, "--hidden", "none", "--validation-split", 0.25, "--batch-size", 50, "--seed", 7),
        ("flowers.csv", "--epochs", 2, "--test", 0.3),
        ("flowers.csv", "--epochs", 2, "--loss", "categorical_crossentropy", "--scale", 10),
        ("prices.csv", "--epochs", 2, "--target", "price"),
    ],
    ids=lambda o: " ".join(map(str, o)),
)
def test_the_settings_repeat_the_run(good, flowers, prices, options):
    good("train", *options, "--out", "first", "--quiet")
    assert good("train", "--config", "first/config.toml", "--out", "second", "--quiet") == ""
    assert same("first", "second")
    for name in ("config.toml", "history.csv"):
        assert Path("first", name).read_bytes() == Path("second", name).read_bytes()


def test_circles_and_digits_are_learned_with_the_defaults(good):
    for data, least in (("circles", 0.99), ("digits", 0.95), ("xor", 1.0)):
        good("train", data, "--out", data, "--quiet")
        lines = good("evaluate", data).splitlines()
        assert float(lines[-1].split()[1]) >= least


def test_labels_as_text_are_classes_on_standardised_features(good, flowers):
    out = good("train", "flowers.csv", "--out", "run")
    assert "3 classes; 24 rows for the test" in out
    assert "2-128-128-3: relu, softmax output" in out
    assert config("run")["loss"] == "sparse_categorical_crossentropy"
    model = dm.load_model("run/model.safetensors")
    assert model.target == ClassTarget(("iris", "lily", "rose"), "kind")
    assert model.preprocessing.encoding.features == ("width", "height")
    assert float(good("evaluate", "run").splitlines()[-1].split()[1]) == 1.0
    assert Path("run/regions.png").exists()


def test_the_mean_and_deviation_are_those_of_the_training_part(good, flowers):
    good("train", "flowers.csv", "--epochs", 1, "--validation-split", 0.25, "--out", "run", "--quiet")
    table = datasets.read_csv("flowers.csv")
    train = datasets.stratified_split(table.y, 0.2, 0)[0][:72]
    learnt = dm.load_model("run/model.safetensors").preprocessing.values()
    np.testing.assert_allclose(learnt["1.mean"], table.X[train].mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(learnt["1.deviation"], table.X[train].std(axis=0), rtol=1e-12)


def test_numbers_are_regression_and_told_in_their_own_unit(good, prices):
    out = good("train", "prices.csv", "--target", "price", "--epochs", 60, "--out", "run")
    assert config("run")["loss"] == "mse"
    target = dm.load_model("run/model.safetensors").target
    prices = datasets.read_csv("prices.csv", target="price").y
    train = datasets.split(200, 0.2, 0)[0][:144]
    assert (target.origin, target.size) == pytest.approx((prices[train].mean(), prices[train].std()), rel=1e-12)
    assert "2 columns, 2 inputs, a number to predict; 40 rows for the test" in out
    told = next(line for line in out.splitlines() if line.startswith("test"))
    assert 0 < float(told.split()[2]) < 0.1 * target.size
    assert told.split()[3:6] == ["of", "40", "rows,"]
    assert not Path("run/regions.png").exists()


@pytest.mark.parametrize(
    ("column", "loss", "outputs"),
    [
        (["0", "1"], "binary_crossentropy", 1),
        (["no", "yes"], "binary_crossentropy", 1),
        (["1", "2", "5"], "sparse_categorical_crossentropy", 3),
        (["0.5", "1", "2"], "mse", 1),
        (["1,5", "2,75", "3,5"], "mse", 1),
        (["True", "False"], "binary_crossentropy", 1),
    ],
)
def test_the_target_decides_the_loss(good, tmp_path, column, loss, outputs):
    rows = [f"{i / 7};{column[i % len(column)]}" for i in range(24)]
    (tmp_path / "d.csv").write_text("a;t\n" + "\n".join(rows) + "\n")
    good("train", "d.csv", "--epochs", 1, "--backend", "reference", "--out", "run", "--quiet")
    assert config("run")["loss"] == loss
    assert weights("run")[-1].shape == (outputs,)


def test_whole_numbers_are_told_about_unless_their_kind_is_said(deepmath, tmp_path):
    (tmp_path / "d.csv").write_text("a,t\n" + "\n".join(f"{i / 4},{i % 20 + 3}" for i in range(60)) + "\n")
    run = ("train", "d.csv", "--epochs", 1, "--backend", "reference", "--out")
    left = deepmath(*run, "a")
    taken = "the target 't' holds 20 different whole numbers, taken as numbers"
    assert f"deepmath: {taken}; if they are not: --column 't=category'\n" in left.stderr
    for out, options, loss in (
        ("b", ("--loss", "mse"), "mse"),
        ("c", ("--column", "t=number"), "mse"),
        ("d", ("--column", "t=category"), "sparse_categorical_crossentropy"),
    ):
        asked = deepmath(*run, out, *options)
        assert (asked.exit_code, asked.stderr) == (0, "")
        assert config(out)["loss"] == loss


def test_a_csv_file_without_a_header(good, tmp_path):
    (tmp_path / "d.csv").write_text("".join(f"{k},{i}.5,{-i}\n" for i in range(20) for k in ("a", "b")))
    good("train", "d.csv", "--no-header", "--target", 0, "--epochs", 1, "--out", "run", "--quiet")
    assert config("run")["target"] == "x0"
    assert "the test part, 8 rows of 40" in good("evaluate", "run")


def test_options_win_over_the_file_and_the_file_over_the_defaults(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text('data = "circles"\nepochs = 7\nhidden = [9]\n')
    chosen = resolve(None, {"epochs": 8, "hidden": None}, file)
    assert (chosen.data, chosen.epochs, chosen.hidden, chosen.test) == ("circles", 8, (9,), 0.1)
    assert resolve("moons", {}, file).data == "moons"


def test_every_default_is_a_setting_in_its_final_form():
    for data, defaults in DEFAULTS.items():
        assert resolve(data, {}) == Settings(data=data, **defaults)
    for rows in (1, 100, 10**4, 10**7):
        assert resolve("t.csv", {}, rows=rows) == Settings(data="t.csv", **for_table(rows))
    assert resolve("t.csv", {"optimizer": "sgd"}, rows=9).learning_rate is None


def test_resume_gives_the_bits_of_one_long_run(good):
    good("train", "circles", "--epochs", 6, "--dropout", 0.1, "--out", "whole", "--quiet")
    good("train", "circles", "--epochs", 2, "--dropout", 0.1, "--out", "parts", "--quiet")
    good("train", "--resume", "parts", "--epochs", 6, "--quiet")
    assert same("whole", "parts")
    assert Path("whole/history.csv").read_bytes() == Path("parts/history.csv").read_bytes()
    assert config("parts")["epochs"] == 6


def test_resume_into_another_folder_leaves_the_first_as_it_was(good):
    good("train", "xor", "--epochs", 2, "--out", "a", "--quiet")
    before = Path("a/model.safetensors").read_bytes()
    good("train", "--resume", "a", "--epochs", 4, "--out", "b", "--quiet")
    assert Path("a/model.safetensors").read_bytes() == before
    assert len(Path("b/history.csv").read_text().splitlines()) == 5


def test_resume_without_a_checkpoint_begins_anew_and_says_so(deepmath):
    result = deepmath("train", "xor", "--epochs", 1, "--resume", "run")
    assert result.exit_code == 0
    assert "deepmath: there is no checkpoint in run; training begins anew\n" in result.stderr
    assert Path("run/model.safetensors").exists()


def test_resume_refuses_another_network(good, failing):
    good("train", "xor", "--epochs", 2, "--out", "a", "--quiet")
    code, line = failing("train", "--resume", "a", "--hidden", 5, "--quiet")
    assert code == 2
    assert line.startswith("can't resume from a/checkpoints/step-2.safetensors: model was ")


def test_checkpoint_every_keeps_the_newest_two(good):
    good("train", "xor", "--epochs", 6, "--checkpoint-every", 1, "--out", "run", "--quiet")
    assert {p.name for p in Path("run/checkpoints").iterdir()} == {"step-5.safetensors", "step-6.safetensors"}


def test_checkpoint_seconds_saves_within_an_epoch(good, monkeypatch):
    monkeypatch.setattr(Checkpoint, "_is_due", lambda _: True)  # as after so many seconds
    made = []
    monkeypatch.setattr(Checkpoint, "__post_init__", told(made, Checkpoint.__post_init__))
    good("train", "xor", "--epochs", 6, "--checkpoint-seconds", 600, "--out", "run", "--quiet")
    assert [(c.seconds, c.every, c.epochs) for c in made] == [(600.0, None, None)]
    assert {p.name for p in Path("run/checkpoints").iterdir()} == {"step-5.safetensors", "step-6.safetensors"}
    assert config("run")["checkpoint_seconds"] == 600.0


def told(heard, method):
    def call(self):
        heard.append(self)
        method(self)

    return call


def test_on_nan_rolls_back(good, deepmath, prices):
    given = (
        "train",
        prices,
        "--target",
        "price",
        "--optimizer",
        "sgd",
        "--learning-rate",
        3,
        "--hidden",
        "none",
        "--epochs",
        40,
    )
    assert deepmath(*given, "--out", "stopped", "--quiet").exit_code == 76
    result = deepmath(*given, "--on-nan", "rollback", "--out", "run")
    assert result.exit_code == 0
    assert "of the learning rate (1 of at most 5 times)" in result.stderr
    assert config("run")["on_nan"] == "rollback"


def test_on_nan_skips(deepmath, tmp_path):
    lines = ["a,b", *(f"{i % 7},{i % 5}" for i in range(40)), "1e30,1"]
    (tmp_path / "spoilt.csv").write_text("\n".join(lines) + "\n")
    arguments = ("train", "spoilt.csv", "--scale", "none", "--test", 0, "--loss", "mse")
    arguments = (*arguments, "--validation-split", 0, "--epochs", 2, "--quiet")
    stopped = deepmath(*arguments, "--out", "stopped")
    assert stopped.exit_code == 76
    result = deepmath(*arguments, "--on-nan", "skip", "--out", "run")
    assert "1 left out so far" in result.stderr
    assert result.stderr.count("left out (") == 2


def test_a_folder_that_holds_a_run_is_not_overwritten(good, failing):
    good("train", "xor", "--epochs", 1, "--out", "run", "--quiet")
    code, line = failing("train", "xor", "--out", "run")
    assert code == 2
    assert line == ("train: --out run holds a run already; choose another folder, or go on with that run: --resume run")


def test_without_matplotlib_a_line_says_so(deepmath, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = deepmath("train", "xor", "--epochs", 1, "--out", "run")
    assert result.exit_code == 0
    needed = "pictures need the package 'matplotlib': pip install 'deepmath[plot]'"
    assert f"deepmath: curves.png is not drawn: {needed}\n" in result.stderr
    assert "saved     run: model.safetensors, history.csv, config.toml\n" in result.stdout


def test_a_run_that_diverges_leaves_no_checkpoint_to_go_on_from(failing):
    code, line = failing("train", "moons", "--optimizer", "sgd", "--learning-rate", 1e30, "--out", "run", "--quiet")
    assert code == 76
    assert "Try a lower learning rate" in line
    assert not list(Path("run").rglob("*.safetensors"))


def test_unknown_keys_name_the_nearest(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text('data = "circles"\nepoch = 7\n')
    with pytest.raises(ConfigError, match="unknown setting 'epoch' \\(did you mean 'epochs'\\?\\); known: "):
        resolve(None, {}, file)
