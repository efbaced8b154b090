"""Several optimisers, or rates, from the same start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deepmath import optimizers as optimizer_table
from deepmath.descriptions import config_of
from deepmath.errors import ConfigError, NonFiniteError
from deepmath.study.copies import check_model, copy_of


@dataclass(frozen=True)
class Comparison:
    """Histories by optimiser, each a dict of lists as `fit` gives; one that broke off has `why` in `failed`.

    `watched` is the curve that decides: "val_cost" where there are validation data, else "cost".
    """

    histories: Mapping[str, Mapping[str, Sequence[float]]]
    failed: Mapping[str, str]
    watched: str

    @property
    def best(self) -> str | None:
        """The optimiser whose curve ends lowest; None where all broke off."""
        ends = {name: curve[self.watched][-1] for name, curve in self.histories.items() if name not in self.failed}
        return min(ends, key=ends.__getitem__) if ends else None

    def text(self) -> str:
        """A line for each: lowest and last value of the watched curve."""
        width = max(map(len, self.histories))
        lines = [f"best: {self.best}" if self.best else "best: none, all broke off"]
        for name, curves in self.histories.items():
            if name in self.failed:
                lines.append(f"  {name:<{width}}  {self.failed[name]}")
                continue
            curve = curves[self.watched]
            low = min(curve)
            at = f"lowest {low:.5g} after epoch {curve.index(low) + 1}"
            lines.append(f"  {name:<{width}}  {self.watched} {curve[-1]:.5g}, {at} of {len(curve)}")
        return "\n".join(lines) + "\n"

    __str__ = text


def compare(
    model: Any, X: Any, y: Any, *, optimizers: Sequence[Any] | Mapping[str, Any], epochs: int = 10,
    batch_size: int | str = 32, validation_data: Any = None, **settings: Any,
) -> Comparison:  # fmt: skip
    """Train a copy of the model with each of `optimizers` on X and y, from the same weights, in the same order.

    The weights are the model's present ones. `optimizers` are names or objects, or a dict that names them;
    `settings` go to `fit`. The model is not changed. An optimiser whose training breaks is reported as such.

    Raises ConfigError where there is no optimiser, or two of one name, and what `fit` raises.

    >>> from deepmath import Dense, Sequential, study
    >>> from deepmath.optimizers import SGD
    >>> model = Sequential([Dense(1, input_dim=1)])
    >>> model.compile(loss="mse")
    >>> rates = {"slow": SGD(0.01), "fast": SGD(0.1)}
    >>> study.compare(model, [[-1.0], [1.0]], [-3.0, 3.0], optimizers=rates).best
    'fast'
    """
    model = check_model("compare", model)
    rules = _named(optimizers)
    weights = None if model.input_shape is None else model.get_weights()
    histories: dict[str, Mapping[str, Sequence[float]]] = {}
    failed: dict[str, str] = {}
    for name, rule in rules.items():
        made = copy_of(model, optimizer=rule, weights=weights, metrics=True)
        try:
            told = made.fit(
                X, y, epochs=epochs, batch_size=batch_size, validation_data=validation_data, verbose=0, **settings
            )
            histories[name] = told.history
        except NonFiniteError as error:
            histories[name], failed[name] = {}, f"broke off: {error}"
    held = validation_data is not None or bool(settings.get("validation_split"))
    return Comparison(histories, failed, "val_cost" if held else "cost")


def _named(given: Any) -> dict[str, Any]:
    if isinstance(given, Mapping):
        rules = {str(name): optimizer_table.get(rule) for name, rule in given.items()}
    else:
        if isinstance(given, str) or not isinstance(given, Sequence):
            raise ConfigError(f"compare: optimizers must be a list or a dict of optimisers; got {given!r}")
        rules = {}
        for rule in given:
            name = _name(rule)
            if name in rules:
                raise ConfigError(f"compare: two optimisers are called {name}; name them in a dict")
            rules[name] = optimizer_table.get(rule)
    if not rules:
        raise ConfigError("compare: optimizers is empty; give one at least, such as ['sgd', 'adam']")
    return rules


def _name(rule: Any) -> str:
    if isinstance(rule, str):
        return rule
    rate = config_of(rule).get("learning_rate") if not isinstance(rule, type) else None
    return f"{type(rule).__name__}({rate:g})" if isinstance(rate, float) else type(rule).__name__
