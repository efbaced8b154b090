"""A graph evaluated one operation after the other: on the arrays of any library, or on the symbols of another trace."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import array_api_compat

from deepmath.errors import TraceError
from deepmath.graph import ARRAYS, BATCH_SUM, OPERATORS, Dims, Node, Size, needed
from deepmath.trace import Symbols


def evaluate(xp: Any, outputs: Sequence[Node], values: Mapping[int, Any]) -> tuple[Any, ...]:
    """The results of a graph for given arguments (node number -> value), on arrays or on symbols of another trace."""
    return tuple(Evaluation(outputs, values).run(xp, values))


class Evaluation:
    """The order in which `outputs` are computed, found once, to be run as often as one likes.

    Outputs come in their order, each as soon as it is there, and what nothing needs any more is dropped. `given` holds
    the numbers of the nodes whose values `run` gets.
    """

    def __init__(self, outputs: Sequence[Node], given: Collection[int] = ()) -> None:
        done, stages = set(given), []
        for output in outputs:
            new = needed([output], done)
            stages.append((output, new))
            done.update(n.number for n in new)
        later: set[int] = set()
        self._stages: list[_Stage] = []
        for output, nodes in reversed(stages):
            dropped = _last_uses([output], later)
            operations = [_operation(node, later) for node in reversed(nodes)]
            self._stages.append(_Stage(operations[::-1], output, dropped))
        self._stages.reverse()

    def run(self, xp: Any, values: Mapping[int, Any], outside: Outside | None = None) -> Iterator[Any]:
        """The outputs for these values, by node number; `outside` computes what is no formula."""
        known = dict(values)
        given = Given(xp, known, self._stages[0].output.graph.nodes, outside) if self._stages else None
        for operations, output, dropped in self._stages:
            for node, rule, args, unused in operations:
                known[node.number] = rule(given, node, [known[a] for a in args])
                for number in unused:
                    del known[number]
            value = known[output.number]
            for number in dropped:
                del known[number]
            yield value


class _Operation(NamedTuple):
    """A node, the rule that computes it, and the numbers of the nodes that it takes, and that nobody takes after it."""

    node: Node
    rule: Rule
    args: tuple[int, ...]
    unused: tuple[int, ...]


class _Stage(NamedTuple):
    """What is computed for an output, and the numbers of the nodes that nobody takes after it."""

    operations: list[_Operation]
    output: Node
    unused: tuple[int, ...]


def _operation(node: Node, later: set[int]) -> _Operation:
    return _Operation(node, _rule(node), tuple(a.number for a in node.args), _last_uses(node.args, later))


def _last_uses(nodes: Sequence[Node], later: set[int]) -> tuple[int, ...]:
    """The numbers of those which aren't used later; they are `later` for whoever comes before."""
    found = tuple(dict.fromkeys(n.number for n in nodes if n.number not in later))
    later.update(found)
    return found


class Given:
    """What an evaluation is given: the library, and the sizes, dtypes and device of the arguments."""

    def __init__(self, xp: Any, values: Mapping[int, Any], nodes: Sequence[Node], outside: Outside | None) -> None:
        self.xp, self.outside = xp, outside
        self._symbols = isinstance(xp, Symbols)
        self._arguments = [(nodes[number], values[number]) for number in sorted(values)]
        self._sizes: dict[str, Any] = {}
        self._dtypes: dict[str, Any] = {}

    def size(self, name: str) -> Any:
        """The size of this name, read off an argument that has it, or given itself."""
        if name not in self._sizes:
            self._sizes[name] = self._size(name)
        return self._sizes[name]

    def _size(self, name: str) -> Any:
        for node, value in self._arguments:
            if node.op == "size" and node.value == name:
                return value
            for i, d in enumerate(reversed(node.dims), 1):
                if isinstance(d, Size) and d.name == name and (node.graph.of_arrays or all(node.axes)):
                    length = value.shape[-i]
                    return length if d.times == 1 else length // d.times
        raise TraceError(f"no argument has the size {name}")

    def shape(self, dims: Dims) -> tuple[Any, ...]:
        """Dimensions as numbers."""
        return tuple(self.size(d.name) * d.times if isinstance(d, Size) else d for d in dims)

    def dtype(self, kind: str) -> Any:
        """The library's dtype for "float", "int" or "bool": that of the first such argument."""
        if self._symbols:
            return kind
        if kind not in self._dtypes:
            arrays = [v for n, v in self._arguments if n.dtype == kind and hasattr(v, "dtype")]
            like = arrays[0] if arrays else self.xp.asarray({"float": 0.0, "int": 0, "bool": False}[kind])
            self._dtypes[kind] = like.dtype
        return self._dtypes[kind]

    def array(self, number: Any, kind: str) -> Any:
        """A number of a formula as an array without axes; an array as it is."""
        if hasattr(number, "shape"):
            return number
        if self._symbols:
            return self.xp.asarray(number)
        like = next((v for _, v in self._arguments if hasattr(v, "shape")), None)
        device = None if like is None else array_api_compat.device(like)
        return self.xp.asarray(number, dtype=self.dtype(kind), device=device)


Rule: TypeAlias = Callable[[Any, Node, list[Any]], Any]
"""(Given, node, its arguments' values) -> its value."""
Outside: TypeAlias = Callable[[Node, list[Any]], Any]
"""(node, its arguments' values) -> its value, for a node that is no formula: random bits, what can't be traced."""


def _rule(node: Node) -> Rule:
    found = _RULES.get(node.op)
    if found is not None:
        return found
    if node.op in OPERATORS:
        operator = OPERATORS[node.op]
        return lambda _given, _node, args: operator(*args)
    return _function if node.dims else _function_of_numbers


def _function(given: Given, node: Node, args: list[Any]) -> Any:
    return getattr(given.xp, node.op)(*args)


def _function_of_numbers(given: Given, node: Node, args: list[Any]) -> Any:
    """Libraries' functions take arrays: one of the arguments at least must be one."""
    if not any(hasattr(a, "shape") for a in args):
        args = [given.array(a, n.dtype) for a, n in zip(args, node.args, strict=True)]
    return _function(given, node, args)


def _where(given: Given, _: Node, args: list[Any]) -> Any:
    condition, a, b = args
    if not hasattr(a, "shape") and not hasattr(b, "shape"):
        a = given.array(a, "float")
    return given.xp.where(condition, a, b)


def _batch_sum(given: Given, node: Node, args: list[Any]) -> Any:
    if node.graph.of_arrays or not isinstance(given.xp, Symbols):
        return given.xp.sum(args[0], axis=0, keepdims=node.graph.of_arrays)
    return given.xp.batch_sum(args[0])


def _sliced(given: Given, node: Node, args: list[Any]) -> Any:
    axis, start, step, count = node.value
    if step > 0 or not count:
        return args[0][_places(len(node.dims), axis, start, abs(step), count)]
    last = start + step * (count - 1)  # not every library goes backward
    return given.xp.flip(args[0][_places(len(node.dims), axis, last, -step, count)], axis=axis)


def _places(rank: int, axis: int, start: int, step: int, count: int) -> tuple[slice, ...]:
    """The places start, start + step, ... of an axis, all steps forward and no stop beyond the last one taken."""
    stop = start + step * (count - 1) + 1 if count else start
    return (*[slice(None)] * axis, slice(start, stop, step), *[slice(None)] * (rank - axis - 1))


def _embedded(given: Given, node: Node, args: list[Any]) -> Any:
    """Zeros with x at some places of an axis: by joining, for arrays are never written to."""
    xp, x = given.xp, args[0]
    axis, start, step, count = node.value
    at = {start + i * step: i for i in range(count)}
    zeros = xp.zeros_like(x[_places(len(node.dims), axis, 0, 1, 1)])
    if abs(step) == 1 and count:
        low = min(at)
        x = x if step == 1 else xp.flip(x, axis=axis)
        before, after = low, node.dims[axis] - low - count
        pieces = [zeros] * before + [x] + [zeros] * after
    else:
        pieces = [x[_places(len(node.dims), axis, at[i], 1, 1)] if i in at else zeros for i in range(node.dims[axis])]
    return xp.concat(pieces, axis=axis) if len(pieces) > 1 else pieces[0]


def _outside(given: Given, node: Node, args: list[Any]) -> Any:
    if given.outside is None:
        raise TraceError(f"'{node.op}' has no value outside a program")
    return given.outside(node, args)


def _cast(given: Given, node: Node, args: list[Any]) -> Any:
    return given.xp.astype(given.array(args[0], node.args[0].dtype), given.dtype(node.value))


def _broadcast(given: Given, node: Node, args: list[Any]) -> Any:
    return given.xp.broadcast_to(given.array(args[0], node.dtype), given.shape(node.value))


_RULES: dict[str, Rule] = {
    "constant": lambda _given, node, _args: node.value,
    "columns": lambda _given, node, _args: node.value,
    "size": lambda given, node, _args: given.size(node.value),
    "astype": _cast,
    "row_sum": lambda given, _node, args: given.xp.sum(args[0], axis=-1, keepdims=True),
    "row_max": lambda given, _node, args: given.xp.max(args[0], axis=-1, keepdims=True),
    BATCH_SUM: _batch_sum,
    "where": _where,
    "matmul": lambda given, _node, args: given.xp.matmul(*args),
    "reshape": lambda given, node, args: given.xp.reshape(args[0], given.shape(node.value)),
    "permute_dims": lambda given, node, args: given.xp.permute_dims(args[0], node.value),
    "broadcast_to": _broadcast,
    "concat": lambda given, node, args: given.xp.concat(args, axis=node.value),
    "take": lambda given, node, args: given.xp.take(args[0], args[1], axis=node.value),
    "slice": _sliced,
    "embed": _embedded,
    **dict.fromkeys(("random", "index", "opaque"), _outside),
}
"""For each operation that is neither an operator nor a function of the standard by the same name."""
assert set(_RULES) >= ARRAYS
