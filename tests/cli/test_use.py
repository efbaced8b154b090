"""`deepmath evaluate` and `deepmath predict`: the same numbers as the library gives."""

import csv
import io
import math
from pathlib import Path

import numpy as np
import pytest

import deepmath as dm
from deepmath import datasets


def table(text):
    return list(csv.DictReader(io.StringIO(text)))


def values(text):
    return {line.split()[0]: float(line.split()[1]) for line in text.splitlines()[1:]}


@pytest.fixture
def circles(good):
    good("train", "circles", "--epochs", 4, "--seed", 3, "--out", "run", "--quiet")


def test_evaluate_measures_the_test_part_of_the_run(good, circles):
    X, y = datasets.circles(seed=3)
    _, X_test, _, y_test = datasets.train_test_split(X, y, 0.1, 3)
    wanted = dm.load_model("run/model.safetensors").evaluate(X_test, y_test)
    for command in (("evaluate", "run"), ("evaluate", "run", "circles"), ("evaluate", "run/model.safetensors")):
        text = good(*command)
        assert text.splitlines()[0] == "data      circles: the test part, 100 rows of 1,000"
        assert values(text) == pytest.approx(wanted, rel=1e-5)


def test_a_model_without_its_run_is_measured_on_all_rows(good, circles):
    Path("run/model.safetensors").rename("alone.safetensors")
    text = good("evaluate", "alone.safetensors", "circles")
    X, y = datasets.circles()
    assert text.splitlines()[0] == "data      circles: all 1,000 rows"
    assert values(text) == pytest.approx(dm.load_model("alone.safetensors").evaluate(X, y), rel=1e-5)
    assert list(table(good("predict", "alone.safetensors", "circles"))[0]) == ["prediction", "p_0", "p_1"]


def test_other_rows_are_all_measured(good, flowers):
    good("train", "flowers.csv", "--out", "run", "--quiet")
    lines = flowers.read_text().splitlines()
    Path("moved.csv").write_text("\n".join(lines) + "\n")
    Path("more.csv").write_text("\n".join([*lines, lines[1]]) + "\n")
    assert "moved.csv: the test part, 24 rows of 120" in good("evaluate", "run", "moved.csv")
    assert "more.csv: all 121 rows" in good("evaluate", "run", "more.csv")


def test_labels_and_columns_are_found_by_name(good, failing, flowers):
    good("train", "flowers.csv", "--out", "run", "--quiet")
    Path("two.csv").write_text("kind,height,width\nrose,0,0\nlily,4000,4\n")
    assert values(good("evaluate", "run", "two.csv", "--target", "kind"))["accuracy"] == 1.0
    Path("bad.csv").write_text("width,height,kind\n0,0,rose\n0,0,tulip\n")
    assert failing("evaluate", "run", "bad.csv") == (
        65,
        "bad.csv: row 1 has label 'tulip'; the model knows iris, lily, rose",
    )


@pytest.mark.parametrize(
    "content",
    [
        "width,height,kind\n0,0,?\n4,4000,?\n-4,4000,?\n",
        "width,height\n0,0\n4,4000\n-4,4000\n",
        "height,other,width\n0,7,0\n4000,7,4\n4000,7,-4\n",
    ],
    ids=["as trained", "no target", "another order"],
)
def test_predict_finds_the_features(good, flowers, content):
    good("train", "flowers.csv", "--out", "run", "--quiet")
    Path("new.csv").write_text(content)
    rows = table(good("predict", "run", "new.csv"))
    assert [row["prediction"] for row in rows] == ["rose", "lily", "iris"]
    for row in rows:
        shares = {name: float(row[f"p_{name}"]) for name in ("iris", "lily", "rose")}
        assert math.isclose(sum(shares.values()), 1.0, rel_tol=1e-5)
        assert max(shares, key=shares.get) == row["prediction"]


def test_predict_without_a_header_goes_by_place(good, tmp_path):
    Path("d.csv").write_text("".join(f"{i},{k},{-i}.25\n" for i in range(20) for k in ("a", "b")))
    good("train", "d.csv", "--no-header", "--target", 1, "--epochs", 1, "--out", "run", "--quiet")
    whole = good("predict", "run", "d.csv")
    Path("e.csv").write_text("".join(f"{i},{-i}.25\n" for i in range(20) for _ in "ab"))
    assert good("predict", "run", "e.csv") == whole


def test_predicted_numbers_are_in_the_targets_unit(good, prices):
    good("train", "prices.csv", "--target", "price", "--out", "run", "--quiet")
    rows = table(good("predict", "run"))
    read = datasets.read_csv("prices.csv", target="price")
    error = np.array([float(row["prediction"]) for row in rows]) - read.y
    assert np.mean(error**2) < 0.02 * np.var(read.y)
    told = values(good("evaluate", "run"))
    _, test = datasets.split(200, 0.2, 0)
    assert told["mse"] == pytest.approx(np.mean(error[test] ** 2), rel=1e-3)


def test_predict_writes_a_file_and_equals_the_library(deepmath, good, circles):
    shown = good("predict", "run", "circles")
    result = deepmath("predict", "run", "circles", "--out", "p.csv")
    assert (result.stdout, result.stderr) == ("", "deepmath: 1,000 predictions written to p.csv\n")
    assert Path("p.csv").read_text() == shown
    X, _ = datasets.circles(seed=3)
    wanted = dm.load_model("run/model.safetensors").predict(X)[:, 0]
    assert [float(row["p_inner"]) for row in table(shown)] == pytest.approx(wanted.tolist(), rel=1e-6)


def test_the_model_file_alone_knows_how_inputs_are_scaled(good):
    good("train", "digits", "--epochs", 2, "--out", "run", "--quiet")
    X, _ = datasets.digits()
    wanted = dm.load_model("run/model.safetensors").predict(X).argmax(axis=1)
    assert [int(row["prediction"]) for row in table(good("predict", "run"))] == wanted.tolist()


def test_a_model_predicts_without_its_owner_s_loss(good, failing):
    def fourth(xp, p, d):
        return xp.mean((p - d) ** 4, axis=-1, keepdims=True)

    X = np.linspace(-1.0, 1.0, 12).reshape(6, 2)
    model = dm.Sequential([dm.Dense(3, "tanh", input_dim=2), dm.Dense(1)])
    model.compile("sgd", fourth)
    model.save("own.safetensors")
    np.savetxt("rows.csv", np.column_stack([X, X[:, 0]]), delimiter=",", header="a,b,y", comments="")
    shown = good("predict", "own.safetensors", "rows.csv", "--backend", "reference")
    wanted = model.predict(X, backend="reference")[:, 0]
    assert [float(row["prediction"]) for row in table(shown)] == pytest.approx(wanted.tolist(), rel=1e-6)
    for command in (("evaluate", "own.safetensors", "rows.csv"), ("explain", "step", "--model", "own.safetensors")):
        rows = ("--x", "1,2", "--y", "1") if "explain" in command else ()
        code, told = failing(*command, *rows)
        assert code == 2
        assert "loss 'fourth' of this model isn't known here: load it by load_model(path, custom_objects=" in told
