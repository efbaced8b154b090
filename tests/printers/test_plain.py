"""Formulas as plain text: what Python reads from it has the value of the formula."""

import math

import numpy as np
import pytest

from deepmath.formulas import activations, losses, smooth
from deepmath.printers.plain import PlainWriter
from deepmath.trace import trace

FUNCTIONS = {
    "exp": math.exp, "ln": math.log, "log1p": math.log1p, "expm1": math.expm1, "sqrt": math.sqrt, "tanh": math.tanh,
    "max": max, "min": min, "abs": abs,
}  # fmt: skip

FORMULAS = {
    "sigmoid": activations.sigmoid,
    "sigmoid_slope": lambda xp, z: activations.sigmoid_slope(xp, z, z),
    "softplus": smooth.softplus,
    "silu": smooth.silu,
    "mish": smooth.mish,
    "nested": lambda xp, z: -(z - (1.0 - z)) / (z / (2.0 * z)) * (-z) ** 2 - xp.expm1(z) * xp.sqrt(z * z + 1e-8),
    "powers": lambda xp, z: xp.pow(z * z, z + 1.0) - (z + 1.0) * (z + 1.0),
}


def written(formula):
    return PlainWriter().text(trace(formula, ["element"]).outputs[0]).latex


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("z", [-1.7, 0.6])
def test_its_value_is_the_formula_s(name, z):
    text = written(FORMULAS[name]).replace("^", "**").replace("|z|", "abs(z)")
    found = eval(text, {"__builtins__": {}}, {**FUNCTIONS, "pow": pow, "z": z})
    assert found == pytest.approx(float(FORMULAS[name](np, np.asarray(z))), rel=1e-12)


def test_forms():
    assert written(activations.relu) == "max(z, 0)"
    assert written(activations.sigmoid) == "(1 if z >= 0 else exp(-|z|)) / (1 + exp(-|z|))"
    mse = trace(losses.mse, ["element", "element"]).outputs[0]
    assert PlainWriter().text(mse).latex == "(sum_j (p - d)^2) / n"
    assert PlainWriter(names={"p": "p[1]"}).text(mse).latex == "(sum_j (p[1] - d)^2) / n"
