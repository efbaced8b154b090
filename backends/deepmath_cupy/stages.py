"""One stage of a step for each kind of layer: which nodes its forward and its backward pass are.

`forward(plan, x)` gives the place of its outputs [rows, units]; `backward(plan, delta)` may write over the gradient
that it gets, leaves the parameters' gradients in the flat buffer, and hands on the gradient by its inputs.
"""

from __future__ import annotations

import abc
from typing import Any, NamedTuple

from deepmath import activations
from deepmath.activations import ActivationFunction
from deepmath_cupy import epilogues
from deepmath_cupy.kernels import kept, scalar_kinds, scalars, works_along_rows
from deepmath_cupy.nodes import Product, Ref, mask_pitch
from deepmath_cupy.writing import Writer

ELEMENT = "element"


class Delta(NamedTuple):
    """The gradient by a stage's outputs. `through`: by the inputs of its activation; `summed`: its bias has its own."""

    place: Ref
    through: bool = False
    summed: bool = False


class Stage(abc.ABC):
    """A layer, or a dense layer with its activation. `how` says how it runs."""

    name: str
    how: str

    def __init__(self, number: int, index: int, units: int, first: bool) -> None:
        self.number, self.index, self.units, self.first = number, index, units, first
        self.outputs: tuple[int, ...] = (units,)

    @abc.abstractmethod
    def forward(self, plan: Writer, x: Ref) -> Ref: ...

    @abc.abstractmethod
    def backward(self, plan: Writer, delta: Delta) -> Delta: ...

    def own(self, name: str) -> str:
        """The full name of a parameter or a state."""
        return f"{self.number}.{name}"

    def place(self, plan: Writer, name: str, columns: int | None = None) -> Ref:
        """A buffer of this stage [rows, columns]."""
        return plan.activations(f"{self.index}.{name}", self.units if columns is None else columns)


class Through:
    """The kernels of y = f(z + b) and of its derivative, either part of which may be absent."""

    def __init__(self, function: ActivationFunction | None, bias: bool) -> None:
        self.function, self.bias = function, bias
        self.keeps_z, self.keeps_y = kept(function) if function is not None else (False, False)
        self.by_rows = function is not None and (
            works_along_rows(function.value, [ELEMENT, *scalar_kinds(function)])
            or works_along_rows(function.backward(), [*[ELEMENT] * 3, *scalar_kinds(function)])
        )

    @property
    def constants(self) -> tuple[float, ...]:
        return () if self.function is None else tuple(float(c) for c in self.function.constants)

    def forward(self, plan: Writer, z: Ref, y: Ref, bias: Ref | None, units: int) -> Ref:
        """Gives the place of y: that of z, unless z must be kept."""
        if self.function is None and bias is None:
            return z
        value, keeps = self.function.value if self.function else None, self.keeps_z
        has_bias = bias is not None

        def formula(xp: Any, z: Any, *rest: Any) -> Any:
            shifted = z + rest[0] if has_bias else z
            out = value(xp, shifted, *rest[has_bias:]) if value is not None else shifted
            return (shifted, out) if keeps and has_bias else out

        kinds = [ELEMENT, *["column"] * has_bias, *["scalar"] * len(self.constants)]
        names = ["z", *["b"] * has_bias, *scalars(len(self.constants))]
        outputs = (["z", "y"] if has_bias else ["y"]) if keeps else ["z"]
        key = self.function, has_bias
        printed = plan.kernels.get("activation", lambda: formula, kinds, outputs, names, key=key, stored={"z", "y"})
        out = [y] if keeps else []
        plan.call(printed, [z, *([bias] if bias else []), *self.constants, *out], plan.rows, units)
        return y if keeps else z

    def backward(self, plan: Writer, dy: Ref, z: Ref, y: Ref, db: Ref | None, units: int) -> None:
        """dy becomes dz, and its sum over the rows goes to db. In two kernels if it works along rows."""
        if self.function is not None:
            backward, saved = self.function.backward(), self.keeps_z + self.keeps_y
            sums = db is not None and not self.by_rows

            def formula(xp: Any, dy: Any, *rest: Any) -> Any:
                dz = backward(xp, *self._saved(rest), dy, *rest[saved:])
                return (dz, xp.batch_sum(dz)) if sums else dz

            kinds = [*[ELEMENT] * (1 + saved), *scalar_kinds(self.function)]
            names = ["dy", *["z"] * self.keeps_z, *["y"] * self.keeps_y, *scalars(len(self.constants))]
            outputs = ["dy", "db"] if sums else ["dy"]
            key, stored = (self.function, sums), {"dy", "z", "y"}
            printed = plan.kernels.get("slope", lambda: formula, kinds, outputs, names, key=key, stored=stored)
            given = [*([z] if self.keeps_z else []), *([y] if self.keeps_y else [])]
            targets = {"out_db": db} if sums and db is not None else None
            plan.call(printed, [dy, *given, *self.constants], plan.rows, units, targets)
            if sums or db is None:
                return
        if db is not None:
            add_up(plan, dy, db, units)

    def _saved(self, rest: Any) -> tuple[Any, Any]:
        return rest[0] if self.keeps_z else None, rest[self.keeps_z] if self.keeps_y else None


def add_up(plan: Writer, dy: Ref, to: Ref, units: int) -> None:
    """The sums over the rows."""
    formula = lambda xp, dy: xp.batch_sum(dy)  # noqa: E731 - it is a formula
    printed = plan.kernels.get("sums", lambda: formula, [ELEMENT], ["db"], ["dy"], key="sums", stored={"dy"})
    plan.call(printed, [dy], plan.rows, units, {"out_db": to})


class DenseStage(Stage):
    """x W, bias and activation; `below` and `above` are the dense layers that its products may work for."""

    name = "Dense"

    def __init__(
        self, number: int, index: int, features: int, units: int, function: Any, bias: bool, precision: str, first: bool
    ) -> None:
        super().__init__(number, index, units, first)
        self.features, self.bias, self.function = features, bias, function
        kind = "none" if function is None else "relu" if function == activations.get("relu") else "other"
        self.facts = epilogues.Dense(precision, bias, kind, units)
        self.through = Through(function, bias)
        self.below: DenseStage | None = None
        self.above: DenseStage | None = None
        self.masked = False
        words = [*(["bias"] if bias else []), *([function.name] if function is not None else [])]
        in_product = epilogues.forward(self.facts, training=True, mask_wanted=False) != "none"
        self.how = f"fused: matrix product ({precision}), " + (
            (" + ".join(words) + (" in its epilogue" if in_product else "")) if words else "nothing else"
        )

    def forward(self, plan: Writer, x: Ref) -> Ref:
        self._x = x
        z, bias = self.place(plan, "z"), self.own("bias")
        wanted = self.above is not None and self.above.units > 1
        epilogue = epilogues.forward(self.facts, training=plan.training, mask_wanted=wanted)
        mask = (
            plan.buffer(f"{self.index}.mask", plan.rows * mask_pitch(self.units), "uint8")
            if "mask" in epilogue
            else None
        )
        made = plan.product(
            Product(
                x,
                plan.operand(self.own("kernel")),
                z,
                plan.rows,
                self.units,
                self.features,
                operands=self._type,
                result=self._type,
                epilogue=epilogue,
                bias=plan.operand(bias) if epilogue != "none" else None,
                mask=mask,
            )
        )
        self.masked, self._mask = "mask" in made, mask
        self._z = self._y = z
        if made == "none":
            y = self.place(plan, "y") if self.through.keeps_z else z
            self._y = self.through.forward(plan, z, y, plan.parameter(bias) if self.bias else None, self.units)
        return self._y

    def backward(self, plan: Writer, delta: Delta) -> Delta:
        dz, summed = delta.place, delta.summed or not self.bias
        db = plan.gradient(self.own("bias")) if self.bias else None
        epilogue = epilogues.weight_gradient(self.facts, sums_known=summed)
        if self.function is not None and not delta.through:
            self.through.backward(plan, dz, self._z, self._y, db, self.units)
            epilogue = "none"
        product = Product(
            self._x, dz, plan.gradient(self.own("kernel")), self.features, self.units, plan.rows, turned_a=True,
            operands=self._type, epilogue=epilogue, sums=db if epilogue == "sums" else None,
        )  # fmt: skip
        made = plan.product(product)
        if not summed and made == "none" and (self.function is None or delta.through) and db is not None:
            add_up(plan, dz, db, self.units)
        return delta if self.first else self._by_inputs(plan, dz)

    def _by_inputs(self, plan: Writer, dz: Ref) -> Delta:
        below = self.below
        epilogue = epilogues.input_gradient(
            self.facts, below.facts if below else None, masked=bool(below and below.masked)
        )
        dx = plan.activations("delta.b" if dz.buffer == "delta.a" else "delta.a", self.features)
        mask = below._mask if below is not None and epilogue != "none" else None
        sums = plan.gradient(below.own("bias")) if below is not None and epilogue == "slope_sums" else None
        made = plan.product(
            Product(
                dz,
                plan.operand(self.own("kernel")),
                dx,
                plan.rows,
                self.features,
                self.units,
                turned_b=True,
                operands=self._type,
                result=self._type,
                epilogue=epilogue,
                mask=mask,
                sums=sums,
            )
        )
        return Delta(dx, through=made != "none", summed=made == "slope_sums")

    @property
    def _type(self) -> str:
        return "S" if self.facts.precision in epilogues.HALVES else "T"


class ActivationStage(Stage):
    """An activation on its own; its inputs stay where they are."""

    name = "Activation"

    def __init__(self, number: int, index: int, units: int, function: ActivationFunction, first: bool) -> None:
        super().__init__(number, index, units, first)
        self.function, self.how = function, f"fused: {function.name}"
        self.through = Through(function, bias=False)

    def forward(self, plan: Writer, x: Ref) -> Ref:
        value = self.function.value
        names = ["x", *scalars(len(self.through.constants))]
        printed = plan.kernels.get(
            "map", lambda: lambda xp, x, *c: value(xp, x, *c), [ELEMENT, *scalar_kinds(self.function)], ["y"], names,
            key=self.function, stored={"x", "y"},
        )  # fmt: skip
        self._x, self._y = x, self.place(plan, "y")
        plan.call(printed, [x, *self.through.constants, self._y], plan.rows, self.units)
        return self._y

    def backward(self, plan: Writer, delta: Delta) -> Delta:
        self.through.backward(plan, delta.place, self._x, self._y, None, self.units)
        return Delta(delta.place)
