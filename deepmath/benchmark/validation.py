"""Before a candidate is timed: does it compute what the reference computes?

A candidate trains two epochs of a few steps in the order of the rows, from given weights. Its losses, weights and
predictions are compared with those of the reference program in float64. Then it trains two epochs shuffled: its
weights must be others, and its losses in the range of those that the reference has in several orders. What only
predicts is compared before training; steps and predictions in turns are compared where a candidate takes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from deepmath.benchmark.networks import LEARNING_RATE, Network
from deepmath.benchmark.worker import PAIRS
from deepmath.descriptions import described
from deepmath.optimizers import Adam


class Tolerance(NamedTuple):
    """How far a candidate may be off.

    `loss` is a share of the reference's loss, `weights` of the distance that training moved each array,
    `prediction` is absolute. By `shuffled` the least loss of several orders is divided and the greatest multiplied.
    """

    loss: float
    weights: float
    prediction: float
    shuffled: float


TOLERANCES = {
    "float32": Tolerance(1e-4, 1e-2, 1e-3, 2.0),
    "tf32": Tolerance(1e-2, 0.5, 3e-2, 2.0),
}
"""For each precision. In float32 most right candidates are off by 5e-6, 1e-5 and 5e-6; where the sign of a gradient or
of a ReLU's sum hangs on rounding, weights are off by up to 3e-3. tf32 has eleven bits."""

MARGIN = 4.0
"""So many times what the reference itself is off by in float32 is allowed, where that is more than the tolerance:
sums over a thousand inputs hold more rounding, and which signs hang on it differs with their order."""

ORDERS = 3


@described
@dataclass(frozen=True)
class EpsilonHat(Adam):
    """Adam with epsilon added to the root before its bias is corrected: Kingma and Ba (2014), end of section 2.

    Keras and scikit-learn compute this form, which costs the same; they are compared with it.
    """

    def coefficients(self, step: int) -> tuple[float, ...]:
        return (*super().coefficients(step)[:-1], self.epsilon)


VARIANTS = {"epsilon": Adam, "epsilon hat": EpsilonHat}
"""The forms of Adam that candidates may compute."""


@dataclass(frozen=True)
class Evidence:
    """What training the checked rows left: losses of two epochs, weights, and predictions of the first rows.

    `mixed` are the losses of the same in several orders: [orders, epochs]. `rounding`: how far off losses, weights
    and predictions are in float32. `untrained` are the predictions with the first weights, `pairs` losses and last
    predictions of steps and predictions in turns on the first batch.
    """

    losses: Any
    weights: list[Any]
    predictions: Any
    mixed: Any
    rounding: tuple[float, float, float]
    untrained: Any
    pairs: tuple[Any, Any]


@dataclass(frozen=True)
class Verdict:
    """How far off a candidate was, and why it isn't timed, if it isn't."""

    loss: float
    weights: float
    prediction: float
    reason: str | None = None

    @property
    def valid(self) -> bool:
        """Whether it may be timed."""
        return self.reason is None


def expected(network: Network, variant: str = "epsilon") -> Evidence:
    """What the reference gives in float64 with this form of Adam."""
    (X, y), adam = network.checked().data(), VARIANTS[variant](LEARNING_RATE)

    def trained(precision: str, order: int = 0, shuffle: bool = False) -> tuple[Any, list[Any], Any]:
        where: dict[str, Any] = {"backend": "reference", "precision": precision}
        model = network.model(adam, order)
        history = model.fit(X, y, epochs=2, batch_size=network.batch, shuffle=shuffle, verbose=0, **where)
        return history.history["loss"], model.get_weights(), model.predict(network.data()[0][:64], **where)

    wanted = trained("float64")
    mixed = [trained("float64", order, shuffle=True)[0] for order in range(ORDERS)]
    rounding = _errors(trained("float32"), wanted, network.model().get_weights())
    untrained = network.model(adam).predict(network.data()[0][:64], backend="reference", precision="float64")
    orders = np.asarray([wanted[0], *mixed])
    return Evidence(np.asarray(wanted[0]), *wanted[1:], orders, rounding, untrained, _pairs(network, adam))


def first_epochs(network: Network, epochs: int) -> Any:
    """The losses of so many epochs in the order of the rows, in float64."""
    X, y = network.data()
    settings: dict[str, Any] = {"batch_size": network.batch, "shuffle": False, "verbose": 0}
    model = network.model()
    model.fit(X, y, epochs=epochs, backend="reference", precision="float64", **settings)
    assert model.history is not None
    return model.history.history["loss"]


def _pairs(network: Network, adam: Adam) -> tuple[Any, Any]:
    """Steps on the first batch, and its predictions after them."""
    (X, y), model = network.data(), network.model(adam)
    where: dict[str, Any] = {"backend": "reference", "precision": "float64"}
    X, y = X[: network.batch], y[: network.batch]
    history = model.fit(X, y, epochs=PAIRS, batch_size=network.batch, shuffle=False, verbose=0, **where)
    return np.asarray(history.history["loss"]), model.predict(X, **where)


def verdict(found: Mapping[str, Any], wanted: Evidence, start: list[Any], tolerance: Tolerance) -> Verdict:
    """Compare what a candidate left ("losses", "w0", "w1", ..., "predictions", "shuffled_losses", "s0", ...).

    "untrained" and "row", and "pair_losses" and "pair_predictions", are compared where they are there.
    """
    uses = _uses(found, wanted, tolerance)
    if uses.reason is not None or "losses" not in found:
        return uses
    count = len(start)
    if sorted(n for n in found if n[0] == "w") != sorted(f"w{i}" for i in range(count)):
        return Verdict(np.inf, np.inf, np.inf, f"it gave {sum(n[0] == 'w' for n in found)} weight arrays, not {count}")
    weights = [found[f"w{i}"] for i in range(count)]
    shuffled = [found[f"s{i}"] for i in range(count)]
    given, right = (found["losses"], weights, found["predictions"]), (wanted.losses, wanted.weights, wanted.predictions)
    loss, moved, prediction = _errors(given, right, start)
    a, b, c = (max(fixed, MARGIN * own) for fixed, own in zip(tolerance, wanted.rounding, strict=False))
    tolerance = Tolerance(a, b, c, tolerance.shuffled)
    least, most = wanted.mixed.min(axis=0) / tolerance.shuffled, wanted.mixed.max(axis=0) * tolerance.shuffled
    mixed = np.asarray(found["shuffled_losses"], np.float64)
    reason = None
    if not loss <= tolerance.loss:
        reason = f"its losses are off by {loss:.1e} of the reference's; allowed are {tolerance.loss:.0e}"
    elif not moved <= tolerance.weights:
        reason = f"its weights are off by {moved:.1e} of the way trained; allowed are {tolerance.weights:.0e}"
    elif not prediction <= tolerance.prediction:
        reason = f"its predictions are off by {prediction:.1e}; allowed are {tolerance.prediction:.0e}"
    elif all(np.array_equal(a, b) for a, b in zip(weights, shuffled, strict=True)):
        reason = "told to shuffle, it trained in the order of the rows"
    elif mixed.shape != least.shape or not np.all((least <= mixed) & (mixed <= most)):
        reason = f"shuffled, its losses are {_numbers(mixed)}; expected are {_numbers(least)} to {_numbers(most)}"
    return Verdict(loss, moved, prediction, reason)


def _uses(found: Mapping[str, Any], wanted: Evidence, tolerance: Tolerance) -> Verdict:
    """The verdict over predictions without training, and over steps and predictions in turns."""
    loss, prediction = 0.0, 0.0
    pairs = ("untrained", wanted.untrained), ("row", wanted.untrained[:1]), ("pair_predictions", wanted.pairs[1])
    for name, right in pairs:
        if name in found:
            prediction = max(prediction, _apart(found[name], right), key=_greatness)
    if "pair_losses" in found:
        loss = _share(found["pair_losses"], wanted.pairs[0])
    reason = None
    if not prediction <= tolerance.prediction:
        reason = f"its predictions are off by {prediction:.1e}; allowed are {tolerance.prediction:.0e}"
    elif not loss <= tolerance.loss:
        reason = f"its steps' losses are off by {loss:.1e} of the reference's; allowed are {tolerance.loss:.0e}"
    return Verdict(loss, 0.0, prediction, reason)


def _greatness(error: float) -> float:
    """NaN is the greatest error."""
    return np.inf if np.isnan(error) else error


def _errors(found: tuple[Any, ...], wanted: tuple[Any, ...], start: list[Any]) -> tuple[float, float, float]:
    """How far off losses, weights and predictions are, each as `Tolerance` measures it."""
    moved = max(_distance(w, v, s) for w, v, s in zip(found[1], wanted[1], start, strict=True))
    return _share(found[0], wanted[0]), moved, _apart(found[2], wanted[2])


def _numbers(values: Any) -> str:
    return " and ".join(f"{value:.3g}" for value in np.ravel(values))


def _share(found: Any, wanted: Any) -> float:
    """The greatest difference as a share of what is wanted; infinite where shapes differ, NaN where values are."""
    found, wanted = np.asarray(found, np.float64), np.asarray(wanted, np.float64)
    return float(np.max(np.abs(found - wanted) / np.abs(wanted))) if found.shape == wanted.shape else np.inf


def _apart(found: Any, wanted: Any) -> float:
    found, wanted = np.asarray(found, np.float64), np.asarray(wanted, np.float64)
    return float(np.max(np.abs(found - wanted))) if found.shape == wanted.shape else np.inf


def _distance(found: Any, wanted: Any, start: Any) -> float:
    if np.shape(found) != np.shape(wanted):
        return np.inf
    way = np.linalg.norm(wanted - start)
    return float(np.linalg.norm(np.asarray(found, np.float64) - wanted) / way) if way else _apart(found, wanted)
