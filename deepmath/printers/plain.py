"""A graph of numbers as plain text, for terminals: what `latex` writes, with * and / and exp()."""

from __future__ import annotations

from deepmath.graph import Node
from deepmath.printers.latex import ATOM, FACTOR, LOGIC, OPEN, PRODUCT, RELATION, SUM, Text, Writer, added

CALLS = {
    "exp": "exp", "expm1": "expm1", "log": "ln", "log1p": "log1p", "sqrt": "sqrt", "tanh": "tanh", "cos": "cos",
    "sin": "sin", "sign": "sign", "floor": "floor", "maximum": "max", "minimum": "min", "pow": "pow",
    "isnan": "isnan", "isinf": "isinf", "isfinite": "isfinite",
}  # fmt: skip
WORDS = {"logical_and": "and", "logical_or": "or", "&": "&", "|": "|", "^": "xor"}
OVER = {"row_sum": "sum_j", "row_max": "max_j", "batch_sum": "sum_i"}


class PlainWriter(Writer):
    """Writes nodes as text that a reader can also type into a calculator.

    >>> from deepmath.trace import trace
    >>> formula = trace(lambda xp, z: 1.0 / (1.0 + xp.exp(-z)), ["scalar"])
    >>> PlainWriter().text(formula.outputs[0]).latex
    '1 / (1 + exp(-z))'
    """

    def written(self, node: Node) -> Text:
        if node.op == "constant":
            text = repr(node.value).removesuffix(".0")
            return Text(text, SUM if text.startswith("-") else ATOM)
        if node.op == "argument":
            return Text(self.names.get(node.value, node.value), ATOM)
        if node.op == "*" and node.args[0] is node.args[1]:
            return Text(f"{self.text(node.args[0]).at_least(ATOM)}^2", FACTOR)
        return super().written(node)

    def fraction(self, a: Node, b: Node) -> Text:
        return Text(f"{self.text(a).at_least(PRODUCT)} / {self.text(b).at_least(FACTOR)}", PRODUCT)

    def operation(self, op: str, node: Node, args: list[Text]) -> Text:
        first, last = args[0], args[-1]
        if op == "-" and len(args) == 2:
            return added(first, last, True)
        if op == "*":
            return Text(f"{first.at_least(PRODUCT)} * {last.at_least(FACTOR)}", PRODUCT)
        if op == "abs":
            return Text(f"|{first.latex}|", ATOM)
        if op in CALLS:
            return Text(f"{CALLS[op]}({', '.join(a.latex for a in args)})", ATOM)
        if op in WORDS:
            return Text(f"{first.at_least(RELATION)} {WORDS[op]} {last.at_least(RELATION)}", LOGIC)
        if op in OVER:
            return Text(f"{OVER[op]} {first.at_least(PRODUCT)}", OPEN)
        if op in ("<", "<=", ">", ">=", "==", "!="):
            return Text(f"{first.at_least(SUM)} {op} {last.at_least(SUM)}", RELATION)
        if op == "where":
            return Text(f"({args[1].latex} if {first.latex} else {last.latex})", ATOM)
        if op == "logical_not":
            return Text(f"not {first.at_least(ATOM)}", RELATION)
        if op in ("<<", ">>", "%", "//"):
            return Text(f"{first.at_least(FACTOR)} {op} {last.at_least(FACTOR)}", SUM)
        return super().operation(op, node, args)
