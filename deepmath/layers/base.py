"""What every layer can do.

A layer draws its first parameters (`init`) and is one function of arrays (`forward`). Its derivative is taken on the
graph of that function; programs trace it and compile what it does, without knowing which layer it is. One that can't be
traced brings its own way back (`apply`), and runs by the reference between the compiled parts.
"""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from deepmath.derivative import gradients
from deepmath.errors import ConfigError
from deepmath.evaluation import evaluate
from deepmath.graph import Dims, Graph, Node, Size
from deepmath.initializers import Draws
from deepmath.ranges import UNKNOWN, Range
from deepmath.regularizers import Constraint, Regularizer
from deepmath.trace import Arrays
from deepmath.typing import Namespace

Shape = tuple[int, ...]
Values = dict[str, Any]
Bits = Callable[[int, int], Any]
Pullback = Callable[[Any], tuple[Any, Values]]


class Layer(abc.ABC):
    """What every layer can do. Shapes leave out the batch axis."""

    @abc.abstractmethod
    def init(self, shape: Shape, draws: Callable[[int], Draws]) -> tuple[Values, Values]:
        """First parameters and state for inputs of this shape, by name, as float64 NumPy arrays.

        `draws(i)` is where the random numbers of parameter number i come from. Parameters are trained; state
        (running averages) is what `apply` hands on.
        """

    @property
    def constants(self) -> tuple[float, ...]:
        """The numbers that `forward` takes last. They are run-time values: other numbers compile nothing."""
        return ()

    def forward(
        self, xp: Namespace, params: Mapping[str, Any], state: Mapping[str, Any], x: Any, bits: Bits, training: bool,
        *constants: Any,
    ) -> tuple[Any, Values]:  # fmt: skip
        """(y, new state) for inputs x [batch, *shape].

        `bits(rows, units)` gives whole numbers in [0, 2^24) [rows, units], the same on every library. Nothing that is
        passed in is changed.
        """
        raise ConfigError(f"{type(self).__name__} is a layer without a forward method; write forward(...), see Layer")

    def apply(
        self, xp: Namespace, params: Mapping[str, Any], state: Mapping[str, Any], x: Any, bits: Bits, training: bool
    ) -> tuple[Any, Pullback, Values]:
        """(y, pullback, new state) for inputs x [batch, *shape].

        The pullback takes dy and gives (dx, gradients by parameter name). A layer overrides this where `forward` can't
        be traced.
        """
        y, new = self.forward(xp, params, state, x, bits, training, *self.constants)
        if isinstance(xp, Arrays):
            return y, functools.partial(_pulled, xp, x, params, y), new
        return y, functools.partial(_backward, self, xp, params, state, x, bits, training), new

    def output_shape(self, shape: Shape) -> Shape:
        """The shape that inputs of this shape come out with."""
        return shape

    def output_range(self, inputs: Range) -> Range:
        """Which values its outputs can have in training, for inputs from this range; unknown for one of one's own."""
        return UNKNOWN

    def parts(self) -> tuple[Layer, ...]:
        """The layer as a chain of simpler ones; programs fuse and replace these. All parameters are the first's."""
        return (self,)

    def penalties(self) -> Mapping[str, Regularizer]:
        """Regularisers by parameter name."""
        return {}

    def constraints(self) -> Mapping[str, Constraint]:
        """Constraints by parameter name."""
        return {}


class TracedLayer(NamedTuple):
    """A layer as a graph: its arguments, its results, and its way back, which goes on in the same graph."""

    xp: Arrays
    x: Node
    params: dict[str, Node]
    state: dict[str, Node]
    constants: tuple[Node, ...]
    y: Node
    pullback: Pullback
    new_state: Values


def traced(
    layer: Layer, xp: Arrays, params: Mapping[str, Node], state: Mapping[str, Node], x: Node, bits: Bits,
    training: bool, constants: tuple[Node, ...],
) -> tuple[Node, Pullback, Values]:  # fmt: skip
    """`apply` on symbols. Raises TraceError for what can't be traced."""
    if not _has_forward(type(layer)):
        found = layer.apply(xp, params, state, x, bits, training)
        if not isinstance(found, tuple) or len(found) != 3:
            raise TypeError("apply gives no (outputs, pullback, new state)")
        return found
    y, new = layer.forward(xp, params, state, x, bits, training, *constants)
    return y, functools.partial(_pulled, xp, x, params, y), new


def _has_forward(kind: type) -> bool:
    """Whether `forward` says what a layer of this class does: a class that overrides `apply` alone means that."""
    first = next(c for c in kind.__mro__ if "forward" in vars(c) or "apply" in vars(c))
    return first is not Layer and "forward" in vars(first)


def trace_layer(
    layer: Layer, shape: Shape, params: Mapping[str, Dims], state: Mapping[str, Dims], training: bool
) -> TracedLayer:
    """The graph of a layer's `forward` by itself, for inputs [batch, *shape]."""
    graph = Graph(of_arrays=True)
    xp = Arrays(graph)
    x = graph.array("x", (Size(graph, "batch"), *shape))
    of_params = {n: graph.array(f"params.{n}", s) for n, s in params.items()}
    of_state = {n: graph.array(f"state.{n}", s) for n, s in state.items()}
    constants = tuple(graph.array(f"constant{i}", ()) for i in range(len(layer.constants)))

    def bits(rows: Any, units: int) -> Node:
        return graph.random(None, rows, units)

    y, new = layer.forward(xp, of_params, of_state, x, bits, training, *constants)
    pullback = functools.partial(_pulled, xp, x, of_params, y)
    return TracedLayer(xp, x, of_params, of_state, constants, y, pullback, new)


def _pulled(xp: Arrays, x: Node, params: Mapping[str, Node], y: Node, dy: Node) -> tuple[Node, Values]:
    """dx and the gradients of the parameters, on the graph."""
    dx, *found = gradients(xp, [y], [dy], [x, *params.values()])
    return dx, dict(zip(params, found, strict=True))


def _backward(
    layer: Layer, xp: Namespace, params: Mapping[str, Any], state: Mapping[str, Any], x: Any, bits: Bits,
    training: bool, dy: Any,
) -> tuple[Any, Values]:  # fmt: skip
    """dx and the gradients of the parameters, on arrays: the layer's graph is evaluated."""
    of_params, of_state = ({n: tuple(v.shape) for n, v in values.items()} for values in (params, state))
    found = trace_layer(layer, tuple(x.shape[1:]), of_params, of_state, training)
    cotangent = found.x.graph.array("dy", found.y.dims)
    dx, grads = found.pullback(cotangent)
    values = {found.x.number: x, cotangent.number: dy}
    values |= {node.number: number for node, number in zip(found.constants, layer.constants, strict=True)}
    values |= {node.number: params[name] for name, node in found.params.items()}
    values |= {node.number: state[name] for name, node in found.state.items()}
    for node in found.x.graph.nodes:
        if node.op == "random":
            values[node.number] = bits(x.shape[0] * node.dims[0].times, node.dims[1])
    results = evaluate(xp, [dx, *grads.values()], values)
    return results[0], dict(zip(grads, results[1:], strict=True))
