"""A model as what every format can hold: matrices, and formulas between them.

Layers and preprocessing are traced through their own code, in prediction mode: a matrix product ends one map of
elements and begins the next. Whatever a layer computes from traceable formulas and products can be exported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from deepmath import trainable
from deepmath.arrays import is_finite
from deepmath.errors import ConfigError, NumericError, TraceError
from deepmath.export.cutting import Map, Product, cut
from deepmath.formulas.preprocessing import unstandardize
from deepmath.layers import Layer
from deepmath.model import Sequential
from deepmath.preprocessing import Fitted
from deepmath.preprocessing.chain import Chained
from deepmath.preprocessing.encode import TableColumns
from deepmath.preprocessing.inputs import Input
from deepmath.recipes import shapes_of
from deepmath.tables import ClassTarget, NumbersTarget, NumberTarget, TableEncoding

Stage: TypeAlias = Product | Map
PRECISIONS = ("float32", "float64")


class Classes(NamedTuple):
    """The labels of a model's outputs: of the largest one; of a single output the second, where it is > `above`."""

    labels: tuple[Any, ...]
    above: float


class Chain(NamedTuple):
    """A model in prediction mode: stages for rows of `features` numbers, or of as many columns of a table.

    `before` is the fitted preprocessing, which computes in float64 whatever the precision, as it does in `fit`;
    `stages` are the layers. `encoding` stands in front of both where the model takes tables, and gives float64.
    """

    features: int
    outputs: int
    precision: str
    before: tuple[Stage, ...]
    stages: tuple[Stage, ...]
    encoding: TableEncoding | None = None
    classes: Classes | None = None

    @property
    def width(self) -> int:
        """How many numbers the first stage takes."""
        return self.features if self.encoding is None else self.encoding.outputs

    @property
    def runs(self) -> list[tuple[str, Stage]]:
        """Every stage in order, with the precision that it computes in."""
        return [*(("float64", s) for s in self.before), *((self.precision, s) for s in self.stages)]


def chain_of(model: Sequential, precision: str = "float32") -> Chain:
    """The stages of a model, with its fitted preprocessing first and its last activation, or its target's unit, last.

    Raises ConfigError for a model without weights or whose inputs aren't rows of numbers, NumericError for weights
    that aren't finite, and TraceError that names the layer which can't be traced.

    >>> from deepmath import Dense
    >>> [type(s).__name__ for s in chain_of(Sequential([Dense(3, "relu", input_dim=2)])).stages]
    ['Product', 'Map']
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"export: precision must be {' or '.join(PRECISIONS)}; got {precision!r}")
    trainable.need_weights(model)
    assert model.input_shape is not None
    if len(model.input_shape) != 1:
        raise ConfigError(f"export: inputs must be rows of numbers; this model's rows have shape {model.input_shape}")
    values = model.values
    shapes = shapes_of(model.layers, model.input_shape)
    stages: list[Stage] = []
    for number, layer in enumerate(model.layers):
        params, state = (_own(values, f"{kind}.{number}.") for kind in ("params", "state"))
        what = f"layer {number}, {type(layer).__name__}"
        try:
            stages += _layer(what, layer, shapes[number][0], params, state)
        except TraceError as error:
            raise TraceError(f"export: {what} can't be written as formulas and matrix products: {error}") from error
    outputs = shapes[-1][0]
    unit = unit_of(model.target, outputs)
    if unit is not None:
        origin, size = unit
        stages += cut("the outputs' unit", unstandardize, outputs, [origin, np.zeros(outputs), size])
    features, before, encoding = int(model.input_shape[0]), [], None
    if model.preprocessing is not None:
        features = fitted_of(model.preprocessing).features
        encoding, steps = split(model.preprocessing)
        before = [stage for step in steps for stage in stages_of(step)]
    _check_finite([*before, *stages])
    classes = _classes(model, int(outputs))
    return Chain(features, int(outputs), precision, tuple(before), tuple(stages), encoding, classes)


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


def _check_finite(stages: Iterable[Stage]) -> None:
    for stage in stages:
        arrays = (stage.matrix,) if isinstance(stage, Product) else stage.columns
        if not all(map(is_finite, arrays)):
            raise NumericError(f"export: {stage.what} holds NaN or infinity; train it again, or load a good checkpoint")


def _own(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {n.removeprefix(prefix): np.asarray(v) for n, v in values.items() if n.startswith(prefix)}


def _layer(
    what: str, layer: Layer, features: int, params: Mapping[str, Any], state: Mapping[str, Any]
) -> Sequence[Stage]:
    """The stages of one layer, traced through its own `apply`."""
    given = {**params, **state}

    def apply(xp: Any, x: Any, *values: Any) -> Any:
        held = dict(zip(given, values, strict=True))
        own, states = ({n: held[n] for n in names} for names in (params, state))
        return layer.apply(xp, own, states, x, _no_bits, False)[0]

    return cut(what, apply, features, list(given.values()))


def _no_bits(*_: int) -> Any:
    raise TraceError("it draws random numbers in prediction")


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


def stages_of(step: Fitted) -> list[Stage]:
    """The stages of one fitted preprocessing, traced through its own formula."""
    what, width = f"preprocessing, {type(step.transform).__name__}", step.features
    stages: list[Stage] = []
    for formula, constants in step.mapped(_Recorder([])):
        stages += cut(what, formula, width, constants)
        width = stages[-1].outputs if stages else width
    return stages
