"""One training step, derived: forward, loss, backward by the chain rule, update, in symbols and in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from deepmath.descriptions import check_number
from deepmath.errors import ConfigError, TraceError
from deepmath.optimizers import LBFGS, SGD
from deepmath.study.derivation import Derivation
from deepmath.study.document import Document, markdown, text
from deepmath.study.notebook import Equation
from deepmath.study.page import page
from deepmath.study.subject import Subject, subject
from deepmath.study.values import Step
from deepmath.study.writing import write

WEIGHTS, ROWS = 72, 4
"""Up to so many parameters and rows, a step is written weight by weight."""

DETAILS = ("auto", "weights", "matrices")


class Explanation:
    """A derivation as `text()`, `markdown()` and `html()`; `values` are its numbers and arrays by name.

    Names are those of a model file ("0.kernel", a slot's "m.0.kernel"), of what passes from part to part ("0.z",
    "0.a"), "x", "target", "prediction", "losses" (of each row), "cost" (E), "loss" (the objective J); in front of
    them "gradient." stands for the derivative of the objective, and "new." for values after the step. `equations`
    are the single lines of a step that is written weight by weight.
    """

    def __init__(self, document: Document, values: Mapping[str, Any], equations: list[Equation]) -> None:
        self.document, self.values, self.equations = document, values, equations

    def text(self) -> str:
        """Plain text."""
        return text(self.document)

    def markdown(self) -> str:
        """Markdown with LaTeX formulas."""
        return markdown(self.document)

    def html(self) -> str:
        """A self-contained page with MathML. Raises MissingExtra without the extra `study`."""
        return page(self.document)

    __str__ = text

    def _repr_markdown_(self) -> str:
        """What a notebook shows."""
        return self.markdown()


def explain_step(
    model: Any, x: Any, y: Any, learning_rate: float | None = None, *, sample_weight: Any = None, detail: str = "auto"
) -> Explanation:
    """The whole derivation of one training step of `model` on the rows x [rows, features] (or [features]) and y.

    The step is that which `fit` would take next on these rows as one batch, in float64, with the compiled
    optimiser and its state; with a `learning_rate` it is plain descent, w - rate g. The model isn't changed.
    `detail` is "weights" (each number with its own formula), "matrices" (shapes and norms), or "auto": weights
    up to 72 parameters and 4 rows. Raises ConfigError, LabelError or NumericError as `fit` does.

    >>> from deepmath import Dense, Sequential, explain_step
    >>> model = Sequential([Dense(1, use_bias=False, input_dim=1)])
    >>> model.set_weights([[[3.0]]])
    >>> model.compile("sgd", "mse")
    >>> step = explain_step(model, [2.0], [1.0], learning_rate=0.1)
    >>> float(step.values["gradient.0.kernel"][0, 0])
    20.0
    >>> [line for line in step.text().splitlines() if "rate *" in line]
    ["    w' = w - rate * g", "  w1[1,1]' = w1[1,1] - rate * dE/dw1[1,1] = 3 - 0.1 * 20 = 1.00000000000"]
    """
    if detail not in DETAILS:
        raise ConfigError(f"explain_step: detail must be one of {', '.join(DETAILS)}; got {detail!r}")
    chosen = subject("explain_step", model, x, y, sample_weight)
    chosen = _with_rule(chosen, learning_rate)
    step = Step(chosen)
    step.take()
    small = detail == "weights" or (detail == "auto" and chosen.size <= WEIGHTS and chosen.data.rows <= ROWS)
    derivation, why = _derived(step) if small else (None, "")
    document = write(step, derivation, why)
    equations = [e for p in derivation.passages for e in p.equations] if derivation is not None else []
    return Explanation(document, step.values, equations)


def _with_rule(chosen: Subject, learning_rate: float | None) -> Subject:
    """The subject with the rule of the update that is asked for."""
    if learning_rate is not None:
        learning_rate = check_number("explain_step", "learning_rate", learning_rate, low=0.0)
        values = {n: v for n, v in chosen.values.items() if n.startswith(("params.", "state.", "step"))}
        return replace(chosen, recipe=replace(chosen.recipe, optimizer=SGD(learning_rate)), values=values)
    if isinstance(chosen.recipe.optimizer, LBFGS):
        raise ConfigError(
            "explain_step: LBFGS searches along a line and has no rule for one step; give learning_rate=0.1, say"
        )
    return chosen


def _derived(step: Step) -> tuple[Derivation | None, str]:
    """The step number by number, or why that can't be."""
    derivation = Derivation(step.subject, {n: step.values[f"gradient.{n}"] for n in step.subject.parameters})
    try:
        derivation.derive()
    except (TraceError, AttributeError, TypeError) as error:  # a layer of the user's that wants more of its library
        return None, str(error)
    return derivation, ""
