"""Stages of the layers without a matrix product: noise, normalisation, the learnt rectifier."""

from __future__ import annotations

from typing import Any

from deepmath.formulas import dropout, normalization, random, rectifiers
from deepmath.layers import BatchNormalization, Dropout, GaussianNoise, LayerNormalization
from deepmath_cupy.nodes import Ref
from deepmath_cupy.stages import ELEMENT, Delta, Stage
from deepmath_cupy.writing import Writer

WHOLE = "scalar:int"
PLACE = ["index", "row_index", *[WHOLE] * 4]
PLACE_NAMES = ["unit", "row", "first", "step", "layer", "seed"]


def random_bits(xp: Any, unit: Any, row: Any, first: Any, step: Any, layer: Any, seed: Any) -> Any:
    """24 random bits for a unit of a row: one of the four words that its group of four units has."""
    a, b, c, d = random.philox(xp, unit >> 2, row + first, step, layer, seed, random.NOISE)
    which = unit & 3
    return xp.where(which < 2, xp.where(which == 0, a, b), xp.where(which == 2, c, d)) >> 8


class NoiseStage(Stage):
    """What Dropout and GaussianNoise share: where a step stands, in the device's memory and in the plan."""

    def __init__(self, number: int, index: int, units: int, first: bool, seed: int) -> None:
        super().__init__(number, index, units, first)
        self._seed = seed & 0xFFFFFFFF

    def moment(self, plan: Writer) -> list[Ref | int]:
        """What the random numbers depend on, as `PLACE_NAMES` has it after unit and row."""
        return [plan.first, plan.buffer("step", 1, "int64"), self.number, self._seed]


class DropoutStage(NoiseStage):
    """Random bits and the choice in one kernel; the backward pass draws the same bits again."""

    name, how = "Dropout", "fused: random bits and choice"

    def __init__(self, number: int, index: int, units: int, first: bool, seed: int, layer: Dropout) -> None:
        super().__init__(number, index, units, first, seed)
        self._layer = layer

    def forward(self, plan: Writer, x: Ref) -> Ref:
        if not plan.training or self._layer.rate == 0.0:
            return x
        y = self.place(plan, "y")
        self._drop(plan, "y", [x], [y])
        return y

    def backward(self, plan: Writer, delta: Delta) -> Delta:
        if self._layer.rate > 0.0:
            self._drop(plan, "x", [delta.place], [])
        return Delta(delta.place)

    def _drop(self, plan: Writer, output: str, x: list[Ref], y: list[Ref]) -> None:
        def formula(xp: Any, x: Any, *rest: Any) -> Any:
            return dropout.dropout(xp, x, random_bits(xp, *rest[:6]), *rest[6:])

        kinds, names = [ELEMENT, *PLACE, WHOLE, "scalar"], ["x", *PLACE_NAMES, "threshold", "growth"]
        printed = plan.kernels.get(
            "dropout", lambda: formula, kinds, [output], names, key=output, stored={"x", "y"}, resident={"step"}
        )
        plan.call(printed, [*x, *self.moment(plan), *self._layer.constants, *y], plan.rows, self.units)


class GaussianNoiseStage(NoiseStage):
    """Normal numbers by Box and Muller, drawn and added in one kernel."""

    name, how = "GaussianNoise", "fused: random bits and normal numbers"

    def __init__(self, number: int, index: int, units: int, first: bool, seed: int, layer: GaussianNoise) -> None:
        super().__init__(number, index, units, first, seed)
        self._layer = layer

    def forward(self, plan: Writer, x: Ref) -> Ref:
        if not plan.training:
            return x

        def formula(xp: Any, x: Any, unit: Any, row: Any, *rest: Any) -> Any:
            place, (units, spread) = rest[:4], rest[4:]
            both = [xp.astype(random_bits(xp, u, row, *place), "float") for u in (unit, unit + units)]
            return x + spread * dropout.gaussian(xp, *both)

        kinds, names = [ELEMENT, *PLACE, WHOLE, "scalar"], ["x", *PLACE_NAMES, "units", "spread"]
        printed = plan.kernels.get(
            "gaussian", lambda: formula, kinds, ["y"], names, key=True, stored={"x", "y"}, resident={"step"}
        )
        y = self.place(plan, "y")
        given = [x, *self.moment(plan), self.units, float(self._layer.stddev), y]
        plan.call(printed, given, plan.rows, self.units)
        return y

    def backward(self, plan: Writer, delta: Delta) -> Delta:
        return Delta(delta.place)


class BatchNormalizationStage(Stage):
    """Moments, normalisation and its derivative over features, whose rows lie side by side in memory."""

    name, how = "BatchNormalization", "fused: moments and normalisation"

    def __init__(self, number: int, index: int, units: int, first: bool, layer: BatchNormalization) -> None:
        super().__init__(number, index, units, first)
        self._layer = layer

    def forward(self, plan: Writer, x: Ref) -> Ref:
        self._x, y = x, self.place(plan, "y")
        gamma, beta = (plan.parameter(self.own(n)) for n in ("gamma", "beta"))
        averages = [plan.state(self.own(n)) for n in ("moving_mean", "moving_variance")]
        eps = float(self._layer.epsilon)
        if not plan.training:
            kinds = [ELEMENT, *["column"] * 4, "scalar"]
            names = ["x", "mean", "variance", "gamma", "beta", "eps"]
            printed = plan.kernels.get(
                "scale", lambda: normalization.scale, kinds, ["y"], names, key=True, stored={"x", "y"}
            )
            plan.call(printed, [x, *averages, gamma, beta, eps, y], plan.rows, self.units)
            return y
        printed = plan.kernels.get(
            "normalize", lambda: normalization.normalize, [ELEMENT, "row", "row", "scalar"], ["y", "mean", "variance"],
            ["x", "gamma", "beta", "eps"], key="transposed", stored={"x", "y"}, transposed=True,
        )  # fmt: skip
        self._moments = [plan.buffer(f"{self.index}.{n}", self.units) for n in ("mean", "variance")]
        plan.call(printed, [x, gamma, beta, eps, y, *self._moments], self.units, plan.rows)
        momentum = float(self._layer.momentum)
        for average, value in zip(averages, self._moments, strict=True):
            given: list[Ref | int | float] = [average, value, momentum, 1.0 - momentum]
            plan.elementwise("running_average", normalization.running_average, given, 1, self.units)
        return y

    def backward(self, plan: Writer, delta: Delta) -> Delta:
        def formula(xp: Any, x: Any, mean: Any, variance: Any, gamma: Any, dy: Any, eps: Any) -> Any:
            dx, share = normalization.normalize_pullback(xp, x, mean, variance, gamma, dy, eps)
            return dx, xp.sum(share, axis=-1, keepdims=True), xp.sum(dy, axis=-1, keepdims=True)

        kinds = [ELEMENT, "row", "row", "row", ELEMENT, "scalar"]
        printed = plan.kernels.get(
            "normalize_back", lambda: formula, kinds, ["dy", "dgamma", "dbeta"],
            ["x", "mean", "variance", "gamma", "dy", "eps"], key="transposed", stored={"x", "dy"}, transposed=True,
        )  # fmt: skip
        gamma, eps = plan.parameter(self.own("gamma")), float(self._layer.epsilon)
        gradients = [plan.gradient(self.own(n)) for n in ("gamma", "beta")]
        plan.call(printed, [self._x, *self._moments, gamma, delta.place, eps, *gradients], self.units, plan.rows)
        return Delta(delta.place)


class LayerNormalizationStage(Stage):
    """Moments and normalisation of each row, and their derivative; gamma and beta get theirs in a kernel before."""

    name, how = "LayerNormalization", "fused: moments and normalisation"

    def __init__(self, number: int, index: int, units: int, first: bool, layer: LayerNormalization) -> None:
        super().__init__(number, index, units, first)
        self._layer = layer

    def forward(self, plan: Writer, x: Ref) -> Ref:
        self._x, y = x, self.place(plan, "y")
        printed = plan.kernels.get(
            "normalize", lambda: normalization.normalize, [ELEMENT, "column", "column", "scalar"],
            ["y", "mean", "variance"], ["x", "gamma", "beta", "eps"], key="rows", stored={"x", "y"},
        )  # fmt: skip
        self._moments = [plan.buffer(f"{self.index}.{n}", plan.rows) for n in ("mean", "variance")]
        gamma, beta = (plan.parameter(self.own(n)) for n in ("gamma", "beta"))
        plan.call(printed, [x, gamma, beta, float(self._layer.epsilon), y, *self._moments], plan.rows, self.units)
        return y

    def backward(self, plan: Writer, delta: Delta) -> Delta:
        kinds = [ELEMENT, "row", "row", "column", ELEMENT, "scalar"]
        names = ["x", "mean", "variance", "gamma", "dy", "eps"]
        back = normalization.normalize_pullback

        def shares(xp: Any, x: Any, mean: Any, variance: Any, gamma: Any, dy: Any, eps: Any) -> Any:
            return xp.batch_sum(back(xp, x, mean, variance, gamma, dy, eps)[1]), xp.batch_sum(dy)

        gamma, eps = plan.parameter(self.own("gamma")), float(self._layer.epsilon)
        given: list[Ref | int | float] = [self._x, *self._moments, gamma, delta.place, eps]
        printed = plan.kernels.get(
            "normalize_shares", lambda: shares, kinds, ["dgamma", "dbeta"], names, key=True, stored={"x", "dy"}
        )
        sums = {f"out_d{n}": plan.gradient(self.own(n)) for n in ("gamma", "beta")}
        plan.call(printed, given, plan.rows, self.units, sums)
        printed = plan.kernels.get(
            "normalize_back", lambda: lambda *a: back(*a)[0], kinds, ["dy"], names, key="rows", stored={"x", "dy"}
        )
        plan.call(printed, given, plan.rows, self.units)
        return Delta(delta.place)


class PReLUStage(Stage):
    """The learnt rectifier and its derivative."""

    name, how = "PReLU", "fused: PReLU"

    def forward(self, plan: Writer, x: Ref) -> Ref:
        self._x, y = x, self.place(plan, "y")
        printed = plan.kernels.get(
            "prelu", lambda: rectifiers.prelu, [ELEMENT, "column"], ["y"], ["x", "alpha"], key=True, stored={"x", "y"}
        )
        plan.call(printed, [x, plan.parameter(self.own("alpha")), y], plan.rows, self.units)
        return y

    def backward(self, plan: Writer, delta: Delta) -> Delta:
        def formula(xp: Any, z: Any, alpha: Any, dy: Any) -> Any:
            dz, share = rectifiers.prelu_pullback(xp, z, alpha, dy)
            return dz, xp.batch_sum(share)

        kinds, names = [ELEMENT, "column", ELEMENT], ["x", "alpha", "dy"]
        printed = plan.kernels.get(
            "prelu_back", lambda: formula, kinds, ["dy", "dalpha"], names, key=True, stored={"x", "dy"}
        )
        given = [self._x, plan.parameter(self.own("alpha")), delta.place]
        plan.call(printed, given, plan.rows, self.units, {"out_dalpha": plan.gradient(self.own("alpha"))})
        return Delta(delta.place)
