"""The formulas of a step in general, as the tracer's printers write them; products of matrices as such."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from deepmath.activations import ActivationFunction
from deepmath.errors import TraceError
from deepmath.formulas import dropout, normalization, rectifiers
from deepmath.layers import (
    Activation,
    BatchNormalization,
    Dense,
    Dropout,
    GaussianNoise,
    Layer,
    LayerNormalization,
    PReLU,
)
from deepmath.losses import Loss
from deepmath.optimizers import Optimizer
from deepmath.printers.latex import latex_of
from deepmath.printers.plain import PlainWriter
from deepmath.study import symbols
from deepmath.study.notebook import Math
from deepmath.trace import Formula, trace

Names = Mapping[str, tuple[str, str]]
D = {"dy": ("dE/dy", r"\frac{\partial E}{\partial y}")}
E_W = ("dE/dW", r"\frac{\partial E}{\partial W}")


class Shown(NamedTuple):
    """What a part does, in words, and its formulas."""

    words: str
    formulas: list[Math]


_AFFINE = [
    Math("dE/dw[i,j] = dE/dz[j] * dz[j]/dw[i,j] = dE/dz[j] * x[i]",
         r"\frac{\partial E}{\partial w_{i,j}} = \frac{\partial E}{\partial z_{j}} "
         r"\frac{\partial z_{j}}{\partial w_{i,j}} = \frac{\partial E}{\partial z_{j}} x_{i}"),
    Math("dE/dx[i] = sum over j of dE/dz[j] * dz[j]/dx[i] = sum over j of dE/dz[j] * w[i,j]",
         r"\frac{\partial E}{\partial x_{i}} = \sum_{j} \frac{\partial E}{\partial z_{j}} "
         r"\frac{\partial z_{j}}{\partial x_{i}} = \sum_{j} \frac{\partial E}{\partial z_{j}} w_{i,j}"),
]  # fmt: skip

IDENTITIES: dict[str, Formula] = {
    "sigmoid": lambda xp, y: y * (1.0 - y),  # noqa: ARG005 - every formula takes xp
    "tanh": lambda xp, y: 1.0 - y * y,  # noqa: ARG005 - every formula takes xp
}
"""Slopes as textbooks have them: equal to the slopes that are used, which lose no digit where y is near its ends."""


def formulas(formula: Formula, kinds: Sequence[str], names: Names, left: Sequence[tuple[str, str]]) -> list[Math]:
    """left = formula, for each of its results; nothing for a formula that can't be traced."""
    try:
        outputs = trace(formula, kinds, list(names)).outputs
    except TraceError:
        return []
    plain = PlainWriter(names={n: p for n, (p, _) in names.items()})
    tex = {n: t for n, (_, t) in names.items()}
    found = zip(left, outputs, strict=False)
    return [Math(f"{a} = {plain.text(o).latex}", f"{b} = {latex_of(o, tex)}") for (a, b), o in found]


def forward(layer: Layer) -> Shown:
    """What a part computes."""
    if isinstance(layer, Dense):
        bias = (" + b", " + b") if layer.use_bias else ("", "")
        return Shown(
            "Each unit adds up its inputs times its weights.", [Math(f"Z = X W{bias[0]}", f"Z = X W{bias[1]}")]
        )
    if isinstance(layer, Activation):
        function: ActivationFunction = layer.activation
        kinds = ["element", *["scalar"] * len(function.constants)]
        names = {"z": ("z", "z")} | _constants(function.constants)
        shown = formulas(function.value, kinds, names, [("a", "a")])
        return Shown(f"The activation {function.name}.", shown)
    if isinstance(layer, (BatchNormalization, LayerNormalization)):
        over = "feature over the rows" if isinstance(layer, BatchNormalization) else "row over its units"
        return Shown(f"Each {over} gets mean 0 and variance 1, then a learnt scale and offset.", _normalised(layer))
    if isinstance(layer, Dropout):
        threshold, growth = layer.constants
        words = (
            f"Where 24 random bits r are less than {threshold}, the value becomes 0; the others grow by {growth:.9g}."
        )
        names = {n: (n, n) for n in ("x", "r")} | {"t": ("threshold", "t"), "c": ("growth", "c")}
        shown = formulas(dropout.dropout, ["element", "element", "scalar", "scalar"], names, [("y", "y")])
        return Shown(words, shown)
    if isinstance(layer, GaussianNoise):
        names = {"r": ("r", "r"), "s": ("s", "s")}
        noise = formulas(dropout.gaussian, ["element", "element"], names, [("noise", r"\xi")])
        y = Math(f"y = x + {layer.stddev:g} noise", rf"y = x + {layer.stddev:g} \xi")
        return Shown("A normal number from random bits r and s is added to each value.", [*noise, y])
    if isinstance(layer, PReLU):
        names = {"z": ("x", "x"), "alpha": ("alpha", r"\alpha")}
        return Shown("A rectifier whose slope below 0 is learnt.",
                     formulas(rectifiers.prelu, ["element", "column"], names, [("y", "y")]))  # fmt: skip
    return Shown(_first_sentence(layer), [])


def backward(layer: Layer) -> Shown:
    """What a part hands back: the chain rule through it."""
    if isinstance(layer, Dense):
        rules = [
            Math("dE/dW = X^T dE/dZ", rf"{E_W[1]} = X^{{\top}} \frac{{\partial E}}{{\partial Z}}"),
            Math("dE/dX = dE/dZ W^T", r"\frac{\partial E}{\partial X} = \frac{\partial E}{\partial Z} W^{\top}"),
        ]
        if layer.use_bias:
            total = r"\frac{\partial E}{\partial b} = \sum_{i} \frac{\partial E}{\partial z_{i}}"
            rules.insert(1, Math("dE/db = sum over the rows of dE/dZ", total))
        words = "As z = x w + b, the slope of z by a weight is its input, by the bias 1, and by an input its weight."
        return Shown(words, [*_AFFINE, *rules])
    if isinstance(layer, Activation):
        return _activation_backward(layer.activation)
    if isinstance(layer, (BatchNormalization, LayerNormalization)):
        names: Names = {
            "x": ("x", "x"), "mean": ("mean", r"\mu"), "variance": ("variance", r"\sigma^{2}"),
            "gamma": ("gamma", r"\gamma"), **D, "eps": ("eps", r"\varepsilon"),
        }  # fmt: skip
        kinds = ["element", "row", "row", _scale(layer), "element", "scalar"]
        left = [("dE/dx", r"\frac{\partial E}{\partial x}"), ("each value's share of dE/dgamma", r"s_{\gamma}")]
        shown = formulas(normalization.normalize_pullback, kinds, names, left)
        return Shown(
            "Mean and variance depend on every value, so each derivative has a share of all the others.", shown
        )
    if isinstance(layer, PReLU):
        names = {"z": ("x", "x"), "alpha": ("alpha", r"\alpha"), **D}
        left = [("dE/dx", r"\frac{\partial E}{\partial x}"), ("each value's share of dE/dalpha", r"s_{\alpha}")]
        shown = formulas(rectifiers.prelu_pullback, ["element", "column", "element"], names, left)
        return Shown("The slope by the input is 1 or alpha, and by alpha it is 0 or the input.", shown)
    if isinstance(layer, Dropout):
        return Shown("What was dropped gets 0; the others' derivatives grow as they did.", [])
    if isinstance(layer, GaussianNoise):
        return Shown("The noise doesn't depend on the input: derivatives pass as they are.", [])
    return Shown("By the layer's own pullback.", [])


def _activation_backward(function: ActivationFunction) -> Shown:
    z, y = ("z", "z"), ("a", "a")
    constants = _constants(function.constants)
    more = ["scalar"] * len(constants)
    if function.slope is not None:
        words = "By the chain rule dE/dz = dE/da da/dz, number by number, with"
        left = [("da/dz", r"\frac{\partial a}{\partial z}")]
        shown = formulas(function.slope, ["element", "element", *more], {"z": z, "y": y} | constants, left)
        textbook = IDENTITIES.get(function.name)
        if textbook is not None:
            shown += formulas(textbook, ["element"], {"y": y}, [("which equals da/dz", left[0][1])])
        return Shown(words, shown)
    dy = ("dE/da", r"\frac{\partial E}{\partial a}")
    left = [("dE/dz", r"\frac{\partial E}{\partial z}")]
    if function.pullback is not None:
        kinds = ["element", "element", "element", *more]
        names = {"z": z, "y": y, "dy": dy} | constants
        return Shown("Each output depends on all scores of its row:", formulas(function.pullback, kinds, names, left))
    shown = formulas(
        function.backward(), ["element", "element", "element", *more], {"z": z, "y": y, "dy": dy} | constants, left
    )
    return Shown("By the chain rule on the graph of the formula:", shown)


def loss(description: Loss, scores: bool) -> tuple[list[Math], list[Math]]:
    """The loss of a row, and its derivative by the predictions, or by the scores in front of them."""
    constants = _constants(description.constants)
    p = ("z", "z") if scores else ("p", "p")
    kinds = ["element", "element", *["scalar"] * len(constants)]
    names = {"p": p, "d": ("d", "d")} | constants
    value = formulas(description.value, kinds, names, [("L", "L")])
    left = [(f"dL/d{p[0]}", rf"\frac{{\partial L}}{{\partial {p[1]}}}")]
    return value, [] if description.slope is None else formulas(description.slope, kinds, names, left)


def update(optimizer: Optimizer, count: int) -> list[Math]:
    """The optimiser's rule for one number."""
    names: dict[str, tuple[str, str]] = {"w": ("w", "w"), "g": ("g", "g")}
    slots = {s: (s, s if len(s) == 1 else rf"\mathrm{{{s}}}") for s in optimizer.slots}
    found = symbols.coefficients(optimizer, count)
    kinds = ["element"] * (2 + len(slots)) + ["scalar"] * count
    names |= slots | {s.plain: (s.plain, s.latex) for s in found}
    left = [("w'", "w'"), *((f"{p}'", f"{t}'") for p, t in slots.values())]
    return formulas(optimizer.update, kinds, names, left)


def _normalised(layer: Layer) -> list[Math]:
    names: Names = {
        "x": ("x", "x"), "mean": ("mean", r"\mu"), "variance": ("variance", r"\sigma^{2}"),
        "gamma": ("gamma", r"\gamma"), "beta": ("beta", r"\beta"), "eps": ("eps", r"\varepsilon"),
    }  # fmt: skip
    x = {"x": names["x"]}
    moments = formulas(normalization.moments, ["element"], x, [names["mean"], names["variance"]])
    kinds = ["element", "row", "row", _scale(layer), _scale(layer), "scalar"]
    return [*moments, *formulas(normalization.scale, kinds, names, [("y", "y")])]


def _scale(layer: Layer) -> str:
    return "row" if isinstance(layer, BatchNormalization) else "column"


def _constants(values: Sequence[float]) -> dict[str, tuple[str, str]]:
    return {f"c{i}": (f"{v:.12g}", f"{v:.12g}") for i, v in enumerate(values)}


def _first_sentence(thing: Any) -> str:
    words = (inspect.getdoc(type(thing)) or type(thing).__name__).partition("\n\n")[0]
    return " ".join(words.split())
