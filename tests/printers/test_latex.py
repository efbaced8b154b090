"""LaTeX of formulas: exact strings, and matplotlib's parser as a judge of what is well formed."""

import pytest
from table import by_name

from deepmath.printers.latex import latex, symbol

EXPECTED = {
    "linear": "z",
    "relu": r"\max(z, 0)",
    "relu_slope": "[y > 0]",
    "sigmoid": r"\frac{\begin{cases} 1 & \text{if } z \ge 0 \\ e^{-|z|} & \text{otherwise} \end{cases}}{1 + e^{-|z|}}",
    "sigmoid_slope": r"\frac{e^{-|z|}}{(1 + e^{-|z|})^{2}}",
    "tanh": r"\tanh(z)",
    "tanh_slope": r"\frac{4 e^{-2 |z|}}{(1 + e^{-2 |z|})^{2}}",
    "softmax": r"\frac{e^{z - \max_{j} z}}{\sum_{j} e^{z - \max_{j} z}}",
    "softmax_pullback": r"y (\mathrm{dy} - \sum_{j} \mathrm{dy} y)",
    "mse": r"\frac{1}{n} \sum_{j} (p - d)^{2}",
    "mse_slope": r"\frac{2 (p - d)}{n}",
    "one_hot": r"[\mathrm{index} = \mathrm{label}]",
    "scale": r"\gamma \frac{x - \mathrm{mean}}{\sqrt{\mathrm{variance} + \varepsilon}} + \beta",
    "nesterov": r"w - \mathrm{rate} (g + \mu (\mu v + g)), \quad \mu v + g",
    "l2": r"0.5 \mathrm{strength} \sum_{j} w^{2}",
    "clip_by_value": r"\min(\max(g, -\mathrm{limit}), \mathrm{limit})",
    "binary_accuracy": r"\frac{1}{n} \sum_{j} [(p > 0.5) = (d > 0.5)]",
}


@pytest.mark.parametrize("name", EXPECTED)
def test_formulas_of_the_table(name):
    row = by_name(name)
    assert latex(row.formula, row.trace_kinds) == EXPECTED[name]


def sum_of(xp, x):
    return xp.sum(x, axis=-1, keepdims=True)


PARENTHESES = [
    (lambda xp, a, b: a - (b - a), "a - (b - a)"),
    (lambda xp, a, b: (a - b) - a, "a - b - a"),
    (lambda xp, a, b: a + (b + a), "a + b + a"),
    (lambda xp, a, b: a * (b + a), "a (b + a)"),
    (lambda xp, a, b: (a * b) * a, "a b a"),
    (lambda xp, a, b: -(a + b), "-(a + b)"),
    (lambda xp, a, b: -(a * b), "-a b"),
    (lambda xp, a, b: a + -b, "a - b"),
    (lambda xp, a, b: a - -b, "a - (-b)"),
    (lambda xp, a, b: a * -b, "a (-b)"),
    (lambda xp, a, b: -2.0 * a, "-2 a"),
    (lambda xp, a, b: a * 2.0, r"a \cdot 2"),
    (lambda xp, a, b: a + -2.0 * b, "a - 2 b"),
    (lambda xp, a, b: (a + b) ** 2, "(a + b)^{2}"),
    (lambda xp, a, b: xp.pow(a / b, a + b), r"(\frac{a}{b})^{a + b}"),
    (lambda xp, a, b: a / b / a, r"\frac{\frac{a}{b}}{a}"),
    (lambda xp, a, b: xp.exp(a) ** 2, "(e^{a})^{2}"),
    (lambda xp, a, b: xp.expm1(a) * b, "(e^{a} - 1) b"),
    (lambda xp, a, b: xp.log1p(-a), r"\ln(1 - a)"),
    (lambda xp, a, b: xp.log(a) - xp.log1p(b), r"\ln(a) - \ln(1 + b)"),
    (lambda xp, a, b: sum_of(xp, a + b), r"\sum_{j} (a + b)"),
    (lambda xp, a, b: sum_of(xp, a * b), r"\sum_{j} a b"),
    (lambda xp, a, b: a * sum_of(xp, b), r"a \sum_{j} b"),
    (lambda xp, a, b: sum_of(xp, b) * a, r"(\sum_{j} b) a"),
    (lambda xp, a, b: sum_of(xp, b) - a, r"(\sum_{j} b) - a"),
    (lambda xp, a, b: xp.where(a > b, a, 1e-8),
     r"\begin{cases} a & \text{if } a > b \\ 10^{-8} & \text{otherwise} \end{cases}"),
    (lambda xp, a, b: xp.where(a > b, a, -xp.inf) ** 2,
     r"(\begin{cases} a & \text{if } a > b \\ -\infty & \text{otherwise} \end{cases})^{2}"),
    (lambda xp, a, b: xp.floor(xp.sqrt(a)), r"\lfloor \sqrt{a} \rfloor"),
]  # fmt: skip


@pytest.mark.parametrize(("formula", "text"), PARENTHESES, ids=[t for _, t in PARENTHESES])
def test_parentheses_stand_only_where_they_are_needed(formula, text):
    assert latex(formula, ["element", "element"]) == text


def test_names():
    assert symbol("eps") == r"\varepsilon"
    assert symbol("x_max") == r"x_{\mathrm{max}}"
    assert symbol("c0") == "c_{0}"
    assert latex(lambda xp, w, g: w - g, ["element", "element"], {"g": r"\nabla L"}) == r"w - \nabla L"


@pytest.mark.parametrize(
    "name", ["relu", "sigmoid_slope", "tanh_slope", "softmax", "softmax_pullback", "mse", "normalize", "adam"]
)
def test_matplotlib_can_read_it(name):
    mathtext = pytest.importorskip("matplotlib.mathtext", reason="matplotlib is not installed")
    row = by_name(name)
    parsed = mathtext.MathTextParser("path").parse(f"${latex(row.formula, row.trace_kinds)}$")
    assert parsed.width > 0
