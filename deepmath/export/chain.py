"""A model as what every format can hold: kernels in order, and the numbers that they are given.

Layers are what `step_graph` makes of them, in prediction mode, whatever their names; preprocessing is traced in the
same way. What can be computed by kernels can be exported.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from deepmath import trainable
from deepmath.arrays import is_finite
from deepmath.errors import ConfigError, NumericError, TraceError
from deepmath.export.section import UNWRITTEN, Mark, Section, section
from deepmath.formulas.preprocessing import unstandardize
from deepmath.graph import Graph, Size
from deepmath.model import Sequential
from deepmath.optimizers.lbfgs import Standing
from deepmath.preprocessing import Fitted
from deepmath.preprocessing.chain import Chained
from deepmath.preprocessing.encode import TableColumns
from deepmath.preprocessing.inputs import Input
from deepmath.program import Recipe
from deepmath.recipes import parts_of
from deepmath.step_graph import prediction_graph
from deepmath.tables import ClassTarget, NumbersTarget, NumberTarget, TableEncoding
from deepmath.trace import Arrays

PRECISIONS = ("float32", "float64")


class Classes(NamedTuple):
    """The labels of a model's outputs: of the largest one; of a single output the second, where it is > `above`."""

    labels: tuple[Any, ...]
    above: float


class Chain(NamedTuple):
    """A model in prediction mode: sections for rows of `features` numbers, or of as many columns of a table.

    `before` is the fitted preprocessing, which computes in float64 whatever the precision, as it does in `fit`;
    `network` are the layers. `encoding` stands in front of both where the model takes tables, and gives float64.
    """

    features: int
    outputs: int
    precision: str
    before: Section | None
    network: Section
    encoding: TableEncoding | None = None
    classes: Classes | None = None

    @property
    def width(self) -> int:
        """How many numbers the first section takes."""
        return self.features if self.encoding is None else self.encoding.outputs

    @property
    def sections(self) -> list[Section]:
        """Those that do something, in order."""
        return [s for s in (self.before, self.network) if s is not None and (s.stages or s.y is not s.x)]


def chain_of(model: Sequential, precision: str = "float32") -> Chain:
    """The kernels of a model, with its fitted preprocessing first and its last activation, or its target's unit, last.

    Raises ConfigError for a model without weights or whose inputs aren't rows of numbers, NumericError for weights
    that aren't finite, and TraceError that names the layer which can't be traced.

    >>> from deepmath import Dense
    >>> chain = chain_of(Sequential([Dense(3, "relu", input_dim=2)]))
    >>> [(stage.what, type(stage.kernel).__name__) for stage in chain.network.stages]
    [('layer 0, Dense', 'Product'), ('layer 0, Dense', 'Map')]
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"export: precision must be {' or '.join(PRECISIONS)}; got {precision!r}")
    trainable.need_weights(model)
    assert model.input_shape is not None
    if len(model.input_shape) != 1:
        raise ConfigError(f"export: inputs must be rows of numbers; this model's rows have shape {model.input_shape}")
    features, before, encoding = int(model.input_shape[0]), None, None
    if model.preprocessing is not None:
        features = fitted_of(model.preprocessing).features
        encoding, steps = split(model.preprocessing)
        before = preprocessing_of(steps) if steps else None
    network = _network(model, precision, len(before.stages) if before else 0)
    return Chain(features, network.outputs, precision, before, network, encoding, _classes(model, network.outputs))


def _network(model: Sequential, precision: str, first: int) -> Section:
    """The layers, and the unit of the target behind them; `first` is the number of the first kernel."""
    assert model.input_shape is not None
    recipe = Recipe(parts_of(model.layers, model.input_shape), None, Standing(), precision)
    held = {n: np.asarray(v, np.float64) for n, v in model.values.items() if n.startswith(("params.", "state."))}
    shapes = [
        {n.removeprefix(kind): v.shape for n, v in held.items() if n.startswith(kind)} for kind in ("params.", "state.")
    ]
    step = prediction_graph(recipe, *shapes)
    marks = []
    for i, part in enumerate(recipe.parts):
        what = f"layer {part.number}, {type(model.layers[part.number]).__name__}"
        if f"part{i}" in step.reasons:
            raise TraceError(f"export: {UNWRITTEN.format(what)}: {step.reasons[f'part{i}']}")
        _check_finite(what, [v for n, v in held.items() if n.split(".")[1] == str(part.number)])
        marks.append(Mark(what, next(s.node for s in step.seen if (s.name, s.part) == ("y", i))))
    y = marks[-1].y
    if len(y.dims) > 2:
        raise ConfigError(f"export: outputs must be rows of numbers; this model's rows have shape {y.dims[1:]}")
    unit = unit_of(model.target, y.dims[-1])
    if unit is not None:
        given = {"origin": unit[0], "rest": np.zeros(y.dims[-1]), "size": unit[1]}
        arrays = [step.graph.array(f"unit.{n}", v.shape) for n, v in given.items()]
        held |= {f"unit.{n}": v for n, v in given.items()}
        measured: Any = unstandardize(Arrays(step.graph), y, *arrays)
        marks.append(Mark("the outputs' unit", measured))
    return section(precision, step.arguments["x"], marks, {**held, **step.numbers}, first)


def unit_of(target: Any, outputs: int) -> tuple[Any, Any] | None:
    """Origins and sizes [outputs] of a target of numbers, which are output * size + origin; None of any other."""
    if isinstance(target, NumbersTarget):
        return np.asarray(target.origins), np.asarray(target.sizes)
    if isinstance(target, NumberTarget) and (target.origin, target.size) != (0.0, 1.0):
        return np.full(outputs, target.origin), np.full(outputs, target.size)
    return None


def _classes(model: Sequential, outputs: int) -> Classes | None:
    if not isinstance(model.target, ClassTarget) or len(model.target.classes) < 2:
        return None
    labels, above = model.target.classes, getattr(model.loss, "yes_above", None)
    if len(labels) > max(2, outputs):
        raise ConfigError(
            f"export: the target has {len(labels)} classes, and the model {outputs} output{'s' * (outputs != 1)}; "
            f"give its last layer {len(labels)} units and train it"
        )
    return Classes(labels, 0.5 if above is None else float(above))


def _check_finite(what: str, arrays: Iterable[Any]) -> None:
    if not all(map(is_finite, arrays)):
        raise NumericError(f"export: {what} holds NaN or infinity; train it again, or load a good checkpoint")


class _Recorder(Input):
    """Stands in for data: `x` collects the formulas that a fitted preprocessing would run on them."""

    def mapped(self, formula: Any, *constants: Any) -> Any:
        flat = [v for c in constants for v in (c if isinstance(c, tuple) else (c,))]
        return [*self.x, (formula, flat)]


def fitted_of(preprocessing: Any) -> Fitted:
    """The same. Raises ConfigError unless it is fitted."""
    if not isinstance(preprocessing, Fitted):
        raise ConfigError(f"export: {preprocessing!r} is not fitted yet; call fit first, or set preprocessing=None")
    return preprocessing


def split(preprocessing: Any) -> tuple[TableEncoding | None, tuple[Fitted, ...]]:
    """What a table's columns become, where it is one that comes in, and the steps on numbers behind that."""
    steps = _flat(fitted_of(preprocessing))
    return (steps[0].encoding, steps[1:]) if isinstance(steps[0], TableColumns) else (None, steps)


def _flat(fitted: Fitted) -> tuple[Fitted, ...]:
    """The steps of a chain, and of the chains in it; anything else is one step."""
    return tuple(f for step in fitted.fitted for f in _flat(step)) if isinstance(fitted, Chained) else (fitted,)


def preprocessing_of(steps: Sequence[Fitted]) -> Section:
    """The kernels of fitted preprocessing, traced through its own formulas."""
    graph = Graph(of_arrays=True)
    x = graph.array("x", (Size(graph, "rows"), steps[0].features))
    marks, held = [Mark("", x)], dict[str, Any]()
    for step in steps:
        what = f"preprocessing, {type(step.transform).__name__}"
        for formula, constants in step.mapped(_Recorder([])):
            names = [f"{len(held) + i}" for i in range(len(constants))]
            held.update(zip(names, map(np.asarray, constants), strict=True))
            _check_finite(what, constants)
            arrays = [graph.array(n, held[n].shape) for n in names]
            marks.append(Mark(what, formula(Arrays(graph), marks[-1].y, *arrays)))
    return section("float64", x, marks[1:], held)
