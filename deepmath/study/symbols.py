"""What quantities are called, in plain text and in LaTeX. Layers, units and rows are counted from 1."""

from __future__ import annotations

from collections.abc import Callable

from deepmath.optimizers import Optimizer
from deepmath.study.notebook import Symbol

Place = tuple[int, ...]
Namer = Callable[[Place], Symbol]

PARAMETERS = {
    "kernel": ("w", "w"),
    "bias": ("b", "b"),
    "gamma": ("gamma", r"\gamma"),
    "beta": ("beta", r"\beta"),
    "alpha": ("alpha", r"\alpha"),
}
"""Letters of parameters; any other goes by its own name."""

COEFFICIENTS: dict[str, tuple[str, ...]] = {
    "SGD": ("rate", "mu"),
    "RMSprop": ("rate", "rho", "rest", "eps", "mu"),
    "Adam": ("rate", "beta1", "rest1", "beta2", "rest2", "eps"),
    "AdamW": ("rate", "beta1", "rest1", "beta2", "rest2", "eps", "shrink"),
    "Nadam": ("now", "ahead", "beta1", "rest1", "beta2", "rest2", "eps"),
    "Adagrad": ("rate", "initial", "eps"),
    "Adadelta": ("rate", "rho", "rest", "eps"),
    "Lion": ("rate", "shrink", "beta1", "rest1", "beta2", "rest2"),
}
"""What the numbers are called that an optimiser's `coefficients` gives, as in its formula."""

_LATEX = {
    "rate": r"\eta", "mu": r"\mu", "rho": r"\rho", "eps": r"\varepsilon", "beta1": r"\beta_{1}",
    "beta2": r"\beta_{2}", "rest": r"\bar\rho", "rest1": r"\bar\beta_{1}", "rest2": r"\bar\beta_{2}",
    "now": r"\eta_{\mathrm{now}}", "ahead": r"\eta_{\mathrm{ahead}}", "shrink": r"\lambda", "initial": "v_{0}",
}  # fmt: skip

MEANING = {
    "rate": "the learning rate, with the correction of the averages' bias where the rule has one",
    "mu": "the share of the velocity that is kept",
    "rho": "the share of an average that is kept",
    "rest": "1 - rho",
    "beta1": "the share of the gradient's average that is kept",
    "rest1": "1 - beta1",
    "beta2": "the share of the squares' average that is kept",
    "rest2": "1 - beta2",
    "eps": "keeps the divisor from 0",
    "shrink": "weight decay: rate x decay",
    "now": "the rate of the gradient itself",
    "ahead": "the rate of the averaged gradient",
    "initial": "where the sum of squares begins",
}


def data(letter: str, layer: int | None, rows: int, key: str) -> Namer:
    """Names of an array [rows, units]: x[2], or x[1,2] where there are several rows."""
    above = "" if layer is None else f"^{{({layer})}}"
    number = "" if layer is None else str(layer)

    def named(place: Place) -> Symbol:
        shown = place[1:] if rows == 1 else place
        index = _index(shown)
        plain = f"[{index}]" if index else ""
        latex = f"_{{{index}}}" if index else ""
        return Symbol(f"{letter}{number}{plain}", f"{letter}{above}{latex}", (key, place))

    return named


def parameter(name: str, prime: str = "", key: str | None = None) -> Namer:
    """Names of a parameter's numbers: "0.kernel" is w1[1,2]. `prime` marks the value after the step."""
    number, _, own = name.partition(".")
    plain, latex = PARAMETERS.get(own, (own, rf"\mathrm{{{own}}}"))
    layer = int(number) + 1

    def named(place: Place) -> Symbol:
        index = _index(place)
        below = f"_{{{index}}}" if index else ""
        tail = f"[{index}]" if index else ""
        return Symbol(f"{plain}{layer}{tail}{prime}", f"{latex}^{{({layer}){prime}}}{below}", (key or name, place))

    return named


def slot(slot: str, name: str, prime: str, key: str) -> Namer:
    """Names of an optimiser's state for a parameter: m[w1[1,2]]."""
    inner = parameter(name)

    def named(place: Place) -> Symbol:
        of = inner(place)
        mark = f"^{{{prime}}}" if prime else ""
        stem = slot if len(slot) == 1 else rf"\mathrm{{{slot}}}"
        return Symbol(f"{slot}[{of.plain}]{prime}", f"{stem}{mark}_{{{of.latex}}}", (key, place))

    return named


def derivative(of: str, by: Namer, key: str) -> Namer:
    """Names of the derivatives by the numbers of an array: dE/dw1[1,2]."""

    def named(place: Place) -> Symbol:
        below = by(place)
        return Symbol(f"d{of}/d{below.plain}", rf"\frac{{\partial {of}}}{{\partial {below.latex}}}", (key, place))

    return named


def slope(above: Namer, below: Namer, key: str) -> Namer:
    """Names of dy/dx where each y depends on its own x."""

    def named(place: Place) -> Symbol:
        y, x = above(place), below(place)
        return Symbol(f"d{y.plain}/d{x.plain}", rf"\frac{{\partial {y.latex}}}{{\partial {x.latex}}}", (key, place))

    return named


def coefficients(optimizer: Optimizer, count: int) -> list[Symbol]:
    """Names of an optimiser's coefficients; c1, c2, ... for one that isn't known."""
    names = COEFFICIENTS.get(type(optimizer).__name__, ())
    names = names[:count] if len(names) >= count else tuple(f"c{i + 1}" for i in range(count))
    return [Symbol(n, _LATEX.get(n, f"c_{{{n[1:]}}}"), (f"coefficient.{n}", ())) for n in names]


def _index(place: Place) -> str:
    return ",".join(str(i + 1) for i in place)
