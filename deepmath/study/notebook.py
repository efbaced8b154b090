"""Numbers that remember how they were computed: a graph in which every node has a value, and some have names.

A node is an operation on scalars. As its value is known, conditions are settled when it is made: `where` is the
branch taken, and |x| is x or -x. What is left is what a person would write down at these numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from deepmath.graph import FUNCTIONS, OPERATORS, Dims, Graph, Node
from deepmath.printers.latex import ATOM, FACTOR, PRODUCT, SUM, Text, Writer
from deepmath.printers.plain import PlainWriter

DIGITS = 12
"""Significant digits of what is printed."""

LEAVES = 3
"""A part of several formulas gets a name of its own from this many numbers on."""


class Symbol(NamedTuple):
    """A quantity's name as plain text and as LaTeX, and which number of which array it is."""

    plain: str
    latex: str
    place: tuple[str, tuple[int, ...]] = ("", ())


class Math(NamedTuple):
    """A formula as plain text and as LaTeX."""

    plain: str
    latex: str


class Equation(NamedTuple):
    """left = formula in symbols = the formula in numbers = value."""

    left: Symbol
    node: Node
    symbols: Math
    numbers: Math
    value: float

    @property
    def result(self) -> Math:
        """The value, with twelve digits."""
        return Math(digits(self.value), _latex(digits(self.value)).latex)

    @property
    def chain(self) -> list[Math]:
        """What is written one after another with = between: no step that says nothing new."""
        steps = [Math(self.left.plain, self.left.latex), self.symbols, self.numbers, self.result]
        return [step for i, step in enumerate(steps) if i == 0 or step.plain != steps[i - 1].plain]


class Notebook(Graph):
    """A graph of scalars with values; `names` holds symbols by node number."""

    def __init__(self) -> None:
        super().__init__()
        self.values: list[Any] = []
        self.names: dict[int, Symbol] = {}
        self._given: Any = None
        self._temporaries = 0
        self._texts: tuple[dict[int, Text], ...] = ({}, {}, {}, {})  # plain and LaTeX symbols, plain and LaTeX numbers

    def given(self, symbol: Symbol, value: Any) -> Node:
        """A quantity that is there from the start."""
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.bool_))
        self._given = int(value) if whole else np.float64(value)
        node = self.argument(symbol.plain, "scalar", "int" if whole else "float")
        self._call(node, symbol)
        return node

    def _call(self, node: Node, symbol: Symbol) -> None:
        """From now on, formulas write this node by its symbol."""
        self.names[node.number] = symbol
        value = self.values[node.number]
        strength = FACTOR if "/" in symbol.plain else ATOM
        texts = Text(symbol.plain, strength), Text(symbol.latex, strength), plain_number(value), latex_number(value)
        for known, text in zip(self._texts, texts, strict=True):
            known[node.number] = text

    def value(self, node: Node) -> Any:
        """The number that a node is."""
        return self.values[node.number]

    def node(self, op: str, *operands: Any) -> Node:
        args = [o if isinstance(o, Node) else self.constant(o) for o in operands]
        if op == "where":
            return self._branch(*args)
        if op == "abs" and abs(self.value(args[0])) > 0:  # neither NaN nor 0, where it bends
            return args[0] if self.value(args[0]) > 0 else -args[0]
        if op == "neg" and args[0].op == "neg":
            return args[0].args[0]
        if op == "*" and args[1].op == "neg" and args[0].op == "constant":
            return self.node("*", -args[0].value, args[1].args[0])
        return super().node(op, *args)

    def _branch(self, condition: Node, a: Node, b: Node) -> Node:
        taken, other = (a, b) if self.value(condition) else (b, a)
        return self.constant(float(taken.value)) if taken.op == "constant" and other.dtype == "float" else taken

    def add(self, op: str, args: tuple[Node, ...], value: Any, dtype: str, dims: Dims) -> Node:
        node = super().add(op, args, value, dtype, dims)
        if node.number == len(self.values):
            with np.errstate(all="ignore"):
                self.values.append(self._computed(node))
        return node

    def _computed(self, node: Node) -> Any:
        args = [self.values[a.number] for a in node.args]
        if node.op == "argument":
            return self._given
        if node.op == "constant":
            return node.value if isinstance(node.value, int) else np.float64(node.value)
        if node.op == "astype":
            return {"float": np.float64, "int": int, "bool": np.bool_}[node.dtype](args[0])
        if node.op in OPERATORS:
            return OPERATORS[node.op](*args)
        assert node.op in FUNCTIONS, node.op
        return getattr(np, node.op)(*args)

    def define(self, pairs: Sequence[tuple[Symbol, Node]]) -> list[Equation]:
        """Name nodes, and before them what their formulas share; the equations in the order to be written."""
        equations = [self._equation(s, n) for s, n in self._shared([n for _, n in pairs])]
        for symbol, node in pairs:
            equations.append(self._equation(symbol, node))
        return equations

    def _equation(self, symbol: Symbol, node: Node) -> Equation:
        named = node.number in self.names
        writers = [kind(given=given) for kind, given in zip((PlainWriter, Writer) * 2, self._texts, strict=True)]
        texts = [(w.text(node) if named else w.written(node)).latex for w in writers]
        if not named and node.op != "constant":
            self._call(node, symbol)
        return Equation(symbol, node, Math(*texts[:2]), Math(*texts[2:]), float(self.value(node)))

    def _shared(self, roots: Sequence[Node]) -> Iterable[tuple[Symbol, Node]]:
        """Nodes that occur more than once below the roots and are long enough to deserve a name."""
        order = self.below(roots)
        uses = Counter(a.number for n in order for a in dict.fromkeys(n.args))
        leaves: dict[int, int] = {}
        wanted = {r.number for r in roots}
        found = []
        for node in order:
            leaves[node.number] = sum(leaves.get(a.number, 1) for a in node.args) or 1
            again = uses[node.number] + (node.number in wanted) > 1
            if again and node.number not in wanted and leaves[node.number] >= LEAVES and node.dtype == "float":
                leaves[node.number] = 1
                self._temporaries += 1
                name = f"t{self._temporaries}"
                found.append((Symbol(name, f"t_{{{self._temporaries}}}", (name, ())), node))
        return found

    def below(self, roots: Sequence[Node]) -> list[Node]:
        """The nodes of the roots' formulas down to what has a name, in the order of their making."""
        seen: dict[int, Node] = {}
        stack = [r for r in roots if r.number not in self.names]
        while stack:
            node = stack.pop()
            if node.number not in seen:
                seen[node.number] = node
                stack += [a for a in node.args if a.number not in self.names]
        return [seen[n] for n in sorted(seen)]


def digits(value: float) -> str:
    """A computed number, with twelve significant digits.

    >>> digits(0.3775), digits(-2.5e-9), digits(float("inf"))
    ('0.377500000000', '-2.50000000000e-09', 'inf')
    """
    text = f"{value:#.{DIGITS}g}"
    return text.removesuffix(".") if "." in text[-1:] else text


def short(value: float) -> str:
    """A number inside a formula: as it was given where that is short, else with twelve digits.

    >>> short(0.05), short(1 / 3), short(8.0)
    ('0.05', '0.333333333333', '8')
    """
    exact = repr(float(value)).removesuffix(".0")
    significant = exact.partition("e")[0].replace("-", "").replace(".", "").lstrip("0")
    return exact if len(significant) <= DIGITS else digits(value)


def plain_number(value: Any) -> Text:
    """A number in a plain formula."""
    text = short(value)
    return Text(text, SUM if text.startswith("-") else ATOM)


def latex_number(value: Any) -> Text:
    r"""A number in LaTeX.

    >>> latex_number(2.5e-9).latex, latex_number(-0.25).latex
    ('2.5 \\cdot 10^{-9}', '-0.25')
    """
    return _latex(short(value))


def _latex(number: str) -> Text:
    text, _, exponent = number.partition("e")
    text = text.replace("inf", r"\infty").replace("nan", r"\mathrm{NaN}")
    if exponent:
        text = f"{text} \\cdot 10^{{{int(exponent)}}}"
    return Text(text, SUM if text.startswith("-") else PRODUCT if exponent else ATOM)
