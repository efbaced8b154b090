"""deepmath: train multi-layer networks. Every formula is written once and runs wherever the data is."""

import importlib

from deepmath import activations, initializers, losses, metrics, optimizers, regularizers, schedules
from deepmath.backend import backends, load_backend
from deepmath.layers import (
    Activation,
    BatchNormalization,
    Dense,
    Dropout,
    GaussianNoise,
    Layer,
    LayerNormalization,
    PReLU,
)
from deepmath.loading import load_model
from deepmath.model import Sequential

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Load the modules that hang beside the model when they are first asked for."""
    if name in ("computation_graph", "diagnose", "explain_step", "gradcheck"):
        return getattr(importlib.import_module("deepmath.study"), name)
    if name in ("callbacks", "datasets", "estimators", "export", "plots", "preprocessing", "study"):
        return importlib.import_module(f"deepmath.{name}")
    raise AttributeError(f"module 'deepmath' has no attribute '{name}'")


__all__ = [
    "Activation",
    "BatchNormalization",
    "Dense",
    "Dropout",
    "GaussianNoise",
    "Layer",
    "LayerNormalization",
    "PReLU",
    "Sequential",
    "activations",
    "backends",
    "callbacks",
    "computation_graph",
    "diagnose",
    "explain_step",
    "export",
    "gradcheck",
    "initializers",
    "load_backend",
    "load_model",
    "losses",
    "metrics",
    "optimizers",
    "preprocessing",
    "regularizers",
    "schedules",
]
