"""The derivative of a formula, taken on its graph by the chain rule from the result back to the arguments.

`pullback` differentiates the formula of a kernel, `gradients` functions of arrays of any rank.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from deepmath.errors import TraceError
from deepmath.evaluation import Evaluation
from deepmath.formulas.activations import tanh_slope
from deepmath.graph import ARRAYS, BATCH_SUM, Node, needed
from deepmath.graph.kernels import is_turn
from deepmath.trace import Arrays, Formula, Symbols, trace

Rule = Callable[..., tuple[Any, ...]]

RULES: dict[str, Rule] = {
    "+": lambda xp, y, c, a, b: (c, c),
    "-": lambda xp, y, c, a, b: (c, -c),
    "*": lambda xp, y, c, a, b: (c * b, c * a),
    "/": lambda xp, y, c, a, b: (c / b, -(c * (y / b))),
    "neg": lambda xp, y, c, a: (-c,),
    "abs": lambda xp, y, c, a: (c * xp.sign(a),),
    "exp": lambda xp, y, c, a: (c * y,),
    "expm1": lambda xp, y, c, a: (c * xp.exp(a),),
    "log": lambda xp, y, c, a: (c / a,),
    "log1p": lambda xp, y, c, a: (c / (1.0 + a),),
    "sqrt": lambda xp, y, c, a: (c / (2.0 * y),),
    "cos": lambda xp, y, c, a: (-(c * xp.sin(a)),),
    "sin": lambda xp, y, c, a: (c * xp.cos(a),),
    "tanh": lambda xp, y, c, a: (c * tanh_slope(xp, a, y),),
    "maximum": lambda xp, y, c, a, b: _larger(xp, c, a > b, a < b),
    "minimum": lambda xp, y, c, a, b: _larger(xp, c, a < b, a > b),
    "where": lambda xp, y, c, condition, a, b: (None, xp.where(condition, c, 0.0), xp.where(condition, 0.0, c)),
    "pow": lambda xp, y, c, a, b: (c * (b * xp.pow(a, b - 1.0)), c * (y * xp.log(a))),
    "row_sum": lambda xp, y, c, a: (c,),
    "row_max": lambda xp, y, c, a: (_at_largest(xp, y, c, a),),
    BATCH_SUM: lambda xp, y, c, a: (c,),
    "matmul": lambda xp, y, c, a, b: _factors(xp, c, a, b),
    "reshape": lambda xp, y, c, a: (xp.reshape(c, a.dims),),
    "permute_dims": lambda xp, y, c, a: (xp.permute_dims(c, sorted(range(len(y.value)), key=y.value.__getitem__)),),
    "broadcast_to": lambda xp, y, c, a: (c,),
    "concat": lambda xp, y, c, *arrays: _pieces(y, c, arrays),
    "slice": lambda xp, y, c, a: (y.graph.embed(c, y.value, a.dims[y.value[0]]),),
    "embed": lambda xp, y, c, a: (y.graph.slice(c, *y.value),),
}
"""For each operation: (xp, its result, the result's cotangent, its arguments) -> a cotangent for each argument.

Kinks: |x|, max(x, y) and min(x, y) have slope 0 where they bend (x = 0, x = y), so relu written as
max(z, 0) has slope 0 at 0. Where several values of a row are the largest, they share its cotangent.
"""

FLAT = {"sign", "floor", "astype"}
"""Operations whose derivative is zero wherever it exists."""


def _larger(xp: Any, c: Node, first: Node, second: Node) -> tuple[Node, Node]:
    return xp.where(first, c, 0.0), xp.where(second, c, 0.0)


def _at_largest(xp: Symbols, y: Node, c: Node, a: Node) -> Node:
    hit = xp.astype(y.graph.node("==", a, y), "float")
    return c * hit / xp.sum(hit, axis=-1, keepdims=True)


def _factors(xp: Any, c: Node, a: Node, b: Node) -> tuple[Node, Node]:
    da = _product(xp, c, xp.matrix_transpose(b), is_turn(a))
    if len(b.dims) == 2 and len(a.dims) > 2:  # one matrix for all: one product over all rows
        a, c = xp.reshape(a, (-1, a.dims[-1])), xp.reshape(c, (-1, c.dims[-1]))
    return da, _product(xp, xp.matrix_transpose(a), c, is_turn(b))


def _product(xp: Any, a: Node, b: Node, turned: bool) -> Node:
    """a b; as the transpose of b^T a^T where it will be turned: then nothing has to be moved."""
    if not turned:
        return xp.matmul(a, b)
    return xp.matrix_transpose(xp.matmul(xp.matrix_transpose(b), xp.matrix_transpose(a)))


def _pieces(y: Node, c: Node, arrays: Sequence[Node]) -> tuple[Node, ...]:
    axis, start, found = y.value, 0, []
    for a in arrays:
        found.append(c.graph.slice(c, axis, start, 1, a.dims[axis]))
        start += a.dims[axis]
    return tuple(found)


def gradients(xp: Arrays, outputs: Sequence[Node], seeds: Sequence[Node], targets: Sequence[Node]) -> list[Node]:
    """The cotangents of `targets`, each of its target's shape, for those of `outputs`; zeros where none arrives.

    Raises TraceError where a derivative is needed that there isn't.

    >>> from deepmath.graph import Graph
    >>> graph = Graph(of_arrays=True)
    >>> xp, x, w = Arrays(graph), graph.array("x", (4, 3)), graph.array("w", (3, 2))
    >>> y = xp.matmul(x, w)
    >>> [g.dims for g in gradients(xp, [y], [graph.array("dy", (4, 2))], [x, w])]
    [(4, 3), (3, 2)]
    """
    path, live, cotangents = _start(outputs, seeds, targets)
    wanted = {t.number for t in targets}
    for node in path:
        if node.number not in cotangents or node.number in wanted:
            continue
        c = cotangents[node.number]
        if node.number in xp.slopes:
            z, backward = xp.slopes[node.number]
            _accumulate(cotangents, z, _fitted(xp, backward(xp, node, _spread(xp, c, node)), z))
        elif node.args and node.op not in FLAT:
            if node.op not in RULES:
                raise TraceError(f"the derivative passes through '{node.op}', which has none; write a pullback")
            shares = RULES[node.op](xp, node, _spread(xp, c, node) if node.op in ARRAYS else c, *node.args)
            for argument, share in zip(node.args, shares, strict=True):
                if argument.number in live and share is not None:
                    _accumulate(cotangents, argument, _fitted(xp, share, argument))
    return [_spread(xp, cotangents[t.number], t) if t.number in cotangents else xp.zeros_like(t) for t in targets]


def _start(
    outputs: Sequence[Node], seeds: Sequence[Node], targets: Sequence[Node]
) -> tuple[list[Node], set[int], dict[int, Node]]:
    """The nodes on the ways from results to targets, results first; their numbers; the cotangents of the results."""
    order, live = needed(outputs), {t.number for t in targets}
    for node in order:
        if any(a.number in live for a in node.args):
            live.add(node.number)
    cotangents: dict[int, Node] = {}
    for output, seed in zip(outputs, seeds, strict=True):
        if output.number in live:
            _accumulate(cotangents, output, seed)
    return [node for node in reversed(order) if node.number in live], live, cotangents


def _spread(xp: Arrays, share: Node, node: Node) -> Node:
    return share if share.dims == node.dims else xp.broadcast_to(share, node.dims)


def _fitted(xp: Arrays, share: Node, argument: Node) -> Node:
    """The share summed over the axes along which its argument was broadcast."""
    extra = len(share.dims) - len(argument.dims)
    padded = (1,) * extra + argument.dims
    axes = tuple(i for i, (s, a) in enumerate(zip(share.dims, padded, strict=True)) if a == 1 and s != 1)
    if axes:
        share = xp.sum(share, axis=axes, keepdims=True)
    return xp.reshape(share, share.dims[extra:]) if extra > 0 else share


def pullback(formula: Formula, kinds: Sequence[str], wanted: Sequence[int] = (0,)) -> Formula:
    """The derivative of `formula(xp, *arguments)`, itself a formula.

    It takes (xp, *arguments, *cotangents), one cotangent for each of the formula's results, and gives the
    cotangents of the arguments whose places stand in `wanted` (one result, or a tuple). An argument that
    all rows share, such as a bias, gets the sum over the rows. Raises TraceError where the formula can't
    be traced or differentiated.

    >>> import numpy as np
    >>> derivative = pullback(lambda xp, z: xp.exp(2.0 * z), ["element"])
    >>> derivative(np, np.asarray([[0.0]]), np.asarray([[1.0]]))
    array([[2.]])
    """
    traced = trace(formula, kinds)
    graph = traced.outputs[0].graph
    xp = Symbols(graph)
    seeds = [graph.argument(f"cotangent{i}", _kind(o)) for i, o in enumerate(traced.outputs)]
    targets = [traced.arguments[i] for i in wanted]
    cotangents = _backward(xp, traced.outputs, seeds, targets)
    results = tuple(cotangents.get(t.number) for t in targets)
    inputs = [*traced.arguments, *seeds]
    zeros = [i for i, r in enumerate(results) if r is None]
    evaluation = Evaluation([r for r in results if r is not None], [node.number for node in inputs])

    def derivative(xp: Any, *values: Any) -> Any:
        known = {node.number: value for node, value in zip(inputs, values, strict=True)}
        live = evaluation.run(xp, known)
        found = tuple(0.0 if i in zeros else next(live) for i in range(len(results)))
        return found if len(found) > 1 else found[0]

    return derivative


def _kind(node: Node) -> str:
    rows, columns = node.axes
    return ("element" if columns else "row") if rows else ("column" if columns else "scalar")


def _backward(xp: Symbols, outputs: Sequence[Node], seeds: Sequence[Node], targets: Sequence[Node]) -> dict[int, Node]:
    """Cotangents by node number, from the results down to the targets."""
    path, live, cotangents = _start(outputs, seeds, targets)
    for node in path:
        if not node.args or node.number not in cotangents or node.op in FLAT:
            continue
        if node.op not in RULES or node.op == BATCH_SUM:
            raise TraceError(f"the formula's derivative passes through '{node.op}', which has none; write its slope")
        shares = RULES[node.op](xp, node, cotangents[node.number], *node.args)
        for argument, share in zip(node.args, shares, strict=True):
            if argument.number in live and share is not None:
                _accumulate(cotangents, argument, _summed(xp, share, argument))
    return {t.number: _over_batch(cotangents[t.number], t) for t in targets if t.number in cotangents}


def _accumulate(cotangents: dict[int, Node], node: Node, share: Node) -> None:
    known = cotangents.get(node.number)
    cotangents[node.number] = share if known is None else known + share


def _summed(xp: Symbols, share: Node, argument: Node) -> Node:
    """Sum a share along the row where its argument has one value for the whole row."""
    along = share.axes[1] and not argument.axes[1]
    return xp.sum(share, axis=-1, keepdims=True) if along else share


def _over_batch(cotangent: Node, target: Node) -> Node:
    """Sum over the rows, last of all, where all rows share the argument: kernels can end with such a sum only."""
    shared = cotangent.axes[0] and not target.axes[0]
    return cotangent.graph.reduce(BATCH_SUM, cotangent) if shared else cotangent
