"""Akaike's criterion of a trained model."""

from __future__ import annotations

from typing import Any

from deepmath.errors import ConfigError
from deepmath.formulas import risk as formulas
from deepmath.study.subject import BACKEND, subject

LIKELIHOODS = ("binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy")
"""Losses that are -ln of the chance of a row's label; those of squares stand for normal errors."""


def aic(model: Any, X: Any, y: Any) -> float:
    """2 k - 2 ln L of the model on the rows X [rows, features] and y, where k counts its trained numbers.

    For cross-entropies ln L is minus the summed loss; for "mse" and "sse" errors are normal, which gives
    m ln(SSE / m) + 2 k with m = rows x outputs. Lower is better, between models of the same rows. It is made for
    maximum likelihood: penalties and early stopping make it too harsh.

    Raises ConfigError for losses that are no likelihood, and what `fit` raises for bad data.
    Source: Akaike (1974); article 3, "AIC".

    >>> from deepmath import Dense, Sequential, study
    >>> model = Sequential([Dense(1, input_dim=1, use_bias=False)])
    >>> model.compile("sgd", "mse")
    >>> model.set_weights([[[1.0]]])
    >>> study.aic(model, [[1.0], [2.0]], [0.0, 1.0])
    2.0
    """
    chosen = subject("aic", model, X, y)
    head = chosen.recipe.head
    assert head is not None
    name = head.loss.name
    program = BACKEND.compile(chosen.recipe, chosen.values, chosen.data)
    cost = float(program.measure(chosen.data)[1])
    rows = chosen.data.rows
    if name in LIKELIHOODS:
        units = head.outputs if name == "binary_crossentropy" else 1  # whose loss is a mean over the outputs
        return formulas.aic(-cost * rows * units, chosen.size)
    if name not in ("mse", "sse"):
        raise ConfigError(f"aic: loss '{name}' is no likelihood; use mse, sse or one of {', '.join(LIKELIHOODS)}")
    numbers = rows * head.outputs
    sse = cost * numbers if name == "mse" else cost
    return formulas.aic(formulas.normal_log_likelihood(numbers, sse), chosen.size)
