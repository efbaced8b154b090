r"""A traced formula as LaTeX, for people: one expression for each result, with common parts written out.

Letters: j counts the columns of a row, i the rows, n is the number of columns and m that of rows.
A truth used as a number is an Iverson bracket, [y > 0].
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from deepmath.graph import BATCH_SUM, Node
from deepmath.trace import Formula, trace

LOGIC, RELATION, SUM, OPEN, PRODUCT, FACTOR, ATOM = range(7)
"""How strongly a text holds together. OPEN ones, such as a sum over j, swallow whatever follows them."""

GREEK = {
    "alpha", "beta", "gamma", "delta", "zeta", "eta", "theta", "kappa", "lambda", "mu", "nu", "xi", "pi",
    "rho", "sigma", "tau", "phi", "chi", "psi", "omega",
}  # fmt: skip
SPECIAL = {"eps": r"\varepsilon", "epsilon": r"\varepsilon"}
RELATIONS = {"<": "<", "<=": r"\le", ">": ">", ">=": r"\ge", "==": "=", "!=": r"\ne"}
LOGICAL = {"logical_and": r"\wedge", "logical_or": r"\vee", "&": r"\wedge", "|": r"\vee", "^": r"\oplus"}
SHIFTS = {"<<": r"\ll", ">>": r"\gg", "%": r"\bmod"}
CALLS = {
    "maximum": r"\max", "minimum": r"\min", "tanh": r"\tanh", "cos": r"\cos",
    "sin": r"\sin", "log": r"\ln", "sign": r"\mathrm{sign}",
    "isnan": r"\mathrm{isnan}", "isinf": r"\mathrm{isinf}", "isfinite": r"\mathrm{isfinite}",
}  # fmt: skip
OVER = {"row_sum": r"\sum_{j}", "row_max": r"\max_{j}", BATCH_SUM: r"\sum_{i}"}
AROUND = {"abs": ("|", "|"), "sqrt": (r"\sqrt{", "}"), "floor": (r"\lfloor ", r" \rfloor")}


class Text(NamedTuple):
    """LaTeX and how strongly it holds together."""

    latex: str
    strength: int

    def at_least(self, strength: int) -> str:
        """The text, in parentheses where it is weaker than this."""
        return self.latex if self.strength >= strength else f"({self.latex})"


def latex(formula: Formula, kinds: Sequence[str], names: Mapping[str, str] | None = None) -> str:
    r"""LaTeX of each result of a formula, separated by commas.

    `kinds` are those of `trace`; `names` gives an argument other LaTeX than its own name. What a formula uses twice
    is written twice, so this is for formulas that a person would write. Raises TraceError where it can't be traced.

    >>> print(latex(lambda xp, z: xp.maximum(z, 0.0) + xp.log1p(xp.exp(-xp.abs(z))), ["element"]))
    \max(z, 0) + \ln(1 + e^{-|z|})
    >>> print(latex(lambda xp, w, g, rate: w - rate * g, ["element", "element", "scalar"], {"rate": r"\eta"}))
    w - \eta g
    >>> print(latex(lambda xp, p, d: xp.mean((p - d) ** 2, axis=-1, keepdims=True), ["element", "element"]))
    \frac{1}{n} \sum_{j} (p - d)^{2}
    """
    return r", \quad ".join(latex_of(output, names) for output in trace(formula, kinds).outputs)


def latex_of(node: Node, names: Mapping[str, str] | None = None) -> str:
    """LaTeX of one node of a graph.

    >>> print(latex_of(trace(lambda xp, x, beta1: x / (1.0 - beta1), ["element", "scalar"]).outputs[0]))
    \\frac{x}{1 - \\beta_{1}}
    """
    return Writer(names).text(node).latex


def symbol(name: str) -> str:
    r"""An argument's name as LaTeX: Greek letters, subscripts, upright words.

    >>> symbol("gamma"), symbol("beta1"), symbol("w_old"), symbol("rate")
    ('\\gamma', '\\beta_{1}', 'w_{\\mathrm{old}}', '\\mathrm{rate}')
    """
    stem, _, index = name.partition("_")
    digits = re.fullmatch(r"([A-Za-z]+)([0-9]+)", stem)
    if digits and not index:
        stem, index = digits.groups()
    head = f"\\{stem}" if stem in GREEK else SPECIAL.get(stem, stem if len(stem) == 1 else f"\\mathrm{{{stem}}}")
    below = index if len(index) <= 1 or index.isdigit() else f"\\mathrm{{{index.replace('_', ' ')}}}"
    return f"{head}_{{{below}}}" if index else head


def number(value: float) -> Text:
    """A constant."""
    if math.isnan(value):
        return Text(r"\mathrm{NaN}", ATOM)
    digits, _, exponent = repr(abs(value)).partition("e")
    text = r"\infty" if math.isinf(value) else digits.removesuffix(".0")
    strength = ATOM
    if exponent:
        power, strength = f"10^{{{int(exponent)}}}", FACTOR
        text = power if text == "1" else f"{text} \\cdot {power}"
    return Text(f"-{text}", SUM) if value < 0 else Text(text, strength)


class Writer:
    """Writes nodes, each once. What stands in `given`, by a node's number, is written so instead of in full."""

    def __init__(self, names: Mapping[str, str] | None = None, given: Mapping[int, Text] | None = None) -> None:
        self.names = names or {}
        self.given = given or {}
        self.known: dict[int, Text] = {}

    def text(self, node: Node) -> Text:
        """A node as it stands inside another."""
        if node.number in self.given:
            return self.given[node.number]
        if node.number not in self.known:
            self.known[node.number] = self.written(node)
        return self.known[node.number]

    def written(self, node: Node) -> Text:
        """A node in full, even where it has a name."""
        if node.op == "constant":
            return number(node.value)
        if node.op == "argument":
            return Text(self.names.get(node.value, symbol(node.value)), ATOM)
        if node.op == "size":
            return Text("n" if node.value == "columns" else "m", ATOM)
        if node.op == "/":
            return self.fraction(*node.args)
        if node.op == "*" and node.args[0] is node.args[1]:
            return Text(f"{self.text(node.args[0]).at_least(ATOM)}^{{2}}", FACTOR)
        return self.operation(node.op, node, [self.text(a) for a in node.args])

    def fraction(self, a: Node, b: Node) -> Text:
        """a over b; a mean where it is one."""
        if a.op == "row_sum" and b.op == "size" and b.value == "columns":
            return Text(rf"\frac{{1}}{{n}} {self.text(a).latex}", OPEN)
        return Text(rf"\frac{{{self.text(a).latex}}}{{{self.text(b).latex}}}", FACTOR)

    def operation(self, op: str, node: Node, args: list[Text]) -> Text:
        """Any other operation on what is written already."""
        first, last = args[0], args[-1]
        if op in ("+", "-", "neg"):
            return added(first, last, op == "-") if len(args) == 2 else _negative(first)
        if op == "*":
            return product(first, last)
        if op in OVER:
            return Text(f"{OVER[op]} {first.latex if first.strength == OPEN else first.at_least(PRODUCT)}", OPEN)
        if op in AROUND:
            return Text(first.latex.join(AROUND[op]), ATOM)
        if op in CALLS:
            return Text(f"{CALLS[op]}({', '.join(a.latex for a in args)})", FACTOR)
        if op == "astype":
            return Text(f"[{first.latex}]", ATOM) if node.args[0].dtype == "bool" else first
        if op in RELATIONS:
            return Text(f"{first.at_least(SUM)} {RELATIONS[op]} {last.at_least(SUM)}", RELATION)
        if op in LOGICAL:
            return Text(f"{first.at_least(RELATION)} {LOGICAL[op]} {last.at_least(RELATION)}", LOGIC)
        if op in SHIFTS:
            return Text(f"{first.at_least(FACTOR)} {SHIFTS[op]} {last.at_least(FACTOR)}", SUM)
        return _RARE[op](*args)


def added(a: Text, b: Text, minus: bool) -> Text:
    """a + b or a - b; adding what begins with a minus sign is subtracting."""
    left = f"({a.latex})" if a.strength == OPEN else a.at_least(SUM)
    if minus:
        return Text(f"{left} - {b.at_least(OPEN)}", SUM)
    right = b.at_least(SUM)
    return Text(f"{left} - {right[1:]}" if right.startswith("-") else f"{left} + {right}", SUM)


def _negative(a: Text) -> Text:
    return Text(f"-{a.at_least(OPEN)}", SUM)


def product(a: Text, b: Text) -> Text:
    """a b, with a dot in front of a digit. A leading minus sign weakens the product to a sum."""
    signed = a.latex.startswith("-") and a.latex[1:].replace(".", "").isdigit()
    left = a.latex if signed else a.at_least(PRODUCT)
    right = b.at_least(OPEN)
    dot = r" \cdot " if right[0].isdigit() or (right[:2] == "(-" and right[2:3].isdigit()) else " "
    return Text(left + dot + right, SUM if signed else OPEN if b.strength == OPEN else PRODUCT)


def _power(a: Text, b: Text) -> Text:
    return Text(f"{a.at_least(ATOM)}^{{{b.latex}}}", FACTOR)


def _cases(condition: Text, a: Text, b: Text) -> Text:
    rows = rf"{a.latex} & \text{{if }} {condition.latex} \\ {b.latex} & \text{{otherwise}}"
    return Text(rf"\begin{{cases}} {rows} \end{{cases}}", FACTOR)


_RARE: dict[str, Callable[..., Text]] = {
    "exp": lambda a: Text(f"e^{{{a.latex}}}", FACTOR),
    "expm1": lambda a: Text(f"e^{{{a.latex}}} - 1", SUM),
    "log1p": lambda a: Text(rf"\ln({added(Text('1', ATOM), a, False).latex})", FACTOR),
    "pow": _power,
    "where": _cases,
    "logical_not": lambda a: Text(rf"\neg {a.at_least(ATOM)}", RELATION),
    "//": lambda a, b: Text(rf"\lfloor \frac{{{a.latex}}}{{{b.latex}}} \rfloor", ATOM),
}
