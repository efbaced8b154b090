"""Dense layers and activations."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepmath import activations, initializers, regularizers
from deepmath.activations import ActivationFunction
from deepmath.descriptions import check_number, described, instance, set_field
from deepmath.errors import ConfigError
from deepmath.formulas import rectifiers
from deepmath.formulas.affine import affine
from deepmath.initializers import Draws, Initializer
from deepmath.layers.base import Bits, Layer, Pullback, Shape, Values
from deepmath.ranges import ANY, Range, through
from deepmath.regularizers import Constraint, Regularizer
from deepmath.typing import Namespace

MAX_UNITS = 1 << 24


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
        if self.activation is not None:
            self.activation.check(self.units)
        set_field(self, "kernel_initializer", initializers.get(self.kernel_initializer))
        set_field(self, "bias_initializer", initializers.get(self.bias_initializer))
        instance("Dense: kernel_constraint", self.kernel_constraint)
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

    @property
    def constants(self) -> tuple[float, ...]:
        return () if self.activation is None else self.activation.constants

    def forward(
        self, xp: Namespace, params: Mapping[str, Any], state: Mapping[str, Any], x: Any, bits: Bits, training: bool,
        *constants: Any,
    ) -> tuple[Any, Values]:  # fmt: skip
        z = affine(xp, x, params["kernel"], params.get("bias"))
        return z if self.activation is None else self.activation.of(xp, z, *constants), {}

    def output_shape(self, shape: Shape) -> Shape:
        return (*shape[:-1], self.units)

    def output_range(self, inputs: Range) -> Range:
        return ANY if self.activation is None else self.activation.range

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
        self.activation.check()

    def init(self, shape: Shape, draws: Callable[[int], Draws]) -> tuple[Values, Values]:
        self.activation.check(math.prod(shape[-1:]))
        return {}, {}

    @property
    def constants(self) -> tuple[float, ...]:
        return self.activation.constants

    def forward(
        self, xp: Namespace, params: Mapping[str, Any], state: Mapping[str, Any], x: Any, bits: Bits, training: bool,
        *constants: Any,
    ) -> tuple[Any, Values]:  # fmt: skip
        return self.activation.of(xp, x, *constants), {}

    def apply(
        self, xp: Namespace, params: Mapping[str, Any], state: Mapping[str, Any], x: Any, bits: Bits, training: bool
    ) -> tuple[Any, Pullback, Values]:
        function: ActivationFunction = self.activation
        y = function.of(xp, x, *function.constants)
        return y, lambda dy: (function.backward()(xp, x, y, dy, *function.constants), {}), {}

    def output_range(self, inputs: Range) -> Range:
        return through(self.activation.value, self.activation.constants, self.activation.range, inputs)


@described
@dataclass(frozen=True)
class PReLU(Layer):
    """y = x where x > 0, else alpha x, with an alpha for each unit that is learnt; at the kink the slope is alpha.

    Source: He et al., "Delving deep into rectifiers" (2015); alpha begins at 0.25, as there.
    """

    alpha: float = 0.25

    def __post_init__(self) -> None:
        check_number("PReLU", "alpha", self.alpha)

    def init(self, shape: Shape, draws: Callable[[int], Draws]) -> tuple[Values, Values]:
        return {"alpha": np.full(shape[-1:], float(self.alpha))}, {}

    def forward(
        self, xp: Namespace, params: Mapping[str, Any], state: Mapping[str, Any], x: Any, bits: Bits, training: bool,
        *constants: Any,
    ) -> tuple[Any, Values]:  # fmt: skip
        return rectifiers.prelu(xp, x, params["alpha"]), {}

    def output_range(self, inputs: Range) -> Range:
        return ANY
