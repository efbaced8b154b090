"""The training doctor: what is wrong with a model, its data or its training, in numbers, with advice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from deepmath.arrays import to_numpy
from deepmath.backend import load_backend
from deepmath.descriptions import check_number
from deepmath.errors import ConfigError
from deepmath.study import course, data_symptoms, symptoms
from deepmath.study.findings import SEVERITIES, Diagnosis, Finding
from deepmath.study.patient import ROWS, Patient, fewer_rows
from deepmath.study.subject import Subject, subject
from deepmath.study.thresholds import Limits, limits

IN_THE_NETWORK = (
    symptoms.initial_loss,
    symptoms.dead_units,
    symptoms.saturated_units,
    symptoms.gradients_by_layer,
    symptoms.symmetric_weights,
)
IN_THE_DATA = (data_symptoms.unscaled_inputs, data_symptoms.class_imbalance, data_symptoms.suspect_labels)


def diagnose(
    model: Any, X: Any, y: Any, *, validation_data: Any = None, history: Any = None, sample_weight: Any = None,
    initial_weights: Sequence[Any] | None = None, batch_size: int = 32, target_error: float | None = None,
    thresholds: Limits | None = None, trials: bool = True, backend: Any = "reference", seed: int = 0,
) -> Diagnosis:  # fmt: skip
    """Say what is wrong with a model and its training on the rows X [rows, features] and y.

    `validation_data` (X, y) shows variance, `history` (what `fit` returned) whether it trained for too long.
    The first weights are drawn again from the model's seed, unless `initial_weights` are what `get_weights` gave
    before training. Bias is measured against `target_error` (a share of the rows; for numbers, of the targets'
    variance), or against nearest neighbours. Where training hasn't come far, `trials` train some times for at
    most 300 steps of `batch_size` rows (of large networks, fewer) at other rates, on `backend`. `thresholds` change
    the lines of `study.THRESHOLDS`. At most 1000 rows of each part, drawn by `seed`, are looked at, and 5000 train
    in trials. The model is not changed.

    Raises ConfigError, LabelError and NumericError as `fit` does.

    >>> from deepmath import Dense, Sequential, diagnose
    >>> from deepmath.datasets import circles
    >>> X, y = circles(200)
    >>> model = Sequential([Dense(8, "relu", kernel_initializer="zeros"), Dense(1, "sigmoid")])
    >>> model.compile("adam", "binary_crossentropy")
    >>> history = model.fit(X, y, epochs=2, verbose=0)
    >>> [(finding.name, finding.where) for finding in diagnose(model, X, y)][:2]
    [('dead_relu', 'layer 1 (relu)'), ('symmetric_weights', 'layer 1 (Dense)')]
    """
    lines = limits("diagnose", thresholds)
    batch_size = check_number("diagnose", "batch_size", batch_size, low=1, whole=True)
    if target_error is not None:
        target_error = check_number("diagnose", "target_error", target_error, low=0.0)
    patient = Patient(model, X, y, sample_weight, initial_weights, seed, lines["stuck"])
    held = _held(model, patient, validation_data, seed)
    curves = _curves(history)
    with np.errstate(all="ignore"):
        found = [f for look in (*IN_THE_NETWORK, *IN_THE_DATA) for f in look(patient, lines)]
        if trials:
            found += course.learning_rate(patient, lines, batch_size, load_backend(backend))
        found += course.high_bias(patient, lines, target_error)
        found += course.high_variance(patient, lines, held)
        found += course.early_stopping(patient, lines, curves)
    found.sort(key=lambda f: SEVERITIES.index(f.severity))
    return Diagnosis(tuple(_first_of_each(found)), _numbers(patient))


def _held(model: Any, patient: Patient, given: Any, seed: int) -> Subject | None:
    if given is None:
        return None
    if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
        raise ConfigError(f"diagnose: validation_data must be (X, y) or (X, y, weights); got {type(given).__name__}")
    _, X, y, weights = fewer_rows(given[0], given[1], given[2] if len(given) == 3 else None, ROWS, seed)
    return subject("diagnose", model, X, y, weights, patient.whole.values)


def _curves(history: Any) -> Mapping[str, Sequence[float]]:
    curves = {} if history is None else getattr(history, "history", history)
    if not isinstance(curves, Mapping):
        msg = f"diagnose: history must be what fit returned, or a dict of lists; got {type(history).__name__}"
        raise ConfigError(msg)
    return curves


def _first_of_each(found: Sequence[Finding]) -> list[Finding]:
    """One finding for a name and place: what shows at the first weights shows later too."""
    seen: dict[tuple[str, str], Finding] = {}
    for finding in found:
        seen.setdefault((finding.name, finding.where), finding)
    return list(seen.values())


def _numbers(patient: Patient) -> dict[str, Any]:
    """What was measured, for the end of the text."""
    numbers: dict[str, Any] = {
        "rows looked at": len(patient.chosen),
        "steps trained": patient.trained,
        "loss of the best constant": patient.chance,
        "loss at the first weights": patient.at_start.cost,
        "loss now": patient.now.cost,
        "gradient RMS by layer, at first": list(symptoms.deltas(patient.at_start).values()),
        "gradient RMS by layer, now": list(symptoms.deltas(patient.now).values()),
    }
    if patient.classes is not None:
        numbers["rows by class"] = np.bincount(to_numpy(patient.classes)).tolist()
    return numbers
