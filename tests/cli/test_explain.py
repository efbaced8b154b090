"""`deepmath explain step` and `deepmath explain graph`."""

import numpy as np
import pytest

from deepmath import Dense, Sequential


def test_without_options_it_is_the_step_of_article_5(good):
    page = good("explain", "step")
    assert page.startswith("One training step of a network 2-2-2\n")
    for digits in ("0.0495747634", "0.268375021542", "0.09686726"):
        assert digits in page


def test_formats_and_files(deepmath, good, tmp_path):
    assert good("explain", "step", "--format", "markdown").startswith("# One training step")
    for name, start in (("a.html", "<!doctype html>"), ("a.md", "# One"), ("a.txt", "One training step")):
        result = deepmath("explain", "step", "--example", "mazur", "--out", name)
        assert result.exit_code == 0, result.stderr
        assert result.stdout == ""
        assert f"deepmath: wrote {name}" in result.stderr
        assert (tmp_path / name).read_text(encoding="utf-8").startswith(start)
    good("explain", "step", "--format", "html", "--out", "b.txt")
    assert (tmp_path / "b.txt").read_text(encoding="utf-8") == good("explain", "step", "--format", "html")


def test_a_drawn_network_and_other_rules(good):
    rows = ("--optimizer", "adam", "--x", "1,2,3;4,5,6", "--y", "1,0;0,1")
    options = ("--network", "3-2-2", "--activation", "softmax", "--loss", "categorical_crossentropy", *rows)
    page = good("explain", "step", *options)
    assert "One training step of a network 3-2-2" in page
    assert "Adam(learning_rate=0.001), 2 rows" in page
    assert "x[2,3] = 6" in page
    assert page == good("explain", "step", *options)
    labels = ("--loss", "sparse_categorical_crossentropy", "--activation", "softmax", "--detail", "matrices")
    assert "L = " in good("explain", "step", "--network", "2-3", *labels)


def test_a_saved_model(good, tmp_path):
    model = Sequential([Dense(1, use_bias=False, input_dim=1)])
    model.set_weights([np.array([[3.0]])])
    model.compile("sgd", "mse")
    model.save(tmp_path / "m.safetensors")
    page = good("explain", "step", "--model", "m.safetensors", "--x", "2", "--y", "1", "--learning-rate", "0.1")
    assert "w1[1,1]' = w1[1,1] - rate * dE/dw1[1,1] = 3 - 0.1 * 20 = 1.00000000000" in page


def test_the_graph(good, tmp_path):
    page = good("explain", "graph", "--example", "mazur")
    assert "E = ((a2[1] - d[1])^2 + (a2[2] - d[2])^2) / 2 = 0.298371108760    dE/dE = 1.00000000000" in page
    good("explain", "graph", "--out", "g.svg")
    assert (tmp_path / "g.svg").read_text(encoding="utf-8").startswith("<svg")
    assert good("explain", "graph", "--format", "dot").startswith("digraph computation {")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--example", "mazu"],
         "unknown example 'mazu' (did you mean 'mazur'?); known: article2, article4, article5, mazur"),
        (["--network", "2"], "--network must be widths such as 2-3-1, from the inputs to the outputs; got '2'"),
        (["--network", "2-1", "--x", "1,b"],
         "--x must be numbers such as 0.1,0.2 with ; between rows of one length; got '1,b'"),
        (["--network", "2-1", "--model", "m"], "explain: give one of --example, --network and --model"),
        (["--model", "m"], "explain: --model needs its rows: --x NUMBERS and --y NUMBERS, or labels"),
        (["--x", "1,2,3"], "X has 3 features, but the model is expecting 2 features as input."),
        (["--detail", "all"], "explain_step: detail must be one of auto, weights, matrices; got 'all'"),
    ],
)  # fmt: skip
def test_failures_are_one_line(failing, options, message):
    assert failing("explain", "step", *options) == (2, message)


def test_an_odd_loss_needs_the_word(good, failing):
    network = ("explain", "step", "--network", "1-1-1", "--loss", "categorical_crossentropy")
    code, told = failing(*network)
    assert code == 2
    assert "the last layer has 1: use activation='softmax'" in told
    assert "--unusual of the command" in told
    assert "categorical_crossentropy" in good(*network, "--unusual")
