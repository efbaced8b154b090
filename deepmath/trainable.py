"""Whether all is known that a model needs to be trained or measured; a saved one may lack its owner's own things."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from deepmath import output_checks
from deepmath.descriptions import Missing, ask_for, missing_in
from deepmath.errors import ConfigError
from deepmath.layers import Layer
from deepmath.losses import Loss
from deepmath.optimizers.lbfgs import Standing
from deepmath.program import Recipe
from deepmath.recipes import recipe_of

MEASURED = ("loss", "metric", "regularizer")
"""What a model can't be measured without."""


class Described(Protocol):
    """What is looked at of a model."""

    layers: list[Layer]
    input_shape: tuple[int, ...] | None
    seed: int
    optimizer: Any
    loss: Loss | None
    metrics: tuple[Any, ...]
    unusual: bool
    rates: dict[int | str, float]
    preprocessing: Any
    target: Any

    @property
    def values(self) -> dict[str, Any]:
        """All values by name, the optimiser's too."""


def missing(model: Described) -> list[Missing]:
    """What a file named and nobody brought."""
    return missing_in([*model.layers, model.optimizer, model.loss, *model.metrics])


def need_weights(model: Described) -> None:
    """Raise ConfigError for a model that isn't built."""
    if model.input_shape is None:
        raise ConfigError("the model has no weights yet: give its first layer input_dim, or call fit")


def check(who: str, model: Described, needed: Sequence[str] | None = None) -> None:
    """Raise ConfigError unless a loss is chosen that fits the last layer, and all that is `needed` is known."""
    if model.loss is None:
        raise ConfigError("no loss chosen: call model.compile(loss=...) first, for example loss='mse'")
    _ask(who, model, needed)
    output_checks.check_outputs(who, model.loss, model.layers, model.input_shape, model.unusual)


def check_initializers(model: Described) -> None:
    """Raise ConfigError where weights are to be drawn by an initialiser that isn't known."""
    _ask("build", model, ("initializer",))


def _ask(who: str, model: Described, needed: Iterable[str] | None) -> None:
    ask_for(who, [m for m in missing(model) if needed is None or m.what in needed])


def carried_over(model: Described, optimizer: Any, reset: bool) -> dict[str, Any]:
    """A model's values for another optimiser: its memory goes where that can't go on from it, or shall begin anew."""
    step = int(model.values.get("step", 0))
    if reset or not optimizer.goes_on_from(model.optimizer, step):
        return {n: v for n, v in model.values.items() if n.startswith(("params.", "state."))}
    return {n: v for n, v in model.values.items() if n != "rate" or optimizer is model.optimizer}


def recipe(model: Described, **settings: Any) -> Recipe:
    """What a backend compiles to train a model that is built; `settings` are fields of `Recipe`."""
    assert model.input_shape is not None
    chosen = model.optimizer, model.loss, model.metrics, model.unusual
    return recipe_of(model.layers, model.input_shape, *chosen, seed=model.seed, **settings)


def recipe_without_training(model: Described, precision: str) -> Recipe | None:
    """The recipe to predict and, if loss and metrics are known, to measure with; None where nothing is missing."""
    absent = {m.what for m in missing(model)}
    if not absent:
        return None
    assert model.input_shape is not None
    loss, metrics = (model.loss, model.metrics) if absent.isdisjoint(MEASURED) else (None, ())
    settings = {"precision": precision, "seed": model.seed}
    return recipe_of(model.layers, model.input_shape, Standing(), loss, metrics, model.unusual, **settings)
