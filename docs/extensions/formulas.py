r"""Directives that print formulas of `deepmath.formulas` while the site is built, so that none is typed a second time.

    ```{formula} optimizers.momentum
    :results: w', v'
    ```

traces the formula and has `deepmath.printers.latex` write it. `results` names what it gives, `names` gives arguments
other letters than `NAMES` has (`limit=c; norm=\ell`). What a long formula uses twice gets a letter of its own.

    ```{matrices} affine.affine
    :arguments: X; W; b
    :results: Y; dX; dW; db
    ```

calls a formula of matrices with letters in place of arrays, and so the graph of its derivative.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from deepmath.derivative import gradients
from deepmath.evaluation import evaluate
from deepmath.graph import Graph, Node, Size, needed
from deepmath.printers.latex import ATOM, Text, Writer, symbol
from deepmath.trace import Arrays, Trace, trace

KINDS = {
    "Rows": "row",
    "Columns": "column",
    "Features": "column",
    "Scalar": "scalar",
    "float": "scalar",
    "int": "scalar",
}
"""An argument's kind by its annotation; any other varies from element to element."""

NAMES = {
    "rate": r"\eta", "rest": r"(1 - \rho)", "rest1": r"(1 - \beta_1)", "rest2": r"(1 - \beta_2)",
    "shrink": r"\eta \lambda", "strength": r"\lambda", "first": r"\lambda_1", "second": r"\lambda_2",
    "mean": r"\mu", "variance": r"\sigma^2", "fan_in": r"n_{\mathrm{in}}", "fan_out": r"n_{\mathrm{out}}",
    "log_likelihood": r"\ln L", "dy": r"\dot y", "negative": r"\alpha",
}  # fmt: skip
"""Letters that the pages use everywhere."""

LETTERS = "tsrqabck"
"""What parts that are used twice are called, where a formula has no argument of that name."""

LONG = 48
"""Up to so many characters, a formula is written in one piece."""


def function(path: str) -> Callable[..., Any]:
    """The formula of this path below `deepmath.formulas`."""
    module, _, name = path.rpartition(".")
    found: Callable[..., Any] = getattr(importlib.import_module(f"deepmath.formulas.{module}"), name)
    return found


def traced(formula: Callable[..., Any], names: Mapping[str, str]) -> Trace:
    """A formula's graph; one of plain numbers takes no namespace, and one of arrays needs only what has a name."""
    parameters = list(inspect.signature(formula).parameters.values())
    takes_namespace = parameters[0].name == "xp"
    wanted = [p for p in parameters[takes_namespace:] if p.default is p.empty or p.name in names]
    kinds = [KINDS.get(str(p.annotation), "element") for p in wanted]
    call = formula if takes_namespace else lambda xp, *values: formula(*values)
    return trace(call, kinds, [p.name for p in wanted])


def equations(formula: Callable[..., Any], results: Sequence[str], names: Mapping[str, str]) -> list[str]:
    """LaTeX of each result; after them what letters stand for.

    >>> from deepmath.formulas.optimizers import momentum
    >>> equations(momentum, ["w'", "v'"], NAMES)
    ["w' = w - \\\\eta v'", "v' = \\\\mu v + g"]
    """
    found = traced(formula, names)
    letters = NAMES | names
    given = {node.number: Text(name, ATOM) for node, name in zip(found.outputs, results, strict=True)}
    plain = [Writer(letters).written(output).latex for output in found.outputs]
    parts = [] if len(found.outputs) == 1 and len(plain[0]) <= LONG else shared(found, given)
    taken = {letters.get(a.value, symbol(a.value)) for a in found.arguments}
    free = (letter for letter in LETTERS if letter not in taken)
    for part in parts:
        given[part.number] = Text(next(free), ATOM)
    return [f"{given[n.number].latex} = {Writer(letters, given).written(n).latex}" for n in (*found.outputs, *parts)]


def shared(found: Trace, given: Mapping[int, Text]) -> list[Node]:
    """The parts that stand in a formula more than once and are long enough for a letter of their own."""
    uses: dict[int, int] = {}
    all_nodes = needed(found.outputs)
    for node in all_nodes:
        for argument in {a.number: a for a in node.args}.values():
            square = node.op in ("*", "+") and node.args[0] is node.args[-1]
            uses[argument.number] = uses.get(argument.number, 0) + 1 + (square and node.op == "+")
    long = [n for n in all_nodes if uses.get(n.number, 0) > 1 and n.number not in given and n.args]
    return [n for n in long if len(Writer(NAMES).written(n).latex) > 6]


class Letter:
    """A matrix that is only its name: what formulas of matrices meet instead of arrays, and their namespace."""

    shape = (-1, -1)

    def __init__(self, latex: str = "") -> None:
        self.latex = latex

    def __add__(self, other: Letter) -> Letter:
        return Letter(f"{self.latex} + {other.latex}")

    def matmul(self, a: Letter, b: Letter) -> Letter:
        return Letter(f"{a.latex} {b.latex}")

    def permute_dims(self, a: Letter, axes: Sequence[int]) -> Letter:
        return Letter(f"{a.latex}^{{\\mathsf{{T}}}}")

    def reshape(self, a: Letter, shape: Any) -> Letter:
        return a

    def sum(self, a: Letter, *, axis: int, keepdims: bool) -> Letter:
        return Letter(rf"\sum_{{i}} {a.latex}_{{i}}")


def products(formula: Callable[..., Any], arguments: Sequence[str], results: Sequence[str], slope: str) -> list[str]:
    """LaTeX of a formula of matrices (rows, a kernel, a bias) and of its derivative at `slope`.

    >>> from deepmath.formulas.affine import affine
    >>> products(affine, ["X", "W", "b"], ["Y", "dX"], "D")
    ['Y = X W + b', 'dX = D W^{\\\\mathsf{T}}']
    """
    graph = Graph(of_arrays=True)
    xp, dims = Arrays(graph), [(Size(graph, "rows"), 3), (3, 2), (2,)]
    given = [graph.array(name, d) for name, d in zip(arguments, dims, strict=True)]
    value = formula(xp, *given)
    dy = graph.array(slope, value.dims)
    letters = {node.number: Letter(str(node.value)) for node in (*given, dy)}
    shown = evaluate(Letter(), [value, *gradients(xp, [value], [dy], given)], letters)
    return [f"{name} = {part.latex}" for name, part in zip(results, shown, strict=False)]


def pieces(text: str | None) -> list[str]:
    """What stands between semicolons."""
    return [part.strip() for part in (text or "").split(";") if part.strip()]


class Printed(SphinxDirective):
    """One formula of numbers."""

    required_arguments = 1
    option_spec = {"results": directives.unchanged_required, "names": directives.unchanged}  # noqa: RUF012 - docutils'

    def lines(self) -> list[str]:
        """The equations."""
        names = dict(tuple(part.split("=", 1)) for part in pieces(self.options.get("names")))
        return equations(function(self.arguments[0]), pieces(self.options["results"]), names)

    def run(self) -> list[nodes.Node]:
        shown = [nodes.math_block(line, line, nowrap=False, number=None, label=None) for line in self.lines()]
        return [nodes.container("", *shown, self.link(), classes=["formula"])]

    def link(self) -> nodes.paragraph:
        """The formula's name as a link to what the reference says of it."""
        target = f"deepmath.formulas.{self.arguments[0]}"
        name = nodes.literal("", target.removeprefix("deepmath."))
        xref = addnodes.pending_xref(
            "", name, refdomain="py", reftype="func", reftarget=target, refexplicit=True, refwarn=True,
            refdoc=self.env.docname,
        )  # fmt: skip
        return nodes.paragraph("", "", xref)


class Matrices(Printed):
    """One formula of matrices, and its pullback."""

    option_spec = {  # noqa: RUF012 - docutils'
        "arguments": directives.unchanged_required,
        "results": directives.unchanged_required,
        "slope": directives.unchanged,
    }

    def lines(self) -> list[str]:
        arguments, results = pieces(self.options["arguments"]), pieces(self.options["results"])
        return products(function(self.arguments[0]), arguments, results, self.options.get("slope", r"\dot Y"))


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls."""
    app.add_directive("formula", Printed)
    app.add_directive("matrices", Matrices)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
