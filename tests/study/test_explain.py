"""explain_step: the articles' digits, every layer and loss, and pages that other programs can read."""

import math
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from differences import network
from networks import ACTIVATIONS, LOSSES, OUTPUTS
from studied import model_of

from deepmath import Dense, Sequential, activations, datasets, errors, explain_step, layers, optimizers
from deepmath.layers import (
    Activation,
    BatchNormalization,
    Dropout,
    GaussianNoise,
    Layer,
    LayerNormalization,
    PReLU,
)
from deepmath.regularizers import L1, L2, MaxNorm
from deepmath.study import general, symbols
from deepmath.study.example import example, names
from deepmath.study.page import mathml

ARTICLE_5 = [
    "0.595078474", "0.598687660", "0.702307507", "0.714634132", "0.096867268", "-0.030878316641", "0.084557246343",
    "0.268375021542", "0.249681802892", "0.368486467138", "0.349376620041", "0.049574763409", "0.099447028176",
    "0.149149526818", "0.198894056352",
]  # fmt: skip
MAZUR = ["0.3775", "0.593269992", "0.75136507", "0.298371109", "0.082167041", "0.35891648", "0.149780716"]


def step_of(name, **settings):
    chosen = example(name)
    return explain_step(chosen.model, chosen.x, chosen.y, **settings)


@pytest.mark.parametrize(("name", "digits"), [("article5", ARTICLE_5), ("mazur", MAZUR)])
def test_the_printed_numbers_of_the_articles_are_there(name, digits):
    """Cut or rounded, as they are in print."""
    step = step_of(name)
    shown = [float(n) for n in re.findall(r"-?\d\.\d+(?:e-?\d+)?", step.text())]
    for printed in digits:
        places = len(printed.partition(".")[2])
        assert any(abs(n - float(printed)) < 10.0**-places for n in shown), printed


def calculated(text):
    """A formula of numbers in plain text, by Python."""
    functions = {"exp": math.exp, "ln": math.log, "sqrt": math.sqrt, "tanh": math.tanh, "max": max, "min": min}
    text = re.sub(r"\|([^|]*)\|", r"abs(\1)", text.replace("^", "**"))
    return eval(text, {"__builtins__": {}}, functions | {"abs": abs})


@pytest.mark.parametrize("name", ["article2", "article4", "article5", "mazur"])
def test_every_line_adds_up_as_it_is_printed(name):
    """What stands between the last two = of each line is evaluated: the reader's own check, to nine digits."""
    step = step_of(name)
    for equation in step.equations:
        assert calculated(equation.numbers.plain) == pytest.approx(equation.value, rel=1e-9, abs=1e-11)
        assert float(equation.result.plain) == pytest.approx(equation.value, rel=1e-11)
        assert equation.numbers.plain in step.text()
    assert len(step.equations) > 10


def test_nine_significant_digits_at_least():
    for equation in step_of("article5").equations:
        mantissa = equation.result.plain.partition("e")[0].replace("-", "").replace(".", "").lstrip("0")
        assert len(mantissa) >= 9


CHAINS = {
    "batch norm": network(Dense(2), BatchNormalization(), Activation("tanh"), Dense(1), outputs=1, rows=3),
    "layer norm": network(Dense(3), LayerNormalization(), Dense(1), outputs=1, rows=2),
    "noise": network(Dense(2, "relu"), GaussianNoise(0.2), Dropout(0.5), Dense(1), outputs=1, rows=2),
    "prelu": network(Dense(2), PReLU(), Dense(1), outputs=1, rows=2),
    "penalties": network(Dense(2, "tanh", kernel_regularizer=L2(0.1)), Dense(1, kernel_regularizer=L1(0.1)),
                         outputs=1, rows=2),
    "constraint": network(Dense(2, "tanh", kernel_constraint=MaxNorm(0.5)), Dense(1), outputs=1, rows=2),
    "weighted": network(Dense(2, "tanh"), Dense(2, "softmax"), loss="categorical_crossentropy", outputs=2, rows=5,
                        weighted=True),
    **{f"loss {name}": network(Dense(2, OUTPUTS.get(name, ("tanh",))[0]), loss=name, outputs=2, rows=2)
       for name in LOSSES},
    **{f"activation {name}": network(Dense(2, name), Dense(1), outputs=1, rows=1) for name in ACTIVATIONS},
}  # fmt: skip


@pytest.mark.parametrize("detail", ["weights", "matrices"])
@pytest.mark.parametrize("name", CHAINS)
def test_every_layer_and_loss_is_written(name, detail):
    case = CHAINS[name]
    step = explain_step(model_of(case), case.X, case.y, sample_weight=case.weights, detail=detail)
    assert bool(step.equations) == (detail == "weights"), step.text()
    for equation in step.equations:
        array = np.asarray(step.values.get(equation.left.place[0], np.nan), np.float64)
        if np.isfinite(array).all():
            place = equation.left.place[1]
            assert equation.value == pytest.approx(float(array[place] if array.shape else array), rel=1e-11, abs=1e-13)
    text = step.text()
    for heading in ("What is given", "Forward", "Loss", "Backward, by the chain rule", "Update", "Before and after"):
        assert f"\n{heading}\n" in text
    for layer in case.layers:
        assert f": {type(layer).__name__}\n" in text


def test_the_chains_have_every_layer():
    used = {type(layer) for case in CHAINS.values() for layer in case.layers}
    assert used == {getattr(layers, n) for n in layers.__all__ if n != "Layer"}


@pytest.mark.parametrize("name", [n for n in optimizers.names() if n != "lbfgs"])
def test_every_optimiser_s_rule_is_written_with_its_slots(name):
    model = example("article5").model
    model.compile(name, "mse")
    rule = optimizers.get(name)
    assert len(symbols.COEFFICIENTS[type(rule).__name__]) >= len(rule.coefficients(0))
    model.fit([[0.1, 0.2]], [[0.85, 0.3]], epochs=2, verbose=0, precision="float64", backend="reference")
    step = explain_step(model, [0.1, 0.2], [0.85, 0.3])
    assert "step 2" in step.text()
    for slot in rule.slots:
        assert f"{slot}[w1[1,1]]'" in step.text()
    model.fit([[0.1, 0.2]], [[0.85, 0.3]], verbose=0, precision="float64", backend="reference")
    np.testing.assert_allclose(step.values["new.0.kernel"], model.get_weights()[0], rtol=1e-12)


def test_clipping_and_frozen_layers():
    chosen = example("article5")
    chosen.model.compile(optimizers.SGD(1.0, clipnorm=0.01, clipvalue=0.05), "mse", rates={0: 0.0})
    step = explain_step(chosen.model, chosen.x, chosen.y)
    assert "Clipping" in step.text()
    assert "Parameter 0.kernel: frozen" in step.text()
    np.testing.assert_array_equal(step.values["new.0.kernel"], step.values["0.kernel"])
    clipped = np.concatenate([np.ravel(step.values[f"clipped.1.{n}"]) for n in ("kernel", "bias")])
    assert np.linalg.norm(clipped) == pytest.approx(0.01)


@pytest.mark.parametrize("name", general.IDENTITIES)
def test_the_slopes_of_the_textbooks_equal_those_that_are_used(name):
    z = np.linspace(-3.0, 3.0, 61)
    function = activations.get(name)
    y = function.value(np, z)
    np.testing.assert_allclose(general.IDENTITIES[name](np, y), function.slope(np, z, y), rtol=1e-12)


def test_markdown_has_balanced_formulas():
    text = step_of("article5").markdown()
    assert text.startswith("# One training step of a network 2-2-2")
    assert text.count("$$") % 2 == 0
    for formula in re.findall(r"\$\$\n(.*?)\n\$\$", text, re.S):
        assert formula.count("{") == formula.count("}")
        assert formula.count(r"\begin") == formula.count(r"\end")
    assert r"\frac{\partial E}{\partial w^{(1)}_{1,1}}" in text


def test_html_is_one_page_that_needs_nothing_else():
    page = step_of("article5").html()
    body = page[page.index("<main>") : page.index("</main>") + len("</main>")].replace("&nbsp;", " ")
    root = ElementTree.fromstring(body)
    math_elements = [e for e in root.iter() if e.tag.endswith("}math")]
    assert len(math_elements) > 100
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!#)""", page)
    assert "<script" not in page
    assert "url(" not in page
    anchors = set(re.findall(r'href="#(\w+)"', page))
    assert anchors <= set(re.findall(r'id="(\w+)"', page))
    assert "0.0495747634" in page
    assert not [e for e in root.iter() if e.tag.endswith("}merror")]


def test_html_says_what_is_missing(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "latex2mathml", None)
    with pytest.raises(errors.MissingExtra, match=r"pip install 'deepmath\[study\]'"):
        step_of("article5").html()


def test_a_larger_network_is_written_by_matrices():
    X, y = datasets.digits()
    model = Sequential([Dense(16, "relu"), Dense(10, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    step = explain_step(model, X[:32] / 16, y[:32])
    assert not step.equations
    norm = f"{np.linalg.norm(step.values['gradient.0.kernel']):#.12g}"
    assert re.search(rf"dE/dW1 +64 × 16 +{norm}", step.text())
    assert "<table>" in step.html()


class Odd(Layer):
    """Turns its inputs round, with a function that can't be followed."""

    def init(self, shape, draws):
        return {}, {}

    def apply(self, xp, params, state, x, bits, training):
        return xp.flip(x, axis=-1), lambda dy: (xp.flip(dy, axis=-1), {}), {}


def test_a_layer_that_cannot_be_followed_is_told_by_arrays():
    model = Sequential([Dense(2, input_dim=1), Odd()])
    model.compile("sgd", "mse")
    step = explain_step(model, [1.0], [0.0, 0.0])
    assert not step.equations
    assert "Written by arrays: xp.flip can't be followed number by number." in step.text()
    assert "Turns its inputs round, with a function that can't be followed." in step.text()


def test_a_learning_rate_means_plain_descent():
    chosen = example("article5")
    chosen.model.compile("adam", "mse")
    step = explain_step(chosen.model, chosen.x, chosen.y, 0.25)
    expected = step.values["0.kernel"] - 0.25 * step.values["gradient.0.kernel"]
    np.testing.assert_array_equal(step.values["new.0.kernel"], expected)
    np.testing.assert_array_equal(chosen.model.get_weights()[0], step.values["0.kernel"])


def test_refusals():
    chosen = example("article5")
    with pytest.raises(errors.ConfigError, match=r"explain_step: detail must be one of auto, weights, matrices"):
        explain_step(chosen.model, chosen.x, chosen.y, detail="all")
    with pytest.raises(errors.ConfigError, match=r"explain_step: learning_rate must be a number >= 0; got -1"):
        explain_step(chosen.model, chosen.x, chosen.y, -1)
    chosen.model.compile("lbfgs", "mse")
    with pytest.raises(errors.ConfigError, match=r"explain_step: LBFGS searches along a line"):
        explain_step(chosen.model, chosen.x, chosen.y)


def test_examples(tmp_path):
    assert set(names()) >= {"article2", "article4", "article5", "mazur"}
    with pytest.raises(errors.ConfigError, match=r"unknown example 'mazu' \(did you mean 'mazur'\?\)"):
        example("mazu")
    path = tmp_path / "own.toml"
    path.write_text("x = [[1]]\ny = [[1]]\nloss = 'mse'\nlayer = [{units = 1, width = 2}]\n")
    with pytest.raises(errors.ConfigError, match=r"unknown entry of .*own\.toml: layer 1 'width'"):
        example(str(path))
    path.write_text("x = [[1]]\n")
    with pytest.raises(errors.ConfigError, match="layer is missing; an example needs x, y, loss"):
        example(str(path))
    path.write_text("x = [")
    with pytest.raises(errors.FormatError, match=r"own\.toml is not TOML"):
        example(str(path))


@pytest.mark.parametrize(("latex", "bars", "signs"), [
    ("e^{-|z|}", ["prefix", "postfix"], ["prefix"]),
    ("||a| - |b||", ["prefix", "prefix", "postfix", "prefix", "postfix", "postfix"], ["infix"]),
    (r"\frac{|x_{1}|}{1 + |f(x)|}", ["prefix", "postfix"] * 2, []),
    (r"a - (-0.5) \cdot x", [], ["infix", "prefix"]),
])  # fmt: skip
def test_bars_open_and_close_and_signs_belong_to_numbers(latex, bars, signs):
    pytest.importorskip("latex2mathml")
    found = re.findall(r'form="(\w+)">&#x0(007C|2212);', mathml(latex))
    assert [form for form, sign in found if sign == "007C"] == bars
    assert [form for form, sign in found if sign == "2212"] == signs
