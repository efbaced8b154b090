"""Models of cases, for the tests of what studies models."""

from __future__ import annotations

from networks import Case

from deepmath import Sequential


def model_of(case: Case) -> Sequential:
    """A built and compiled model, as a user would have it."""
    model = Sequential(case.layers, seed=case.seed)
    model.build(case.shape)
    model.compile(case.optimizer, case.loss, unusual=True)
    return model
