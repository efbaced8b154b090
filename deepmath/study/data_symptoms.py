"""Symptoms in the data: inputs out of scale, rare classes, labels that their neighbours contradict."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from deepmath.formulas.neighbours import nearest_others
from deepmath.layers import BatchNormalization, LayerNormalization
from deepmath.study.findings import Finding
from deepmath.study.patient import Patient
from deepmath.study.thresholds import Limits

NEIGHBOURS = 10
"""How many nearest rows are asked."""

AGREEING = 1
"""With so many of them or fewer on its side, a label is suspect."""

TORN, PER_TORN = (3, 7), 0.25
"""Rows with so many neighbours on their side lie where classes overlap, and each of them excuses so many suspects.

Where the share of a class falls evenly from 1 to 0, there are 0.1 suspects to a torn row: 2 (B(2, 11) + 10 B(3, 10))
to 5/11. Wrong labels lie anywhere, with no torn rows about them.
"""

NAMED = 20
"""At most so many suspect rows are named."""


def unscaled_inputs(patient: Patient, limits: Limits) -> Iterator[Finding]:
    """Columns, as they enter the first layer, that are large, small, or of very different sizes."""
    first = patient.whole.recipe.parts[0].layer
    if isinstance(first, (BatchNormalization, LayerNormalization)):
        return
    x = patient.inputs
    largest = np.max(np.abs(x), axis=0)
    used = largest > 0.0
    if not np.any(used):
        return
    rms = float(np.max(np.sqrt(np.mean(x * x, axis=0))))
    ratio = float(np.max(largest) / np.min(largest[used]))
    small = float(1.0 / np.max(largest))
    column = int(np.argmax(largest))
    checks = (
        ("large_inputs", rms, f"column {column + 1} reaches {largest[column]:.4g}, with an RMS of {rms:.4g}"),
        ("uneven_inputs", ratio, f"column {column + 1} reaches {largest[column]:.4g}, another {ratio:.4g} times less"),
        ("small_inputs", small, f"no input is larger than {largest[column]:.4g}"),
    )
    for threshold, found, says in checks:
        if found > limits[threshold]:
            numbers = {"largest RMS": rms, "largest over smallest column": ratio, "largest": float(largest[column])}
            advice = "standardise: Sequential(..., preprocessing=Standardize()), fitted on the rows that train."
            says = f"{says}; descent then goes in steps that fit one direction and no other."
            limit = limits[threshold]
            yield Finding(
                "unscaled_inputs", "warning", "inputs", found, limit, says, advice, numbers, threshold=threshold
            )
            return


def class_imbalance(patient: Patient, limits: Limits) -> Iterator[Finding]:
    """A class that has far less than an equal share of the rows, or of their weights."""
    if patient.classes is None:
        return
    weights = patient.whole.data.weights
    shares = np.bincount(patient.classes, weights=weights, minlength=max(patient.head.outputs, 2)).astype(float)
    shares /= np.sum(shares)
    rare = int(np.argmin(shares))
    found = float(1.0 / (len(shares) * shares[rare])) if shares[rare] > 0.0 else float("inf")  # no row at all
    if found <= limits["class_imbalance"]:
        return
    says = (
        f"class {rare} is {shares[rare]:.2%} of the rows, {found:.3g} times less than an equal share: always saying "
        f"class {int(np.argmax(shares))} is right for {np.max(shares):.2%}."
    )
    advice = "fit(class_weight='balanced'), more rows of the class; judge by balanced accuracy, F1 or AUC."
    numbers = {"rarest share": float(shares[rare]), "commonest share": float(np.max(shares)), "classes": len(shares)}
    yield Finding(
        "class_imbalance", "warning", f"class {rare}", found, limits["class_imbalance"], says, advice, numbers
    )


def suspect_labels(patient: Patient, limits: Limits) -> Iterator[Finding]:
    """Rows whose label hardly any of their nearest neighbours has, beyond those of classes that overlap.

    Rows of a class that is called rare are left alone: they have few of their own about them.
    """
    agreeing = agreement(patient)
    if agreeing is None:
        return
    classes = patient.classes[patient.chosen]
    counts = np.bincount(classes, minlength=max(patient.head.outputs, 2))
    common = counts * len(counts) * limits["class_imbalance"] >= len(classes)
    rows = patient.numbers[patient.chosen[(agreeing <= AGREEING) & common[classes]]]
    torn = float(np.mean((agreeing >= TORN[0]) & (agreeing <= TORN[1])))
    share = len(rows) / len(agreeing) - PER_TORN * torn
    if share <= limits["suspect_labels"]:
        return
    named = tuple(int(r) for r in rows[:NAMED])
    says = (
        f"of {len(agreeing)} rows, {len(rows)} have a label that at most {AGREEING} of their {NEIGHBOURS} nearest "
        f"neighbours has; the first are rows {', '.join(map(str, named[:8]))}."
    )
    advice = "look at these rows, and correct or drop what is wrong; label_smoothing and early stopping bear the rest."
    numbers = {"suspect rows": len(rows), "rows": len(agreeing), "torn rows' share": torn, "beyond overlap": share}
    limit = limits["suspect_labels"]
    yield Finding("suspect_labels", "warning", "labels", share, limit, says, advice, numbers, named)


def agreement(patient: Patient) -> Any:
    """How many of a row's nearest neighbours have its class: [rows]; None without classes, or with too few rows."""
    if patient.classes is None or len(patient.chosen) <= 5 * NEIGHBOURS:
        return None
    classes = patient.classes[patient.chosen]
    near = nearest_others(patient.scaled, NEIGHBOURS)
    return np.sum(classes[near] == classes[:, None], axis=1)
