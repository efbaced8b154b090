"""A map of a cut graph as the formula of one kernel, which is what printers take; or of several."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from deepmath.graph.kernels import Map, Space, body, kind_in
from deepmath.graph.nodes import BATCH_SUM, OPERATORS, REDUCTIONS, Node

Formula = Callable[..., Any]


def formula_of(k: Map) -> tuple[Formula, list[str], list[Node], list[Node], bool]:
    """A map as a kernel's formula: (formula, kinds of its arguments, arrays, numbers, does it go along whole rows).

    The arguments are the arrays, the numbers, "index" and "row_index". An array of kind "cell" is a row's number here.
    """
    nodes = body(k)
    scalars = [n for n in nodes if n.op in ("argument", "size")]
    kinds = [{"cell": "row"}.get(kind, kind) + _dtype(n) for kind, n in zip(k.kinds, k.inputs, strict=False)]
    kinds += ["scalar" + _dtype(n) for n in scalars] + ["index", "row_index"]
    known = {n.number: i for i, n in enumerate([*k.inputs, *scalars])}
    wanted = [{"cell": "row"}.get(kind, kind) for kind in k.kinds[len(k.inputs) :]]

    def formula(xp: Any, *values: Any) -> Any:
        found = {number: values[i] for number, i in known.items()}
        index, row = values[-2:]
        for node in nodes:
            if node.number not in found:
                args = [found[a.number] for a in node.args]
                found[node.number] = value_of(xp, node, args, index, row, k.space)
        results = [_laid(xp, found[o.number], kind, index, row) for o, kind in zip(k.outputs, wanted, strict=True)]
        return tuple(results)

    whole = any(n.op in ("row_sum", "row_max", "columns") for n in nodes)
    return formula, kinds, k.inputs, scalars, whole


def _dtype(node: Node) -> str:
    return "" if node.dtype == "float" else f":{node.dtype}"


def value_of(xp: Any, node: Node, args: list[Any], index: Any, row: Any, space: Space) -> Any:
    """A node's value from those of its arguments; `index` and `row` are the numbers of the column and the row."""
    op = node.op
    if op == "constant":
        return node.value
    if op == "columns":
        return index.shape[1] if node.value == space.columns else node.value
    if op == "index":
        return index
    if op == "broadcast_to":
        return args[0]
    if op == "astype":
        return xp.astype(args[0], node.dtype) if isinstance(args[0], Node) else args[0]
    if op in ("row_sum", "row_max"):
        along = isinstance(args[0], Node) and args[0].axes[1]
        if not along:
            return args[0] if op == "row_max" else args[0] * index.shape[1]
        return (xp.sum if op == "row_sum" else xp.max)(args[0], axis=-1, keepdims=True)
    if op == BATCH_SUM:
        return xp.batch_sum(_laid(xp, args[0], "element", index, row))
    if op in OPERATORS:
        return OPERATORS[op](*args)
    if op == "where" and not any(isinstance(a, Node) for a in args[1:]):
        return xp.where(args[0], args[1] + 0.0 * xp.astype(index, "float"), args[2])
    return getattr(xp, op)(*args)


def _laid(xp: Any, value: Any, kind: str, index: Any, row: Any) -> Any:
    """The value so that it varies along the axes that its kind says."""
    if kind == "column":  # a sum over the batch
        return value
    if not isinstance(value, Node):
        value = xp.astype(row, "float") * 0.0 + value
    elif not value.axes[0]:
        value = xp.where(row >= 0, value, value)
    return value if kind == "row" or value.axes[1] else xp.where(index >= 0, value, value)


_OVER = tuple(REDUCTIONS.values())
DEAR = {"exp", "expm1", "log", "log1p", "tanh", "cos", "sin", "pow"}
"""Functions that cost more than a trip to memory, one by one."""


def pieces(k: Map) -> list[Map]:
    """The map as several, none of which computes something dear for an element more than once.

    A row is gone through once for each reduction that needs another; what is dear to compute in each turn is stored.
    """
    kept: dict[int, Node] = {}
    while True:
        turns = _turns(k, kept)
        dear = (n for n in turns.values() if n.node.op in DEAR and n.node.number not in kept and len(n.turns) > 1)
        first = next(dear, None)
        if first is None:
            break
        alike = [n.node for n in turns.values() if n.turns == first.turns]
        last = [n for n in alike if first.node.number in {m.number for m in _elements(k, n, kept)}][-1]
        kept[last.number] = last
    rest = [o for o in k.outputs if o.number not in kept]
    found = [[kept[number]] for number in sorted(kept)] + [rest] * bool(rest)
    return [_piece(k, outputs, kept) for outputs in found] if kept else [k]


class _Element(NamedTuple):
    """A value of each element, and the turns in which it is computed."""

    node: Node
    turns: set[int]


def _turns(k: Map, kept: Mapping[int, Node]) -> dict[int, _Element]:
    """The values of elements by number, in their order."""
    level: dict[int, int] = {}
    targets: list[tuple[Node, int]] = []
    nodes = body(k)
    for n in nodes:
        below = max((level.get(a.number, 0) for a in n.args), default=0)
        level[n.number] = below + (n.op in _OVER)
        if n.op in _OVER:
            targets.append((n.args[0], below))
    targets += [(n, level[n.number]) for n in kept.values()]
    targets += [(o, max(level.values())) for o in k.outputs]
    found = {n.number: _Element(n, set()) for n in nodes}
    for target, turn in targets:
        for n in _elements(k, target, kept):
            found[n.number].turns.add(turn)
    return {number: n for number, n in found.items() if n.turns}


def _elements(k: Map, target: Node, kept: Mapping[int, Node]) -> list[Node]:
    """What is computed for each element on the way to a target."""
    given = {n.number for n in k.inputs}
    found: dict[int, Node] = {}
    stack = [target]
    while stack:
        n = stack.pop()
        stored = n.number in given or (n.number in kept and n is not target)
        if not stored and n.number not in found and n.op not in _OVER and kind_in(k.space, n.dims) == "element":
            found[n.number] = n
            stack.extend(n.args)
    return list(found.values())


def _piece(k: Map, outputs: list[Node], kept: Mapping[int, Node]) -> Map:
    given = {n.number: kind for n, kind in zip(k.inputs, k.kinds, strict=False)} | dict.fromkeys(kept, "element")
    kinds = {o.number: kind for o, kind in zip(k.outputs, k.kinds[len(k.inputs) :], strict=True)}
    inputs: dict[int, Node] = {}
    seen: set[int] = set()
    stack = [a for o in outputs for a in o.args]
    while stack:
        n = stack.pop()
        if n.number in given:
            inputs[n.number] = n
        elif n.number not in seen:
            seen.add(n.number)
            stack.extend(n.args)
    reads = [inputs[number] for number in sorted(inputs)]
    written = [kinds.get(o.number, "element") for o in outputs]
    return Map(reads, outputs, k.depth, k.space, [given[n.number] for n in reads] + written)
