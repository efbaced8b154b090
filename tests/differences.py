"""Gradients of a case against central differences of its objective: the checker of the gradient tests."""

from __future__ import annotations

from typing import Any

import numpy as np
from networks import Case, Probe, first_values_of, targets, whole_batch
from torch_table import ACTIVATIONS as TORCH_ACTIVATIONS
from torch_table import LOSSES as TORCH_LOSSES
from twin import Twin, base

from deepmath import losses
from deepmath.layers import Layer
from deepmath.optimizers import SGD

H = 1e-3
TOLERANCE = 1e-6
MARGIN = 0.02
"""Nothing may be nearer to a jump of a derivative, so that no difference reaches over it."""


def gradient_error(case: Case, backend: str) -> float:
    """How far gradients are from 5-point differences of the objective, relative to each parameter's differences.

    A parameter without influence has differences that are only rounding: they count against 1e-3 of the whole.
    """
    probe = Probe(case, backend)
    values = first_values_of(case)
    found = probe.gradients(values, whole_batch(case))
    expected = {n: differences(probe, values, f"params.{n}") for n in found}
    whole = np.sqrt(sum(float(np.sum(e * e)) for e in expected.values()))
    assert whole > 1e-3, "a gradient this small proves nothing"
    errors = [
        float(np.linalg.norm(found[n] - e) / max(float(np.linalg.norm(e)), 1e-3 * whole)) for n, e in expected.items()
    ]
    return max(errors) if np.all(np.isfinite(errors)) else np.inf


def differences(probe: Probe, values: dict[str, Any], name: str) -> Any:
    """The objective's derivative by each number of one parameter; the error is H^4 / 30 times the fifth."""
    out = np.empty_like(values[name])

    def at(place: tuple[int, ...], change: float) -> float:
        moved = values[name].copy()
        moved[place] += change
        return probe.objective(values | {name: moved})

    for place in np.ndindex(out.shape):
        near, far = at(place, H) - at(place, -H), at(place, 2 * H) - at(place, -2 * H)
        out[place] = (8.0 * near - far) / (12.0 * H)
    return out


def network(*layers: Layer, loss: Any = "mse", outputs: int = 3, rows: int = 7, weighted: bool = False) -> Case:
    """A case of one batch, in which the rows keep their order; data are drawn until they lie away from kinks."""
    for seed in range(50):
        case = _network(seed, layers, loss, outputs, rows, weighted)
        if base(losses.get(loss)) not in TORCH_LOSSES or any(_name(x) not in TORCH_ACTIVATIONS for x in layers):
            return case
        twin = Twin(case)
        twin.objective()
        if twin.kink > MARGIN:
            return case
    raise AssertionError("no data away from kinks")


def _name(layer: Layer) -> str:
    given = getattr(layer, "activation", None)
    return "linear" if given is None else base(given)


def _network(seed: int, layers: Any, loss: Any, outputs: int, rows: int, weighted: bool) -> Case:
    rng = np.random.default_rng(seed)
    name = getattr(loss, "name", loss)
    y = targets(rng, name, rows, outputs)
    weights = rng.choice([0.0, 0.5, 2.0], rows) if weighted else None
    X = rng.standard_normal((rows, 4))
    return Case(layers, loss, SGD(0.0), X, y, weights, batch_size=rows, shuffle=False, seed=seed)
