"""Layers: small frozen descriptions of what is computed. They hold no weights.

A layer draws its first parameters (`init`) and maps a batch forward, giving back what goes backward
(`apply`). This is the reference: programs may run a layer otherwise, and must agree with it.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepmath import activations, initializers, regularizers
from deepmath.activations import ActivationFunction
from deepmath.descriptions import check_number, described, set_field
from deepmath.errors import ConfigError
from deepmath.formulas import dropout as dropout_formulas
from deepmath.formulas import normalization
from deepmath.formulas.affine import affine
from deepmath.initializers import Draws, Initializer
from deepmath.regularizers import Constraint, Regularizer
from deepmath.typing import Array, Namespace

__all__ = ["Activation", "BatchNormalization", "Dense", "Dropout", "Layer"]

Shape = tuple[int, ...]
Values = dict[str, Any]
Bits = Callable[[int, int], Any]
Pullback = Callable[[Any], tuple[Any, Values]]
MAX_UNITS = 1 << 24


class Layer(abc.ABC):
    """What every layer can do. Shapes leave out the batch axis."""

    @abc.abstractmethod
    def init(self, shape: Shape, draws: Callable[[int], Draws]) -> tuple[Values, Values]:
        """First parameters and state for inputs of this shape, by name, as float64 NumPy arrays.

        `draws(i)` is where the random numbers of parameter number i come from. Parameters are trained; state
        (running averages) is what `apply` hands on.
        """

    @abc.abstractmethod
    def apply(
        self, xp: Namespace, params: Mapping[str, Any], state: Mapping[str, Any], x: Any, bits: Bits, training: bool
    ) -> tuple[Any, Pullback, Values]:
        """(y, pullback, new state) for inputs x [batch, *shape].

        The pullback takes dy and gives (dx, gradients by parameter name). `bits(rows, units)` gives whole
        numbers in [0, 2^24) [rows, units], the same on every library. Nothing that is passed in is changed.
        """

    def output_shape(self, shape: Shape) -> Shape:
        """The shape that inputs of this shape come out with."""
        return shape

    def parts(self) -> tuple[Layer, ...]:
        """The layer as a chain of simpler ones; programs fuse and replace these. All parameters are the first's."""
        return (self,)

    def penalties(self) -> Mapping[str, Regularizer]:
        """Regularisers by parameter name."""
        return {}

    def constraints(self) -> Mapping[str, Constraint]:
        """Constraints by parameter name."""
        return {}


@described
@dataclass(frozen=True)
class Dense(Layer):
    """y = activation(x W + b) for inputs [batch, ..., features]: W [features, units], b [units].

    `input_dim` says the number of features, for the first layer of a model that should be built at once.
    """

    units: int
    activation: Any = None
    use_bias: bool = True
    kernel_initializer: Any = "glorot_uniform"
    bias_initializer: Any = "zeros"
    kernel_regularizer: Any = None
    kernel_constraint: Constraint | None = None
    input_dim: int | None = None

    def __post_init__(self) -> None:
        check_number("Dense", "units", self.units, low=1, high=MAX_UNITS, whole=True)
        if self.input_dim is not None:
            check_number("Dense", "input_dim", self.input_dim, low=1, high=MAX_UNITS, whole=True)
        set_field(self, "activation", None if self.activation is None else activations.get(self.activation))
        set_field(self, "kernel_initializer", initializers.get(self.kernel_initializer))
        set_field(self, "bias_initializer", initializers.get(self.bias_initializer))
        if self.kernel_regularizer is not None:
            set_field(self, "kernel_regularizer", regularizers.get(self.kernel_regularizer))

    def init(self, shape: Shape, draws: Callable[[int], Draws]) -> tuple[Values, Values]:
        if not shape:
            raise ConfigError("Dense: inputs must have a feature axis; got one number for each row")
        kernel: Initializer = self.kernel_initializer
        params = {"kernel": kernel.draw(draws(0), (shape[-1], self.units))}
        if self.use_bias:
            params["bias"] = self.bias_initializer.draw(draws(1), (self.units,))
        return params, {}

    def apply(
        self, xp: Namespace, params: Mapping[str, Any], state: Mapping[str, Any], x: Any, bits: Bits, training: bool
    ) -> tuple[Any, Pullback, Values]:
        bias = params.get("bias")
        z, affine_pullback = affine(xp, x, params["kernel"], bias)
        activation = Activation(self.activation or "linear")
        y, activation_pullback, _ = activation.apply(xp, {}, {}, z, bits, training)

        def pullback(dy: Any) -> tuple[Any, Values]:
            dx, dw, db = affine_pullback(activation_pullback(dy)[0])
            return dx, {"kernel": dw} if bias is None else {"kernel": dw, "bias": db}

        return y, pullback, {}

    def output_shape(self, shape: Shape) -> Shape:
        return (*shape[:-1], self.units)

    def parts(self) -> tuple[Layer, ...]:
        if self.activation is None:
            return (self,)
        linear = Dense(
            self.units, None, self.use_bias, self.kernel_initializer, self.bias_initializer, self.kernel_regularizer,
            self.kernel_constraint,
        )  # fmt: skip
        return linear, Activation(self.activation)

    def penalties(self) -> Mapping[str, Regularizer]:
        return {} if self.kernel_regularizer is None else {"kernel": self.kernel_regularizer}

    def constraints(self) -> Mapping[str, Constraint]:
        return {} if self.kernel_constraint is None else {"kernel": self.kernel_constraint}


@described
@dataclass(frozen=True)
class Activation(Layer):
    """y = f(x), element by element, or along the last axis for softmax."""

    activation: Any

    def __post_init__(self) -> None:
        set_field(self, "activation", activations.get(self.activation))

    def init(self, shape: Shape, draws: Callable[[int], Draws]) -> tuple[Values, Values]:
        return {}, {}

    def apply(
        self, xp: Namespace, params: Mapping[str, Any], state: Mapping[str, Any], x: Any, bits: Bits, training: bool
    ) -> tuple[Any, Pullback, Values]:
        function: ActivationFunction = self.activation
        y = function.value(xp, x, *function.constants)
        return y, lambda dy: (function.backward()(xp, x, y, dy, *function.constants), {}), {}


@described
@dataclass(frozen=True)
class Dropout(Layer):
    """In training, each value becomes 0 with probability `rate` and the others grow by 1 / (1 - rate).

    Article 3's p is the chance to keep: rate = 1 - p.
    """

    rate: float

    def __post_init__(self) -> None:
        check_number("Dropout", "rate", self.rate, low=0.0, high=1.0, open_high=True)

    @property
    def coefficients(self) -> tuple[int, float]:
        """Threshold of the 24 random bits, and growth of what is kept."""
        return round(self.rate * 2**24), 1.0 / (1.0 - self.rate)

    def init(self, shape: Shape, draws: Callable[[int], Draws]) -> tuple[Values, Values]:
        return {}, {}

    def apply(
        self, xp: Namespace, params: Mapping[str, Any], state: Mapping[str, Any], x: Any, bits: Bits, training: bool
    ) -> tuple[Any, Pullback, Values]:
        if not training or self.rate == 0.0:
            return x, lambda dy: (dy, {}), {}
        noise = xp.reshape(bits(x.shape[0], math.prod(x.shape[1:])), x.shape)

        def drop(v: Array) -> Any:
            return dropout_formulas.dropout(xp, v, noise, *self.coefficients)

        return drop(x), lambda dy: (drop(dy), {}), {}


@described
@dataclass(frozen=True)
class BatchNormalization(Layer):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta for each feature, over the batch.

    In training the moments are the batch's (the variance divided by the number of rows, so that one row works),
    and running averages follow them: average = momentum average + (1 - momentum) moment. Prediction uses the
    averages. Source: Ioffe and Szegedy (2015), algorithms 1 and 2.
    """

    momentum: float = 0.9
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        check_number("BatchNormalization", "momentum", self.momentum, low=0.0, high=1.0)
        check_number("BatchNormalization", "epsilon", self.epsilon, low=0.0, open_low=True)

    def init(self, shape: Shape, draws: Callable[[int], Draws]) -> tuple[Values, Values]:
        size = shape[-1:]
        params = {"gamma": np.ones(size), "beta": np.zeros(size)}
        return params, {"moving_mean": np.zeros(size), "moving_variance": np.ones(size)}

    def apply(
        self, xp: Namespace, params: Mapping[str, Any], state: Mapping[str, Any], x: Any, bits: Bits, training: bool
    ) -> tuple[Any, Pullback, Values]:
        features = x.shape[-1]
        columns = xp.matrix_transpose(xp.reshape(x, (-1, features)))  # a row of it is one feature over the batch

        def row(v: Any) -> Any:
            return xp.reshape(v, (features, 1))

        def back(v: Any) -> Any:
            return xp.reshape(xp.matrix_transpose(v), x.shape)

        gamma, beta = row(params["gamma"]), row(params["beta"])
        new_state: Values = {}
        if training:
            y, mean, variance = normalization.normalize(xp, columns, gamma, beta, self.epsilon)
            moments = {"moving_mean": mean, "moving_variance": variance}
            for name, value in moments.items():
                average = normalization.running_average(
                    xp, state[name], xp.reshape(value, (features,)), self.momentum, 1.0 - self.momentum
                )
                new_state[name] = average
        else:
            mean, variance = row(state["moving_mean"]), row(state["moving_variance"])
            y = normalization.scale(xp, columns, mean, variance, gamma, beta, self.epsilon)

        def pullback(dy: Any) -> tuple[Any, Values]:
            dcolumns = xp.matrix_transpose(xp.reshape(dy, (-1, features)))
            dx, share = normalization.normalize_pullback(xp, columns, mean, variance, gamma, dcolumns, self.epsilon)
            if not training:
                dx = gamma * dcolumns / xp.sqrt(variance + self.epsilon)
            return back(dx), {"gamma": xp.sum(share, axis=-1), "beta": xp.sum(dcolumns, axis=-1)}

        return back(y), pullback, new_state
